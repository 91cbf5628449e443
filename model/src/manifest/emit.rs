//! The canonical text of an object: block style, fields in a fixed order, no
//! comments, no anchors. Equal objects have equal texts.

use super::yaml::{Key, Node, Value, resolve};

/// Fields in the order in which people expect them; all others follow by name.
const ORDER: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "name",
    "labels",
    "segment",
    "nodes",
    "address",
    "addresses",
    "interfaceAddresses",
    "priority",
    "vrrp",
    "instances",
    "interface",
    "vrid",
    "vips",
    "version",
    "transport",
    "advertInterval",
    "checksum",
    "minTtl",
    "preempt",
    "enabled",
    "delay",
    "order",
    "priorities",
    "auth",
    "garp",
    "accept",
];

/// Canonical text of `root`.
pub(super) fn emit(root: &Node) -> String {
    let mut out = String::new();
    match &root.value {
        Value::Map(entries) if !entries.is_empty() => map(&mut out, entries, 0),
        Value::List(items) if !items.is_empty() => list(&mut out, items, 0),
        Value::Map(_)
        | Value::List(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float
        | Value::Text(_) => {
            out.push_str(&inline(&root.value));
            out.push('\n');
        }
    }
    out
}

fn rank(key: &str) -> (usize, &str) {
    (ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len()), key)
}

/// Entries, the first one where the cursor stands, the others indented.
fn map(out: &mut String, entries: &[(Key, Node)], indent: usize) {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|(key, _)| rank(&key.text));
    for (index, (key, node)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push_str(&word(&key.text));
        out.push(':');
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                line(out, indent + 2);
                map(out, entries, indent + 2);
            }
            Value::List(items) if !items.is_empty() => {
                line(out, indent + 2);
                list(out, items, indent + 2);
            }
            Value::Map(_)
            | Value::List(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float
            | Value::Text(_) => {
                out.push(' ');
                out.push_str(&inline(&node.value));
                out.push('\n');
            }
        }
    }
}

fn list(out: &mut String, items: &[Node], indent: usize) {
    for (index, node) in items.iter().enumerate() {
        if index > 0 {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push_str("- ");
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => map(out, entries, indent + 2),
            Value::List(items) if !items.is_empty() => list(out, items, indent + 2),
            Value::Map(_)
            | Value::List(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float
            | Value::Text(_) => {
                out.push_str(&inline(&node.value));
                out.push('\n');
            }
        }
    }
}

fn line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null | Value::Float => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Text(text) => word(text),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

/// `text` bare where that reads as the same text, else in double quotes: the
/// escapes of JSON are those of YAML.
fn word(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
        && matches!(resolve(text), Value::Text(_));
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
