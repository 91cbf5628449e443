//! Rules between the settings of one instance.

use std::collections::BTreeMap;

use crate::diagnostic::{Collector, Diagnostic, Span};
use crate::explain::codes;
use crate::ids::Priority;
use crate::manifest::Spanned;
use crate::manifest::spec::InstanceSpec;
use crate::plan::{Family, VrrpVersion};
use crate::units::Micros;

/// All addresses are of the family of the first.
pub(super) fn families(spec: &InstanceSpec, family: Family, out: &mut Collector) {
    let other = spec.vips.iter().find(|vip| Family::of(vip.address.value.addr()) != family);
    if let (Some(first), Some(other)) = (spec.vips.first(), other) {
        let message = format!(
            "{} beside an {} address in instance `{}`",
            other.address.value,
            family_name(family),
            spec.name.value
        );
        out.push(
            Diagnostic::error(codes::FAMILIES_MIXED, &other.address.span, message)
                .related(&first.address.span),
        );
    }
}

/// Version 2 has no IPv6 (RFC 3768), version 3 no authentication (RFC 9568).
pub(super) fn version(
    spec: &InstanceSpec,
    family: Family,
    version: Option<&Spanned<VrrpVersion>>,
    out: &mut Collector,
) {
    match version {
        Some(Spanned { value: VrrpVersion::V2, span }) => {
            if let (Family::Ipv6, Some(vip)) = (family, spec.vips.first()) {
                let message = format!("`{}` is version 2 with an IPv6 address", spec.name.value);
                let at = &vip.address.span;
                out.push(
                    Diagnostic::error(codes::VERSION_2_IPV6, at, message)
                        .related(span)
                        .hint("version: 3"),
                );
            }
        }
        Some(Spanned { value: VrrpVersion::V3, .. }) | None => {
            if let Some(auth) = &spec.auth {
                let message = format!("`{}` is version 3 and has auth", spec.name.value);
                out.error(codes::AUTH_NEEDS_VERSION_2, &auth.span, message);
            }
        }
    }
}

/// Adverts can carry the interval.
pub(super) fn interval(interval: &Spanned<Micros>, version: VrrpVersion, out: &mut Collector) {
    let (step, high) = match version {
        VrrpVersion::V2 => (Micros::from_secs(1), Micros::from_secs(255)),
        VrrpVersion::V3 => (Micros::from_millis(10), Micros::from_millis(40_950)),
    };
    let value = interval.value;
    if possible_interval(value, version) {
        return;
    }
    let rounded = value.0.saturating_add(step.0 / 2) / step.0 * step.0;
    let nearest = Micros(rounded.clamp(step.0, high.0));
    let message = format!("{value} is not possible in version {}", u8::from(version));
    out.push(
        Diagnostic::error(codes::INTERVAL_NOT_POSSIBLE, &interval.span, message)
            .hint(format!("advertInterval: {nearest}")),
    );
}

/// Whether adverts of `version` can carry `interval`: whole seconds up to 255
/// (RFC 3768 §5.3.7), or 12 bits of 10 ms (RFC 9568 §5.2.7).
pub(crate) fn possible_interval(interval: Micros, version: VrrpVersion) -> bool {
    let (step, high) = match version {
        VrrpVersion::V2 => (1_000_000, 255_000_000),
        VrrpVersion::V3 => (10_000, 40_950_000),
    };
    (step..=high).contains(&interval.0) && interval.0.is_multiple_of(step)
}

/// What is accepted can arrive at all.
pub(super) fn accept(
    spec: &InstanceSpec,
    family: Family,
    version: VrrpVersion,
    out: &mut Collector,
) {
    let accept = &spec.accept;
    for address in accept.peers.iter().chain(&accept.addresses) {
        if Family::of(address.value) != family {
            let message = format!("{} in an {} instance", address.value, family_name(family));
            out.error(codes::ACCEPT_DOES_NOT_FIT, &address.span, message);
        }
    }
    for extra in &accept.intervals {
        match version {
            VrrpVersion::V2 => interval(extra, version, out),
            VrrpVersion::V3 => {
                let message = "version 3 takes the master's interval whatever it is";
                out.error(codes::ACCEPT_DOES_NOT_FIT, &extra.span, message);
            }
        }
    }
    let no_auth = accept.no_auth.as_ref().map(|flag| &flag.span);
    for span in accept.secrets.iter().map(|name| &name.span).chain(no_auth) {
        if version == VrrpVersion::V3 {
            let message = "version 3 has no authentication";
            out.error(codes::ACCEPT_DOES_NOT_FIT, span, message);
        }
    }
}

/// At most one owner; no two nodes with the same priority.
pub(super) fn priorities(
    spec: &InstanceSpec,
    priorities: &[(Option<Span>, Priority)],
    out: &mut Collector,
) {
    let mut seen: BTreeMap<Priority, Option<&Span>> = BTreeMap::new();
    for (span, priority) in priorities {
        let at = span.as_ref().unwrap_or(&spec.name.span);
        let Some(first) = seen.get(priority) else {
            seen.insert(*priority, span.as_ref());
            continue;
        };
        let diagnostic = if *priority == Priority::OWNER {
            let message = format!("two owners of the addresses of `{}`", spec.name.value);
            Diagnostic::error(codes::TWO_OWNERS, at, message)
        } else {
            let message = format!("two nodes have priority {priority} in `{}`", spec.name.value);
            Diagnostic::warning(codes::EQUAL_PRIORITIES, at, message)
        };
        out.push(match first {
            Some(first) => diagnostic.related(first),
            None => diagnostic,
        });
    }
}

/// Settings without effect.
pub(super) fn lints(spec: &InstanceSpec, out: &mut Collector) {
    if let (Some(false), Some(delay)) = (spec.preempt.enabled, &spec.preempt.delay) {
        let message = format!("preempt.delay of `{}` has no effect", spec.name.value);
        out.push(Diagnostic::warning(codes::IDLE_DELAY, &delay.span, message));
    }
}

/// For messages.
pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}
