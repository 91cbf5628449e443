//! `hactl plan`.

use crate::app::{App, only};
use crate::cli;
use crate::client::File;
use crate::error::Outcome;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::view::PlanReport;

use super::validate;

pub(super) const FORMS: [Format; 4] = [Format::Table, Format::Wide, Format::Json, Format::Yaml];

/// Shows what applying would change, node by node.
pub(super) async fn run(args: &cli::Plan, app: &mut App) -> Outcome {
    only(app, "plan", &FORMS)?;
    let files = validate::read(&args.files.files, app)?;
    if !validate::check(&files, args.replace, app)? {
        return Ok(Exit::Usage);
    }
    changes(files, args.replace, app, output::changes).await
}

/// Asks for the changes and prints them with `lines`.
pub(super) async fn changes(
    files: Vec<File>,
    replace: bool,
    app: &mut App,
    lines: fn(&PlanReport, output::Symbols) -> Vec<String>,
) -> Outcome {
    let report = app.controller()?.plan(files, replace).await?;
    match app.out.format {
        Format::Json | Format::Yaml => app.out.document("Plan", &report)?,
        Format::Table | Format::Wide | Format::Name if report.errors.is_empty() => {
            lines(&report, app.out.symbols).iter().try_for_each(|line| app.out.line(line))?;
        }
        Format::Table | Format::Wide | Format::Name => {
            output::manifest_errors(&mut app.out, &report.errors)?;
        }
    }
    Ok(match (report.errors.is_empty(), report.changes.is_empty()) {
        (false, _) => Exit::Usage,
        (true, true) => Exit::Ok,
        (true, false) => Exit::Changes,
    })
}
