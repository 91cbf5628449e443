//! `hactl validate`, and the check that every verb with manifests begins with.

use std::io;
use std::path::PathBuf;

use ha_model::diagnostic::{self, Diagnostic, Severity, Style};
use ha_model::explain::codes;
use ha_model::manifest::{self as manifests, KnownSecrets, ManifestFile, ManifestSet, Mode};
use serde::Serialize;

use crate::app::{App, only};
use crate::cli::Validate;
use crate::client::File;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::manifest;
use crate::output::{self, Format};
use crate::view::ManifestError;

#[derive(Serialize)]
struct Validation {
    errors: Vec<ManifestError>,
    warnings: Vec<ManifestError>,
}

/// Checks manifests without asking anybody.
pub(super) fn run(args: &Validate, app: &mut App) -> Outcome {
    only(app, "validate", &[Format::Table, Format::Json, Format::Yaml])?;
    let files = read(&args.files.files, app)?;
    let (errors, warnings) = examine(&files, args.replace);
    let good = errors.is_empty();
    match app.out.format {
        Format::Json | Format::Yaml => {
            let [errors, warnings] = [errors, warnings].map(|list| list.iter().map(view).collect());
            app.out.document("Validation", &Validation { errors, warnings })?;
        }
        Format::Table | Format::Wide | Format::Name => {
            show(&errors, &warnings, app)?;
            if good {
                let count = files.len();
                let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
                app.out.line(&format!("{files}: no mistakes"))?;
            }
        }
    }
    Ok(if good { Exit::Ok } else { Exit::Usage })
}

/// Reads the manifests that were named.
pub(super) fn read(paths: &[PathBuf], app: &mut App) -> Result<Vec<File>, Failure> {
    manifest::read(paths, &mut app.stdin)
}

/// Whether the manifests are right; all mistakes are printed.
pub(super) fn check(files: &[File], whole: bool, app: &mut App) -> io::Result<bool> {
    let (errors, warnings) = examine(files, whole);
    show(&errors, &warnings, app)?;
    Ok(errors.is_empty())
}

/// Errors and warnings. Unless the files are the `whole` wish, what depends on
/// objects that only the controller has is left to it.
fn examine(files: &[File], whole: bool) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let files: Vec<ManifestFile> = files
        .iter()
        .map(|file| ManifestFile { name: file.name.clone(), text: file.text.clone() })
        .collect();
    let (mode, known) = (Mode::Replace, KnownSecrets::default());
    let mut found = match manifests::check(&ManifestSet::default(), &files, mode, &known) {
        Ok(checked) => checked.warnings,
        Err(found) => found,
    };
    for diagnostic in &mut found {
        let elsewhere = diagnostic.code == codes::SECRET_VERSION
            || (diagnostic.code == codes::UNKNOWN_SECRET && !whole);
        if elsewhere {
            diagnostic.severity = Severity::Warning;
            diagnostic.hint = Some("the controller knows; it checks again".to_owned());
        }
    }
    found.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error)
}

fn show(errors: &[Diagnostic], warnings: &[Diagnostic], app: &mut App) -> io::Result<()> {
    let style = if app.out.is_error_coloured() { Style::Coloured } else { Style::Plain };
    for list in [warnings, errors] {
        let text = diagnostic::render(list, style);
        if !text.is_empty() {
            app.out.raw_error(text.as_bytes())?;
            app.out.raw_error(b"\n")?;
        }
    }
    match errors.len() {
        0 => Ok(()),
        count => app.out.note(&output::mistakes(count, "nothing was sent")),
    }
}

fn view(diagnostic: &Diagnostic) -> ManifestError {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    ManifestError {
        code: diagnostic.code.as_str().to_owned(),
        file: diagnostic.file().to_owned(),
        line: number(diagnostic.line()),
        column: number(diagnostic.column()),
        message: diagnostic.message.clone(),
        hint: diagnostic.hint.clone().unwrap_or_default(),
        rendered: String::new(),
    }
}
