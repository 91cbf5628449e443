//! Identities.

use ha_model::ids::{Digest, Epoch, Generation, PlanId, RevisionId};

use super::ConvertError;
use crate::v1;

fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, ConvertError> {
    let bytes = <[u8; 32]>::try_from(bytes)
        .map_err(|error| ConvertError::invalid(field)(Box::new(error)))?;
    Ok(Digest(bytes))
}

impl From<PlanId> for v1::PlanId {
    fn from(id: PlanId) -> Self {
        let PlanId { epoch, generation, digest } = id;
        Self { epoch: epoch.0, generation: generation.0, sha256: digest.0.to_vec() }
    }
}

impl TryFrom<v1::PlanId> for PlanId {
    type Error = ConvertError;

    fn try_from(message: v1::PlanId) -> Result<Self, ConvertError> {
        let v1::PlanId { epoch, generation, sha256 } = message;
        Ok(Self {
            epoch: Epoch(epoch),
            generation: Generation(generation),
            digest: digest("PlanId.sha256", &sha256)?,
        })
    }
}

impl From<RevisionId> for v1::RevisionId {
    fn from(id: RevisionId) -> Self {
        let RevisionId { epoch, number, digest } = id;
        Self { epoch: epoch.0, number, sha256: digest.0.to_vec() }
    }
}

impl TryFrom<v1::RevisionId> for RevisionId {
    type Error = ConvertError;

    fn try_from(message: v1::RevisionId) -> Result<Self, ConvertError> {
        let v1::RevisionId { epoch, number, sha256 } = message;
        Ok(Self { epoch: Epoch(epoch), number, digest: digest("RevisionId.sha256", &sha256)? })
    }
}
