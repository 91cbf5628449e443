//! Plans as bytes: written once by the compiler, checked by everybody who
//! reads them.

use std::net::IpAddr;

use serde::Deserialize;

use crate::explain::{Code, codes};
use crate::fleet::possible_interval;
use crate::ids::Digest;
use crate::plan::{
    Accept, Auth, Family, InstancePlan, NodePlan, SCHEMA_MAX, SCHEMA_MIN, Transport, VrrpVersion,
};
use crate::secret::SecretRef;
use crate::status::FieldError;

/// Largest plan document, in bytes. The compiler can't make a larger one of a
/// manifest of 1 MiB with hundreds of nodes that is of any use.
pub const MAX_DOCUMENT: usize = 8 << 20;

/// A plan and the bytes that it was read from.
#[derive(Clone, Debug)]
pub struct PlanDocument {
    /// The plan.
    pub plan: NodePlan,
    /// Its bytes, verbatim.
    pub bytes: Vec<u8>,
    /// Digest of the bytes.
    pub digest: Digest,
}

/// Why bytes are not a plan that this build can run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Not the JSON of a plan.
    #[error("{message}")]
    Malformed {
        /// What is wrong, with line and column.
        message: String,
    },
    /// A schema that this build does not know.
    #[error("the plan has schema {schema}, this build knows {SCHEMA_MIN} to {SCHEMA_MAX}")]
    Schema {
        /// Schema of the plan.
        schema: u64,
    },
    /// A field or a word that this build does not know.
    #[error("{message}")]
    Unknown {
        /// Which, with line and column.
        message: String,
    },
    /// A field of a later schema than the plan says it has.
    #[error("the plan says schema {schema} and uses {path}, which needs schema {needed}")]
    AboveSchema {
        /// Schema that the plan says.
        schema: u32,
        /// Schema that it needs.
        needed: u32,
        /// What needs it.
        path: String,
    },
    /// Values that do not fit together.
    #[error("{path}: {message}")]
    Invalid {
        /// Where, such as `instances[web].transport`.
        path: String,
        /// What is wrong.
        message: String,
    },
}

impl PlanError {
    /// The error code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed { .. } => codes::PLAN_MALFORMED,
            Self::Schema { .. } | Self::Unknown { .. } | Self::AboveSchema { .. } => {
                codes::PLAN_UNSUPPORTED
            }
            Self::Invalid { .. } => codes::PLAN_INVALID,
        }
    }

    /// As nodes report it.
    #[must_use]
    pub fn field_error(&self) -> FieldError {
        let code = self.code();
        let (path, message) = match self {
            Self::Invalid { path, message } => (path.clone(), message.clone()),
            Self::AboveSchema { path, .. } => (path.clone(), self.to_string()),
            Self::Malformed { .. } | Self::Schema { .. } | Self::Unknown { .. } => {
                (String::new(), self.to_string())
            }
        };
        let hint = crate::explain::explain(code.as_str()).map_or("", |entry| entry.remedy);
        FieldError { code: code.to_string(), path, message, hint: hint.to_owned() }
    }
}

impl PlanDocument {
    /// Reads `bytes`. What this build does not know is an error, never ignored.
    ///
    /// # Errors
    /// See [`PlanError`]. A schema out of range is told before anything else,
    /// since all other fields may have another meaning there.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlanError> {
        #[derive(Deserialize)]
        struct Envelope {
            schema: u64,
        }
        if bytes.len() > MAX_DOCUMENT {
            let message = format!("{} bytes, at most {MAX_DOCUMENT} are read", bytes.len());
            return Err(PlanError::Malformed { message });
        }
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| classify(&error))?;
        if !(u64::from(SCHEMA_MIN)..=u64::from(SCHEMA_MAX)).contains(&envelope.schema) {
            return Err(PlanError::Schema { schema: envelope.schema });
        }
        let plan: NodePlan = serde_json::from_slice(bytes).map_err(|error| classify(&error))?;
        let needed = plan.required_schema();
        if needed > plan.schema {
            let user = plan.instances.iter().find(|instance| instance.accept != Accept::default());
            let path = user.map_or_else(String::new, |one| field(one, "accept"));
            return Err(PlanError::AboveSchema { schema: plan.schema, needed, path });
        }
        check(&plan)?;
        Ok(Self { plan, bytes: bytes.to_vec(), digest: Digest::of(bytes) })
    }
}

