//! `hactl apply`.

use std::io::BufRead as _;

use super::{follow, plan, validate};
use crate::app::App;
use crate::cli::Apply;
use crate::client::{Controller, File, Wish};
use crate::error::{Outcome, Stop};
use crate::exit::Exit;
use crate::output;
use crate::view::RevisionRef;

/// Checks here, sends, and follows the rollout.
pub(super) async fn run(args: Apply, app: &mut App) -> Outcome {
    let files = validate::read(&args.files.files, app)?;
    if !validate::check(&files, args.replace, app)? {
        return Ok(Exit::Usage);
    }
    if args.dry_run {
        return plan::changes(files, args.replace, app, output::changes).await;
    }
    let mut controller = app.controller()?;
    let mut base = None;
    if app.can_ask && !args.yes {
        match agreed(&mut controller, &files, args.replace, app).await? {
            Answer::Yes(shown) => base = shown,
            Answer::No => return Ok(Exit::Error),
            Answer::Invalid => return Ok(Exit::Usage),
        }
    }
    let wish = Wish { files, message: args.message, base, replace: args.replace };
    let stream = controller.apply(wish).await?;
    follow::to_the_end(controller, stream, &args.follow, app).await
}

enum Answer {
    /// With the revision that the changes were shown against.
    Yes(Option<RevisionRef>),
    No,
    Invalid,
}

/// Shows the changes and asks. What changes no node needs no question.
async fn agreed(
    controller: &mut Controller,
    files: &[File],
    replace: bool,
    app: &mut App,
) -> Result<Answer, Stop> {
    let report = controller.plan(files.to_vec(), replace).await?;
    if !report.errors.is_empty() {
        output::manifest_errors(&mut app.out, &report.errors)?;
        return Ok(Answer::Invalid);
    }
    for line in output::changes(&report, app.out.symbols) {
        app.out.line(&line)?;
    }
    if report.changes.is_empty() {
        return Ok(Answer::Yes(report.base));
    }
    app.out.ask("Apply? [y/N]")?;
    let mut answer = String::new();
    app.stdin.read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(Answer::Yes(report.base));
    }
    app.out.note("nothing was applied")?;
    Ok(Answer::No)
}
