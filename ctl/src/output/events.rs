//! Events, one a line.

use ha_model::event::{Cause, EventKind};
use ha_model::status::{FaultReason, VrrpState};
use serde::Deserialize as _;

use super::markup::{Symbols, Tone};
use super::when::clock;
use crate::view::Event;

/// One event on one line, marked up.
#[must_use]
pub fn event_line(event: &Event, symbols: Symbols) -> String {
    let what = match EventKind::deserialize(&event.what) {
        Ok(kind) => describe(&kind, symbols),
        // A kind of a newer release is shown as it came.
        Err(_) => event.what.to_string(),
    };
    let node = if event.node.is_empty() { String::new() } else { format!("{:<14}  ", event.node) };
    format!("{}  {node}{what}", clock(event.at_us))
}

fn state(state: VrrpState) -> String {
    match state {
        VrrpState::Init => "init".to_owned(),
        VrrpState::Backup => "backup".to_owned(),
        VrrpState::Master => Tone::Good.paint("MASTER"),
        VrrpState::Fault => Tone::Bad.paint("FAULT"),
    }
}

fn describe(kind: &EventKind, symbols: Symbols) -> String {
    match kind {
        EventKind::AgentStarted { version } => format!("agent {version} started"),
        EventKind::AgentStopping => "agent stops on request".to_owned(),
        EventKind::Transition { instance, from, to, cause, priority } => format!(
            "{instance}: {} {} {} at priority {priority}: {}",
            state(*from),
            symbols.arrow(),
            state(*to),
            why(cause)
        ),
        EventKind::TwoMasters { instance, address, priority } => format!(
            "{instance}: {} at {address}, priority {priority}",
            Tone::Bad.paint("another MASTER")
        ),
        EventKind::TwoMastersEnded { instance } => format!("{instance}: only one master is left"),
        EventKind::AddressPutBack { address, interface } => {
            format!("{address} was removed from {interface} by somebody else and put back")
        }
        EventKind::AddressFailed { address, interface, reason } => {
            format!("{} {address} on {interface}: {reason}", Tone::Bad.paint("lost"))
        }
        EventKind::PlanApplied { plan } => format!("plan {} runs", plan.generation),
        EventKind::PlanRejected { plan, errors } => {
            let errors: Vec<String> =
                errors.iter().map(|error| format!("{} {}", error.code, error.message)).collect();
            let rejected = Tone::Bad.paint("rejected");
            format!("plan {} {rejected}: {}", plan.generation, errors.join("; "))
        }
        EventKind::FileSetAside { file, reason } => {
            format!("{} {file} was set aside: {reason}", Tone::Warn.paint("unreadable:"))
        }
        EventKind::Gap { lost, reason } => {
            format!("{} {lost} events are missing here: {reason}", Tone::Warn.paint("gap:"))
        }
    }
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Startup => "started".to_owned(),
        Cause::Owner => "owns the addresses".to_owned(),
        Cause::MasterDown => "no advert within the master-down interval".to_owned(),
        Cause::MasterReleased => "the master let go".to_owned(),
        Cause::HigherPriority { address, priority } => {
            format!("{address} has priority {priority}")
        }
        Cause::Fault(reasons) => reasons.iter().map(fault).collect::<Vec<_>>().join(", "),
        Cause::FaultCleared => "all that was missing is there again".to_owned(),
        Cause::PlanChanged => "the plan changed".to_owned(),
        Cause::Stop => "the agent stops".to_owned(),
        Cause::LateWakeup => "woke up late, and a peer had taken over".to_owned(),
        Cause::Resumed => "the agent restarted and went on".to_owned(),
    }
}

fn fault(reason: &FaultReason) -> String {
    match reason {
        FaultReason::InterfaceMissing(interface) => format!("{interface} does not exist"),
        FaultReason::InterfaceDown(interface) => format!("{interface} is down"),
        FaultReason::NoSourceAddress(interface) => format!("{interface} has no source address"),
        FaultReason::SecretMissing(secret) => format!("secret {secret} is missing"),
    }
}
