//! `hactl version`.

use serde::Serialize;

use crate::app::{App, only};
use crate::error::Outcome;
use crate::exit::Exit;
use crate::output::Format;
use crate::view::SCHEMA;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    schema: &'static str,
}

/// Prints the version of this program and of its output schema.
pub(super) fn run(app: &mut App) -> Outcome {
    only(app, "version", &[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let version = env!("CARGO_PKG_VERSION");
    match app.out.format {
        Format::Json | Format::Yaml => {
            app.out.document("Version", &Version { version, schema: SCHEMA })?;
        }
        Format::Table | Format::Wide | Format::Name => app.out.line(&format!("hactl {version}"))?,
    }
    Ok(Exit::Ok)
}
