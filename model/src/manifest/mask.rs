//! Hides the values of secrets in a text that messages will show.

use std::ops::Range;

use super::yaml::{Node, Value};

/// `text` with everything overwritten that is, or may be, the value of a
/// secret. Every byte keeps its place, so that ranges stay right.
pub(super) fn mask(text: &str, roots: &[Node]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for root in roots {
        if let Some(spec) = secret_spec(root) {
            mask_leaves(&mut bytes, spec);
        }
    }
    mask_value_lines(&mut bytes, text);
    String::from_utf8(bytes).unwrap_or_default()
}

/// The `spec` of a document that says it is a Secret.
fn secret_spec(root: &Node) -> Option<&Node> {
    let Value::Map(entries) = &root.value else { return None };
    let field = |name| entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node);
    match &field("kind")?.value {
        Value::Text(kind) if kind.eq_ignore_ascii_case("secret") => field("spec"),
        Value::Text(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

fn mask_leaves(bytes: &mut [u8], node: &Node) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| mask_leaves(bytes, item)),
        Value::Map(entries) => {
            for (key, value) in entries {
                match (key.text.as_str(), &value.value) {
                    ("version", Value::Int(_)) => continue,
                    ("value" | "version", _) => {}
                    _ => overwrite(bytes, key.range.clone()),
                }
                mask_leaves(bytes, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float | Value::Text(_) => {
            overwrite(bytes, node.range.clone());
        }
    }
}

/// A text that is not even YAML has no tree: whatever follows a `value:` is
/// hidden, to the end of the lines that belong to it.
fn mask_value_lines(bytes: &mut [u8], text: &str) {
    let mut start = 0;
    let mut below: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let blank = line.trim().is_empty();
        if below.is_some_and(|outer| blank || indent > outer) {
            overwrite(bytes, start + indent..start + line.len());
        } else {
            below = None;
            if let Some(at) = value_starts(line) {
                overwrite(bytes, start + at..start + line.len());
                below = Some(indent);
            }
        }
        start += line.len();
    }
}

/// Where the value begins, in a line that has a key `value`.
fn value_starts(line: &str) -> Option<usize> {
    ["value:", "value\":", "value':", "value :"].iter().find_map(|key| {
        let at = line.find(key)? + key.len();
        Some(at + line[at..].len() - line[at..].trim_start_matches(' ').len())
    })
}

fn overwrite(bytes: &mut [u8], range: Range<usize>) {
    let end = range.end.min(bytes.len());
    let start = range.start.min(end);
    for byte in &mut bytes[start..end] {
        if *byte != b'\n' && *byte != b'\r' {
            *byte = b'*';
        }
    }
}
