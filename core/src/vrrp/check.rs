//! What an advert must be like to count (RFC 9568 §7.1, RFC 3768 §7.1, and
//! what keepalived checks beyond).

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use ha_model::plan::{Transport, VrrpVersion};
use ha_model::status::InstanceCounters;
use ha_model::units::Micros;

use super::packet::{self, Addresses, Advertisement, Authentication, DecodeError};
use super::settings::Settings;
use crate::Received;

#[cfg(test)]
mod tests;

/// An advert that counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    /// Who sent it.
    pub(crate) source: IpAddr,
    /// Its priority.
    pub(crate) priority: u8,
    /// The interval that it promises.
    pub(crate) interval: Duration,
    /// Whether its address list is another than ours.
    pub(crate) differs: bool,
}

/// Why an advert does not count. Each has a counter of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dropped {
    OwnAdvert,
    Transport,
    UnknownPeer,
    Ttl,
    Length,
    Version,
    Type,
    Checksum,
    AuthTypeUnknown,
    AuthTypeMismatch,
    AuthFailure,
    Interval,
    Addresses,
}

impl Dropped {
    /// The counter that it raises.
    pub(crate) fn counter(self, counters: &mut InstanceCounters) -> &mut u64 {
        match self {
            Self::OwnAdvert => &mut counters.own_advert_rcvd,
            Self::Transport => &mut counters.transport_err,
            Self::UnknownPeer => &mut counters.unknown_peer_err,
            Self::Ttl => &mut counters.ip_ttl_err,
            Self::Length => &mut counters.packet_len_err,
            Self::Version => &mut counters.vers_err,
            Self::Type => &mut counters.invalid_type_rcvd,
            Self::Checksum => &mut counters.chk_err,
            Self::AuthTypeUnknown => &mut counters.invalid_authtype,
            Self::AuthTypeMismatch => &mut counters.authtype_mismatch,
            Self::AuthFailure => &mut counters.auth_failure,
            Self::Interval => &mut counters.advert_interval_err,
            Self::Addresses => &mut counters.addr_list_err,
        }
    }
}

impl From<DecodeError> for Dropped {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Length(_) => Self::Length,
            DecodeError::Version(_) => Self::Version,
            DecodeError::Type(_) => Self::Type,
        }
    }
}

/// Checks a message for the instance with `settings`, which sends from
/// `own_source`. What the network says (source, TTL) comes before what the
/// message says, so that a stranger can reach as little code as possible.
pub(crate) fn check(
    settings: &Settings,
    own_source: Option<IpAddr>,
    packet: &Received<'_>,
) -> Result<Heard, Dropped> {
    if own_source == Some(packet.source) {
        return Err(Dropped::OwnAdvert);
    }
    check_path(settings, packet)?;
    let plan = &settings.plan;
    let (advert, message) = Advertisement::decode(packet.message, plan.family)?;
    let version = advert.version();
    if version != plan.version {
        return Err(Dropped::Version);
    }
    if !packet::checksum_valid(message, version, packet.source, packet.destination) {
        return Err(Dropped::Checksum);
    }
    if let Some(auth) = &advert.auth {
        check_auth(settings, auth)?;
    }
    check_interval(settings, advert.interval)?;
    let differs = !same_addresses(settings, &advert.addresses);
    if differs && plan.accept.require_addresses {
        return Err(Dropped::Addresses);
    }
    Ok(Heard {
        source: packet.source,
        priority: advert.priority,
        interval: advert.interval.into(),
        differs,
    })
}

/// Multicast or not, from whom, and over how many routers.
fn check_path(settings: &Settings, packet: &Received<'_>) -> Result<(), Dropped> {
    let plan = &settings.plan;
    let multicast = packet.destination.is_multicast();
    if multicast && packet.destination != packet::group(plan.family) {
        return Err(Dropped::Transport);
    }
    let ours = match &plan.transport {
        Transport::Multicast { source: _ } => true,
        Transport::Unicast { source: _, peers: _ } => false,
    };
    if multicast != ours && !plan.accept.other_transport {
        return Err(Dropped::Transport);
    }
    let min_ttl = if multicast {
        255
    } else {
        settings.peer_min_ttl(packet.source).ok_or(Dropped::UnknownPeer)?
    };
    // A TTL that is not known proves nothing.
    if packet.ttl.unwrap_or(0) < min_ttl { Err(Dropped::Ttl) } else { Ok(()) }
}

fn check_auth(settings: &Settings, auth: &Authentication) -> Result<(), Dropped> {
    if auth.kind > 2 {
        return Err(Dropped::AuthTypeUnknown);
    }
    let mut of_kind =
        settings.accepted_auth.iter().filter(|ours| ours.kind == auth.kind).peekable();
    if of_kind.peek().is_none() {
        return Err(Dropped::AuthTypeMismatch);
    }
    // Without authentication the data means nothing (RFC 3768 §5.3.10).
    if auth.kind == 0 {
        return Ok(());
    }
    // Every key is compared to its end: the time tells nothing.
    let matches = of_kind.fold(0_u8, |found, ours| found | u8::from(equal(&ours.data, &auth.data)));
    if matches == 0 { Err(Dropped::AuthFailure) } else { Ok(()) }
}

/// Compares in constant time.
fn equal(one: &[u8; 8], other: &[u8; 8]) -> bool {
    let difference =
        one.iter().zip(other).fold(0, |found, (one, other)| black_box(found | (one ^ other)));
    difference == 0
}

/// Version 2 wants the configured interval (RFC 3768 §7.1). Version 3 adopts
/// the master's, but none can be a master without pause.
fn check_interval(settings: &Settings, interval: Micros) -> Result<(), Dropped> {
    let plan = &settings.plan;
    let good = match plan.version {
        VrrpVersion::V2 => {
            interval == plan.interval_us || plan.accept.intervals_us.contains(&interval)
        }
        VrrpVersion::V3 => true,
    };
    if good && !interval.is_zero() { Ok(()) } else { Err(Dropped::Interval) }
}

/// Whether the list says what ours says, in any order and but for addresses
/// that it may or may not have.
fn same_addresses(settings: &Settings, theirs: &Addresses<'_>) -> bool {
    let ours = Addresses::new(settings.plan.family, &settings.address_bytes);
    if ours == *theirs {
        return true;
    }
    let either = &settings.plan.accept.addresses;
    let within = |one: &Addresses<'_>, other: &Addresses<'_>| {
        one.iter().all(|address| {
            either.contains(&address) || other.iter().any(|candidate| candidate == address)
        })
    };
    within(theirs, &ours) && within(&ours, theirs)
}
