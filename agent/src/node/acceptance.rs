//! Whether a plan is taken. Pure: equal inputs, equal answers.

use std::collections::BTreeSet;

use ha_model::ids::{Digest, NodeName, PlanId};
use ha_model::plan::{Auth, NodePlan, SCHEMA_MAX, SCHEMA_MIN};
use ha_model::secret::SecretRef;
use ha_model::status::FieldError;
use serde::Deserialize;

use super::message::Offer;

/// What becomes of a plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// It is the running one: nothing to do but to report again.
    Repeat,
    /// Not taken, for these reasons; the old plan keeps running.
    Reject(Vec<FieldError>),
    /// It can run.
    Take(Box<NodePlan>),
}

/// Decides about `offer` on the node `node`, where `running` is the plan that
/// runs, if a controller gave it, and `held` tells which secrets have a value
/// here.
///
/// Nothing about earlier rejections goes in: the same plan meets the same
/// checks and fails again, unless what failed it was the node (a full disk, a
/// missing secret, an agent that was too old), and then it deserves a new try.
#[must_use]
pub fn decide(
    node: &NodeName,
    running: Option<&PlanId>,
    offer: &Offer,
    held: impl Fn(&SecretRef) -> bool,
) -> Decision {
    if let Some(error) = digest_error(offer) {
        return Decision::Reject(vec![error]);
    }
    if running == Some(&offer.plan) {
        return Decision::Repeat;
    }
    if let Some(error) = running.and_then(|running| order_error(running, &offer.plan)) {
        return Decision::Reject(vec![error]);
    }
    match check_document(node, &offer.document, held) {
        Ok(plan) => Decision::Take(Box::new(plan)),
        Err(errors) => Decision::Reject(errors),
    }
}

/// Reads a document and checks it against this node. All that is wrong with
/// it, as far as it can be told at once.
///
/// # Errors
/// E2002, E2005 and E2006, for the places they concern.
pub fn check_document(
    node: &NodeName,
    document: &[u8],
    held: impl Fn(&SecretRef) -> bool,
) -> Result<NodePlan, Vec<FieldError>> {
    let plan = read(document).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    if plan.node != *node {
        errors.push(FieldError {
            code: "E2005".into(),
            path: "node".into(),
            message: format!("the plan is for node {}, this is {node}", plan.node),
            hint: "check the name that this node was enrolled with".into(),
        });
    }
    errors.extend(secrets_named(&plan).iter().filter(|secret| !held(secret)).map(|secret| {
        FieldError {
            code: "E2006".into(),
            path: String::new(),
            message: format!(
                "secret {} version {} is not on this node",
                secret.name, secret.version
            ),
            hint: "apply the Secret with its value".into(),
        }
    }));
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

/// The secrets that a plan needs.
#[must_use]
pub fn secrets_named(plan: &NodePlan) -> BTreeSet<SecretRef> {
    plan.instances
        .iter()
        .flat_map(|instance| std::iter::once(&instance.auth).chain(&instance.accept.auth))
        .filter_map(|auth| match auth {
            Auth::None => None,
            Auth::Pass { secret } => Some(secret.clone()),
        })
        .collect()
}

fn digest_error(offer: &Offer) -> Option<FieldError> {
    let digest = Digest::of(&offer.document);
    (digest != offer.plan.digest).then(|| FieldError {
        code: "E2001".into(),
        path: String::new(),
        message: format!("the document's digest is {digest}, {} was offered", offer.plan.digest),
        hint: "the document was changed on its way; offer it again".into(),
    })
}

fn order_error(running: &PlanId, offered: &PlanId) -> Option<FieldError> {
    if offered.generation < running.generation {
        return Some(FieldError {
            code: "E2003".into(),
            path: String::new(),
            message: format!(
                "generation {} is older than {}, which runs",
                offered.generation, running.generation
            ),
            hint: "undo is a new generation with the old content".into(),
        });
    }
    if offered.generation > running.generation {
        return None;
    }
    Some(FieldError {
        code: "E2004".into(),
        path: String::new(),
        message: format!(
            "generation {} runs here with digest {} of epoch {}, offered is {} of epoch {}",
            running.generation, running.digest, running.epoch, offered.digest, offered.epoch
        ),
        hint: "two stores gave out the same generation; give the node a newer one".into(),
    })
}

/// The part of every schema that tells which one it is.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

fn read(document: &[u8]) -> Result<NodePlan, FieldError> {
    let unreadable = |path: &str, message: String| FieldError {
        code: "E2002".into(),
        path: path.into(),
        message,
        hint: "this agent may be older than the controller; upgrade it".into(),
    };
    let Schema { schema } = serde_json::from_slice(document)
        .map_err(|error| unreadable("schema", format!("the document can't be read: {error}")))?;
    if !(SCHEMA_MIN..=SCHEMA_MAX).contains(&schema) {
        return Err(unreadable(
            "schema",
            format!("schema {schema} is not known here, {SCHEMA_MIN} to {SCHEMA_MAX} are"),
        ));
    }
    serde_json::from_slice(document).map_err(|error| unreadable("", error.to_string()))
}

#[cfg(test)]
mod tests;
