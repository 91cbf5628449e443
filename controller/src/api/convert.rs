//! Between the controller's types and the messages of the API.

use ha_model::diagnostic::{Diagnostic, Severity, Style, render};
use ha_model::diff::{ChangeClass, FieldChange};
use ha_model::status::FieldError;
use ha_proto::v1;
use tonic::{Code, Status};

use super::applier::{Refusal, TooOld};
use super::code;
use crate::error_chain;
use crate::fleet::{
    ClusterView, Connection, Finding, Head, Health, InstanceView, NodeView, RolloutGlance,
};
use crate::revisions::RevisionError;
use crate::rollout::Outcome;
use crate::store::StoreError;

pub(super) fn health(health: Health) -> v1::Health {
    match health {
        Health::Ok => v1::Health::Ok,
        Health::Degraded => v1::Health::Degraded,
        Health::Unknown => v1::Health::Unknown,
        Health::Down => v1::Health::Down,
        Health::Split => v1::Health::Split,
    }
}

pub(super) fn connection(connection: Connection) -> v1::Connection {
    match connection {
        Connection::Online => v1::Connection::Online,
        Connection::Unknown => v1::Connection::Unknown,
        Connection::Never => v1::Connection::Never,
    }
}

pub(super) fn outcome(outcome: Option<Outcome>) -> v1::rollout_done::Outcome {
    match outcome {
        None => v1::rollout_done::Outcome::Unspecified,
        Some(Outcome::Complete) => v1::rollout_done::Outcome::Complete,
        Some(Outcome::Offline) => v1::rollout_done::Outcome::Offline,
        Some(Outcome::Rejected) => v1::rollout_done::Outcome::Rejected,
        Some(Outcome::Superseded) => v1::rollout_done::Outcome::Superseded,
    }
}

pub(super) fn cluster(view: ClusterView) -> v1::ClusterStatus {
    let ClusterView { name, health, findings, instances, nodes, labels } = view;
    v1::ClusterStatus {
        name: name.into(),
        health: self::health(health).into(),
        findings: findings.into_iter().map(finding).collect(),
        instances: instances.into_iter().map(instance).collect(),
        nodes: nodes.into_iter().map(node).collect(),
        labels: labels.into_iter().collect(),
    }
}

fn finding(finding: Finding) -> v1::Finding {
    let Finding { severity, what, since_us, next } = finding;
    v1::Finding { severity: health(severity).into(), what, since_us, next }
}

fn instance(view: InstanceView) -> v1::ClusterInstance {
    let InstanceView { name, vrid, addresses, masters, since_us } = view;
    v1::ClusterInstance {
        name: name.into(),
        vrid: vrid.into(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        masters,
        since_us,
    }
}

fn node(view: NodeView) -> v1::ClusterNode {
    let NodeView { name, connection, heard_at_us, status, wanted } = view;
    v1::ClusterNode {
        name: name.into(),
        connection: self::connection(connection).into(),
        heard_at_us,
        status: status.map(|status| status.as_ref().clone().into()),
        wanted: Some(wanted.into()),
    }
}

pub(super) fn rollout(glance: RolloutGlance) -> v1::RolloutStatus {
    v1::RolloutStatus {
        rollout: glance.id.to_string(),
        clusters_total: glance.clusters_total,
        clusters_done: glance.clusters_done,
        active: glance.active,
        outcome: outcome(glance.outcome).into(),
    }
}

/// The head, or nothing.
pub(super) fn head(status: &mut v1::StatusResponse, head: Option<&Head>) {
    let Some(Head { id, at_us, author, message }) = head else { return };
    status.head = Some((*id).into());
    status.head_at_us = *at_us;
    status.head_author.clone_from(author);
    status.head_message.clone_from(message);
}

/// Mistakes, not remarks: those come from the check that the caller makes.
pub(super) fn mistakes(diagnostics: &[Diagnostic]) -> Vec<v1::ManifestError> {
    let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error);
    errors.map(mistake).collect()
}

fn mistake(diagnostic: &Diagnostic) -> v1::ManifestError {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    v1::ManifestError {
        code: diagnostic.code.to_string(),
        file: diagnostic.file().to_owned(),
        line: number(diagnostic.line()),
        column: number(diagnostic.column()),
        message: diagnostic.message.clone(),
        hint: diagnostic.hint.clone().unwrap_or_default(),
        rendered: render(std::slice::from_ref(diagnostic), Style::Plain),
    }
}

/// An agent that is too old, as a field of its plan.
pub(super) fn too_old(one: &TooOld) -> FieldError {
    FieldError {
        code: code::AGENT_TOO_OLD.to_owned(),
        path: "schema".to_owned(),
        message: format!(
            "node {} needs a plan of schema {}, its agent knows up to {}",
            one.node, one.needed, one.known
        ),
        hint: format!("upgrade the agent of {}, or leave the new feature out", one.node),
    }
}

fn too_old_mistake(one: &TooOld) -> v1::ManifestError {
    let FieldError { code, path: _, message, hint } = too_old(one);
    let rendered = format!("error[{code}]: {message}\n   = try: {hint}\n   hactl explain {code}\n");
    v1::ManifestError { code, message, hint, rendered, ..v1::ManifestError::default() }
}

/// What the caller is told: mistakes as data, all else as a status.
pub(super) fn refusal(refusal: Refusal) -> Result<Vec<v1::ManifestError>, Status> {
    match refusal {
        Refusal::Invalid(diagnostics) => Ok(mistakes(&diagnostics)),
        Refusal::TooOld(nodes) => Ok(nodes.iter().map(too_old_mistake).collect()),
        Refusal::Revision(error) => Err(revision(&error)),
        Refusal::Gone => Err(Status::unavailable("the controller is stopping")),
        Refusal::Vault(_) | Refusal::Begin { .. } | Refusal::Plan(_) => {
            let text = format!("{}: {}", code::ROLLOUT_NOT_STORED, error_chain(&refusal));
            Err(Status::internal(text))
        }
    }
}

/// A revision that was not read or stored; its code comes first.
pub(super) fn revision(error: &RevisionError) -> Status {
    let grpc = match error {
        RevisionError::BaseMoved { .. } => Code::FailedPrecondition,
        RevisionError::TooLarge { .. } => Code::InvalidArgument,
        RevisionError::Store(StoreError::Full(_)) => Code::ResourceExhausted,
        RevisionError::Store(_) | RevisionError::Random(_) | RevisionError::Damaged { .. } => {
            Code::Internal
        }
    };
    Status::new(grpc, format!("{}: {}", error.code(), error_chain(error)))
}

pub(super) fn class(class: ChangeClass) -> v1::ChangeClass {
    match class {
        ChangeClass::Live => v1::ChangeClass::Live,
        ChangeClass::Ordered => v1::ChangeClass::Ordered,
        ChangeClass::ExpandContract => v1::ChangeClass::ExpandContract,
        ChangeClass::Coordinated => v1::ChangeClass::Coordinated,
        ChangeClass::Disruptive => v1::ChangeClass::Disruptive,
    }
}

pub(super) fn field(change: FieldChange) -> v1::FieldChange {
    let FieldChange { path, before, after, class: _ } = change;
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    v1::FieldChange { path, before, after }
}
