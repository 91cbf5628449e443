//! Documents for programs: schema and kind, then the fields of the object, or
//! `items`.

use std::io;

use serde::Serialize;

use crate::view::SCHEMA;

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    data: &'a T,
}

/// Objects of one kind.
#[derive(Serialize)]
pub(super) struct List<'a, T> {
    /// The objects.
    pub(super) items: &'a [T],
}

fn document<'a, T>(kind: &'static str, data: &'a T) -> Document<'a, T> {
    Document { schema: SCHEMA, kind, data }
}

/// Over several lines.
pub(super) fn json<T: Serialize>(kind: &'static str, data: &T) -> io::Result<String> {
    let text = serde_json::to_string_pretty(&document(kind, data)).map_err(io::Error::other)?;
    Ok(text + "\n")
}

/// On one line.
pub(super) fn json_line<T: Serialize>(kind: &'static str, data: &T) -> io::Result<String> {
    let text = serde_json::to_string(&document(kind, data)).map_err(io::Error::other)?;
    Ok(text + "\n")
}

/// As YAML.
pub(super) fn yaml<T: Serialize>(kind: &'static str, data: &T) -> io::Result<String> {
    serde_saphyr::to_string(&document(kind, data)).map_err(io::Error::other)
}
