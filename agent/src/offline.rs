//! Plans from files of this machine.

use std::path::{Path, PathBuf};

use ha_durable::atomic::{ReadError, read_limited};
use ha_model::plan::{NodePlan, SCHEMA_MAX, SCHEMA_MIN};

/// Most bytes of a plan document; a plan of 1000 instances has 400 kB.
const LIMIT: u64 = 16 << 20;

/// A plan file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It is not there, or can't be read.
    #[error("cannot read the plan {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// It is not there.
    #[error("there is no plan {}", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// It is no plan document, or has a field that this build does not know.
    #[error("{} is not a plan that this agent can run", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// Written for another generation of agents.
    #[error("{} has schema {schema}; this agent runs {SCHEMA_MIN} to {SCHEMA_MAX}", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
        /// Its schema.
        schema: u32,
    },
}

/// Reads the plan document at `path`.
///
/// # Errors
/// See [`PlanFileError`].
pub fn read_plan(path: &Path) -> Result<NodePlan, PlanFileError> {
    let path = || path.to_owned();
    let bytes = read_limited(&path(), LIMIT)
        .map_err(|source| PlanFileError::Read { path: path(), source })?
        .ok_or_else(|| PlanFileError::Missing { path: path() })?;
    let plan: NodePlan = serde_json::from_slice(&bytes)
        .map_err(|source| PlanFileError::Form { path: path(), source })?;
    if (SCHEMA_MIN..=SCHEMA_MAX).contains(&plan.schema) {
        Ok(plan)
    } else {
        Err(PlanFileError::Schema { path: path(), schema: plan.schema })
    }
}
