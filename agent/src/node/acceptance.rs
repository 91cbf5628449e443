//! Whether a plan is taken. Pure: equal inputs, equal answers.

use std::cmp::Ordering;

use ha_model::document::PlanDocument;
use ha_model::explain::{Code, codes, explain};
use ha_model::ids::{Digest, NodeName, PlanId};
use ha_model::plan::NodePlan;
use ha_model::secret::SecretRef;
use ha_model::status::FieldError;

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
/// E2002, E2005, E2006, E2008 and E2009, for the places they concern.
pub fn check_document(
    node: &NodeName,
    document: &[u8],
    held: impl Fn(&SecretRef) -> bool,
) -> Result<NodePlan, Vec<FieldError>> {
    let plan = PlanDocument::parse(document).map_err(|error| vec![error.field_error()])?.plan;
    let mut errors = Vec::new();
    if plan.node != *node {
        let message = format!("the plan is for node {}, this is {node}", plan.node);
        errors.push(error(codes::PLAN_OTHER_NODE, "node", message));
    }
    for secret in plan.secrets().iter().filter(|secret| !held(secret)) {
        let message =
            format!("secret {} version {} is not on this node", secret.name, secret.version);
        errors.push(error(codes::PLAN_SECRET_MISSING, "", message));
    }
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

/// An error of a plan, with the advice that belongs to its code.
pub(super) fn error(code: Code, path: &str, message: String) -> FieldError {
    let hint = explain(code.as_str()).map_or("", |explanation| explanation.remedy);
    FieldError { code: code.to_string(), path: path.into(), message, hint: hint.into() }
}

fn digest_error(offer: &Offer) -> Option<FieldError> {
    let digest = Digest::of(&offer.document);
    (digest != offer.plan.digest).then(|| {
        let message =
            format!("the document's digest is {digest}, {} was offered", offer.plan.digest);
        error(codes::PLAN_DIGEST, "", message)
    })
}

fn order_error(running: &PlanId, offered: &PlanId) -> Option<FieldError> {
    match offered.generation.cmp(&running.generation) {
        Ordering::Greater => None,
        Ordering::Less => {
            let message = format!(
                "generation {} is older than {}, which runs",
                offered.generation, running.generation
            );
            Some(error(codes::PLAN_STALE, "", message))
        }
        Ordering::Equal => {
            let message = format!(
                "generation {} runs here with digest {} of epoch {}, offered is {} of epoch {}",
                running.generation, running.digest, running.epoch, offered.digest, offered.epoch
            );
            Some(error(codes::PLAN_CONFLICT, "", message))
        }
    }
}

#[cfg(test)]
mod tests;
