//! What an agent says about itself.

use super::describe::{node_instances, rejection, trouble};
use super::markup::{Symbols, Tone};
use super::when::{age, age_of, span};
use crate::view::{Health, LocalStatus, Session};

/// The lines of an agent's status, marked up. `age_us` is how old it can be
/// at most.
#[must_use]
pub fn local_status(status: &LocalStatus, age_us: u64, symbols: Symbols) -> Vec<String> {
    let mut lines = vec![format!(
        "Node {}   agent {}   plan from {}{}",
        Tone::Bold.paint(&status.node),
        status.agent_version,
        status.source,
        status
            .running
            .as_ref()
            .map_or_else(String::new, |plan| format!(", generation {}", plan.generation)),
    )];
    lines.extend(status.offered.as_ref().into_iter().flat_map(rejection));
    lines.push(match &status.session {
        Some(session) => controller(session, status.at_us, symbols),
        None => "controller   none is configured".to_owned(),
    });
    lines.push(String::new());
    match node_instances(&status.instances, status.at_us) {
        Some(table) => lines.extend(table.lines(true)),
        None => lines.push("no instances".to_owned()),
    }
    lines.extend(status.instances.iter().flat_map(|instance| trouble(instance, status.at_us)));
    lines.push(Tone::Dim.paint(&format!("Snapshot age {}.", span(age_us))));
    lines
}

fn controller(session: &Session, at_us: u64, symbols: Symbols) -> String {
    let connected = if session.connected {
        symbols.labelled(Health::Ok, "connected")
    } else {
        symbols.labelled(Health::Unknown, "not connected")
    };
    let since = match session.since_us {
        0 => age_of(0, at_us),
        since => format!("for {}", age(since, at_us)),
    };
    let error = match session.last_error.as_str() {
        "" => String::new(),
        error => format!(" ({error})"),
    };
    format!(
        "controller   {}   {connected} {since}{error}   {} events to send",
        session.controller, session.spooled_events
    )
}
