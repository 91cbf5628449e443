//! What hactl shows, as data. These types are the versioned schema of
//! `-o json` and `-o yaml` ([`SCHEMA`]): a field is added, never renamed or
//! given another meaning, without a new schema. Times are wall clock in
//! microseconds since 1970 and end in `_us`.

mod change;
mod event;
mod fleet;
mod local;
mod object;
mod progress;

pub use change::{ChangeClass, FieldChange, NodeChange, PlanReport};
pub use event::Event;
pub use fleet::{
    Attention, Cluster, ClusterNode, Connection, Counts, Finding, FleetStatus, Health, Instance,
    NodeInstance, OfferedPlan, PlanRef, Rollout, Seen, Uplink,
};
pub use local::{LocalStatus, Session};
pub use object::{
    ContextView, JoinToken, Manifest, Manifests, Node, RenderedPlan, Revision, RevisionRef, Secret,
};
pub use progress::{
    ClusterPhase, ManifestError, NodeProgress, Outcome, PlanPhase, Problem, Progress, ProgressEvent,
};

/// Name and version of this schema, in every document.
pub const SCHEMA: &str = "hactl/v1";