/// serde has one error type for all; what is unknown to us and what is no plan
/// at all are told apart by its fixed phrases.
fn classify(error: &serde_json::Error) -> PlanError {
    let message = error.to_string();
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        PlanError::Unknown { message }
    } else {
        PlanError::Malformed { message }
    }
}

impl NodePlan {
    /// Lowest schema that expresses this plan.
    #[must_use]
    pub fn required_schema(&self) -> u32 {
        let settled = Accept::default();
        if self.instances.iter().any(|instance| instance.accept != settled) { 2 } else { 1 }
    }

    /// The document: canonical JSON. Equal plans give equal bytes.
    #[must_use]
    pub fn to_document(&self) -> Vec<u8> {
        // Strings, integers and maps with text keys only: nothing that JSON
        // can't hold.
        serde_json::to_vec(self).expect("a plan is always JSON")
    }

    /// Every secret that the plan needs, sorted, each once.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretRef> {
        let sent = self.instances.iter().map(|instance| &instance.auth);
        let accepted = self.instances.iter().flat_map(|instance| &instance.accept.auth);
        let mut found: Vec<_> = sent
            .chain(accepted)
            .filter_map(|auth| match auth {
                Auth::None => None,
                Auth::Pass { secret } => Some(secret.clone()),
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

fn field(instance: &InstancePlan, name: &str) -> String {
    format!("instances[{}].{name}", instance.name)
}

/// The rules that the types alone do not hold.
fn check(plan: &NodePlan) -> Result<(), PlanError> {
    for pair in plan.instances.windows(2) {
        if let [first, second] = pair
            && first.name >= second.name
        {
            let path = field(second, "name");
            let message = "instances are sorted by name, each name once".to_owned();
            return Err(PlanError::Invalid { path, message });
        }
    }
    let mut ids = std::collections::BTreeSet::new();
    for instance in &plan.instances {
        let invalid = |name: &str, message: &str| {
            Err(PlanError::Invalid { path: field(instance, name), message: message.to_owned() })
        };
        if !ids.insert((&instance.interface, instance.family, instance.vrid)) {
            return invalid("vrid", "another instance has it on the same interface and family");
        }
        if let Some((name, message)) = broken_rule(instance) {
            return invalid(name, message);
        }
    }
    Ok(())
}

/// The first rule that `instance` breaks: the field and what is wrong.
fn broken_rule(instance: &InstancePlan) -> Option<(&'static str, &'static str)> {
    let of_family = |address: IpAddr| Family::of(address) == instance.family;
    let version2 = instance.version == VrrpVersion::V2;
    if version2 && instance.family == Family::Ipv6 {
        return Some(("version", "version 2 has no IPv6"));
    }
    if !possible_interval(instance.interval_us, instance.version) {
        return Some(("interval_us", "not possible in this version"));
    }
    if instance.addresses.is_empty() || instance.addresses.len() > 255 {
        return Some(("addresses", "1 to 255 are possible"));
    }
    if !instance.addresses.iter().all(|vip| of_family(vip.address.addr())) {
        return Some(("addresses", "not all of the instance's family"));
    }
    if !version2 && instance.auth != Auth::None {
        return Some(("auth", "version 3 has no authentication"));
    }
    if instance.garp.repeat == 0 || instance.garp.refresh_repeat == 0 {
        return Some(("garp", "repeat and refresh_repeat are 1 or more"));
    }
    match &instance.transport {
        Transport::Unicast { source, peers } => {
            let all = peers.iter().map(|peer| peer.address).chain([*source]);
            if peers.is_empty() {
                return Some(("transport", "unicast without a peer"));
            }
            if peers.iter().any(|peer| peer.address == *source) {
                return Some(("transport", "the node is its own peer"));
            }
            if !all.into_iter().all(of_family) {
                return Some(("transport", "an address of another family"));
            }
        }
        Transport::Multicast { source } => {
            if !source.is_none_or(of_family) {
                return Some(("transport", "an address of another family"));
            }
        }
    }
    let accept = &instance.accept;
    if !accept.peers.iter().map(|peer| peer.address).all(of_family)
        || !accept.addresses.iter().copied().all(of_family)
    {
        return Some(("accept", "an address of another family"));
    }
    let of_version2 = !accept.intervals_us.is_empty() || !accept.auth.is_empty();
    if of_version2 && !version2 {
        return Some(("accept", "intervals and authentication are for version 2"));
    }
    None
}

#[cfg(test)]
mod tests;
