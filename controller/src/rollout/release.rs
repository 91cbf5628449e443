//! What a node may run.

use std::collections::BTreeSet;

use bytes::Bytes;
use ha_model::document::{PlanDocument, PlanError};
use ha_model::ids::{Digest, PlanId, RevisionId};
use ha_model::plan::NodePlan;
use ha_model::secret::SecretRef;

/// A plan's bytes, shared by all that send them, and what has to be known of
/// them without reading them again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// The document. Its digest is taken over these bytes.
    pub bytes: Bytes,
    /// Schema that it needs.
    pub schema: u32,
    /// Secrets that it names.
    pub secrets: BTreeSet<SecretRef>,
}

impl Document {
    /// Takes over the bytes of a plan.
    ///
    /// # Errors
    /// They are not a plan that this build knows.
    pub fn parse(bytes: Bytes) -> Result<(Self, NodePlan), PlanError> {
        let plan = PlanDocument::parse(&bytes)?.plan;
        Ok((Self::of(&plan, bytes), plan))
    }

    /// The document `bytes`, which is that of `plan`.
    #[must_use]
    pub fn of(plan: &NodePlan, bytes: Bytes) -> Self {
        Self { bytes, schema: plan.schema, secrets: plan.secrets().into_iter().collect() }
    }

    /// Digest of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// A plan that a node may have: its turn in a rollout has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Release {
    /// Which plan.
    pub plan: PlanId,
    /// The revision that it came with.
    pub revision: RevisionId,
    /// W3C trace context of the apply behind it.
    pub traceparent: Option<String>,
    /// The plan itself.
    pub document: std::sync::Arc<Document>,
}
