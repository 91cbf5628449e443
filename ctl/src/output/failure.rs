//! Errors: what, where, why, what next.

use super::markup::Tone;
use crate::error::Failure;

/// The lines of an error, marked up.
pub(super) fn lines(failure: &Failure, trace: Option<&str>) -> Vec<String> {
    let head = Tone::Bad.paint(&format!("error[{}]", failure.code));
    let mut lines = vec![format!("{head}: {}", failure.what)];
    if let Some(place) = &failure.place {
        lines.push(format!("  --> {place}"));
    }
    lines.extend(failure.why.iter().map(|why| format!("   = why: {why}")));
    if let Some(next) = &failure.next {
        lines.push(format!("   = try: {next}"));
    }
    if let Some(trace) = trace {
        lines.push(format!("   = trace: {trace}"));
    }
    lines.push(Tone::Dim.paint(&format!("   hactl explain {}", failure.code)));
    lines
}
