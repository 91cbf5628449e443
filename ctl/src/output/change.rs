//! Changes: by node, by field, and between two revisions' manifests.

use std::collections::{BTreeMap, BTreeSet};

use similar::{ChangeTag, TextDiff};

use super::markup::{Symbols, Tone};
use super::table::Table;
use crate::view::{ChangeClass, Manifests, NodeChange, PlanReport};

/// Lines around a change in a text.
const CONTEXT_LINES: usize = 3;

fn class_word(class: ChangeClass) -> &'static str {
    match class {
        ChangeClass::Unknown => "unknown",
        ChangeClass::Live => "live",
        ChangeClass::Ordered => "ordered",
        ChangeClass::ExpandContract => "expand/contract",
        ChangeClass::Coordinated => "coordinated",
        ChangeClass::Disruptive => "DISRUPTIVE",
    }
}

fn class(class: ChangeClass) -> String {
    match class {
        ChangeClass::Live | ChangeClass::Ordered | ChangeClass::ExpandContract => {
            class_word(class).to_owned()
        }
        ChangeClass::Unknown | ChangeClass::Coordinated => Tone::Warn.paint(class_word(class)),
        ChangeClass::Disruptive => Tone::Bad.paint(class_word(class)),
    }
}

fn many(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn summary(report: &PlanReport, symbols: Symbols) -> String {
    let against = report
        .base
        .as_ref()
        .map_or_else(|| "the empty fleet".to_owned(), |base| format!("rev {}", base.number));
    let Some(hardest) = report.changes.iter().map(|change| change.class).max() else {
        return format!("no node changes (against {against})");
    };
    let clusters: BTreeSet<&str> =
        report.changes.iter().map(|change| change.cluster.as_str()).collect();
    let dot = symbols.dot();
    format!(
        "{} {dot} {} {dot} hardest class {} (against {against})",
        many(clusters.len(), "cluster"),
        many(report.changes.len(), "node"),
        class(hardest)
    )
}

/// Which nodes change, one a line.
#[must_use]
pub fn changes(report: &PlanReport, symbols: Symbols) -> Vec<String> {
    let mut lines = vec![summary(report, symbols)];
    if report.changes.is_empty() {
        return lines;
    }
    let mut table = Table::new(&["CLUSTER", "NODE", "CLASS", "FIELDS", "NOTE"]).indented(2);
    for change in &report.changes {
        table.row([
            change.cluster.clone(),
            change.node.clone(),
            class(change.class),
            field_names(change),
            note(change),
        ]);
    }
    lines.extend(table.lines(true));
    lines
}

/// The first few fields by name.
fn field_names(change: &NodeChange) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<&str> = change
        .fields
        .iter()
        .take(SHOWN)
        .map(|field| if field.path.is_empty() { "the whole plan" } else { field.path.as_str() })
        .collect();
    let more = format!("{} more", change.fields.len().saturating_sub(SHOWN));
    if change.fields.len() > SHOWN {
        names.push(&more);
    }
    names.join(", ")
}

fn note(change: &NodeChange) -> String {
    let mut notes: Vec<String> = change
        .errors
        .iter()
        .map(|error| Tone::Bad.paint(&format!("{}: {}", error.code, error.message)))
        .collect();
    if change.offline {
        notes.push(Tone::Warn.paint("offline, converges on return"));
    }
    notes.join("; ")
}

/// Every changed field, before and after.
#[must_use]
pub fn fields(report: &PlanReport, symbols: Symbols) -> Vec<String> {
    let mut lines = vec![summary(report, symbols)];
    for change in &report.changes {
        let head = format!("{}/{}", change.cluster, change.node);
        let note = note(change);
        let note = if note.is_empty() { note } else { format!("  {note}") };
        lines.push(format!("{}  {}{note}", Tone::Bold.paint(&head), class(change.class)));
        for field in &change.fields {
            lines.push(format!("  {}", field.path));
            if !field.before.is_empty() {
                lines.push(Tone::Bad.paint(&format!("  - {}", field.before)));
            }
            if !field.after.is_empty() {
                lines.push(Tone::Good.paint(&format!("  + {}", field.after)));
            }
        }
    }
    lines
}

/// What differs between the manifests of two revisions; empty: nothing.
#[must_use]
pub fn manifest_diff(before: &Manifests, after: &Manifests) -> Vec<String> {
    let texts = |manifests: &Manifests| -> BTreeMap<String, String> {
        manifests.files.iter().map(|file| (file.name.clone(), file.text.clone())).collect()
    };
    let (before, after) = (texts(before), texts(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let text =
        |texts: &BTreeMap<String, String>, name: &str| texts.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .flat_map(|name| file_diff(name, &text(&before, name), &text(&after, name)))
        .collect()
}

fn file_diff(name: &str, before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines =
        vec![Tone::Bold.paint(&format!("--- {name}")), Tone::Bold.paint(&format!("+++ {name}"))];
    for group in diff.grouped_ops(CONTEXT_LINES) {
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            let (old, new) = (
                first.old_range().start..last.old_range().end,
                first.new_range().start..last.new_range().end,
            );
            lines.push(Tone::Dim.paint(&format!(
                "@@ -{},{} +{},{} @@",
                old.start + 1,
                old.len(),
                new.start + 1,
                new.len()
            )));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches('\n');
            lines.push(match change.tag() {
                ChangeTag::Delete => Tone::Bad.paint(&format!("-{text}")),
                ChangeTag::Insert => Tone::Good.paint(&format!("+{text}")),
                ChangeTag::Equal => format!(" {text}"),
            });
        }
    }
    lines
}
