//! What the session and the offline sources say to the node, and what they
//! see of it. All of it is serialisable, so that the session can become a
//! process of its own.

use ha_model::ids::{PlanId, RevisionId};
use ha_model::secret::{SecretRef, SecretValue};
use ha_model::status::NodeStatus;
use serde::{Deserialize, Serialize};

/// A plan, as a controller offers it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Offer {
    /// Its identity.
    pub plan: PlanId,
    /// The revision that it comes from; information only.
    pub revision: Option<RevisionId>,
    /// The document, as received.
    pub document: Vec<u8>,
    /// W3C trace context of the one who offers.
    pub traceparent: Option<String>,
}

/// The value of one secret. Prints without the value; what it serialises to
/// holds the value and must go nowhere but to a private file or pipe.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GivenSecret {
    /// Which secret, and which of its values.
    #[serde(flatten)]
    pub secret: SecretRef,
    /// The value.
    #[serde(with = "exposed")]
    pub value: SecretValue,
}

mod exposed {
    use ha_model::secret::SecretValue;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Text where it is UTF-8, so that people can write such a file.
    #[derive(Deserialize, Serialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(value: &SecretValue, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(value.expose()) {
            Ok(text) => to.serialize_str(text),
            Err(_) => value.expose().serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SecretValue, D::Error> {
        Ok(SecretValue::new(match Form::deserialize(from)? {
            Form::Text(text) => text.into_bytes(),
            Form::Bytes(bytes) => bytes,
        }))
    }
}

/// A plan that comes from a file of this machine.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OfflinePlan {
    /// Where it comes from.
    pub source: Source,
    /// The document.
    pub document: Vec<u8>,
    /// Values of the secrets that it names.
    pub secrets: Vec<GivenSecret>,
}

/// What the node is asked to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Command {
    /// Values for the next offer.
    Secrets(Vec<GivenSecret>),
    /// Take this plan, or say why not.
    Offer(Offer),
    /// Take this plan of this machine, or say why not.
    Offline(OfflinePlan),
}

/// Where the running plan comes from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A controller.
    #[default]
    Controller,
    /// A directory of manifests.
    Manifest,
    /// A plan document.
    Plan,
}

impl Source {
    /// As `hactl --local status` prints it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Manifest => "manifest",
            Self::Plan => "plan",
        }
    }
}

/// The node, as the others see it: a level, the latest wins.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeView {
    /// The full status.
    pub status: NodeStatus,
    /// Offers that were decided about since the start of the process.
    pub offers: u64,
    /// Trace context of the span that applied the offered plan.
    pub traceparent: Option<String>,
    /// Secrets whose values are on the disk of this node.
    pub secrets_held: Vec<SecretRef>,
    /// Where the running plan comes from.
    pub source: Source,
    /// The document that runs.
    pub document: Option<Vec<u8>>,
}
