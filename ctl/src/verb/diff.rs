//! `hactl diff`.

use serde::Serialize;

use super::{plan, validate};
use crate::app::{App, only};
use crate::cli::Diff;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::view::Manifests;

#[derive(Serialize)]
struct Revisions<'a> {
    before: &'a Manifests,
    after: &'a Manifests,
}

/// Shows each changed field of what files would change, or the difference of
/// two revisions.
pub(super) async fn run(args: &Diff, app: &mut App) -> Outcome {
    only(app, "diff", &plan::FORMS)?;
    if !args.files.is_empty() {
        let files = validate::read(&args.files, app)?;
        if !validate::check(&files, args.replace, app)? {
            return Ok(Exit::Usage);
        }
        return plan::changes(files, args.replace, app, output::fields).await;
    }
    // The newest has the number 0 in requests.
    let (before, after) = match args.revisions[..] {
        [before] => (before, 0),
        [before, after] => (before, after),
        _ => {
            return Err(Failure::usage("diff of what?")
                .then("hactl diff -f FILE, or hactl diff REVISION [REVISION]")
                .into());
        }
    };
    let mut controller = app.controller()?;
    let (before, after) = (controller.manifests(before).await?, controller.manifests(after).await?);
    let lines = output::manifest_diff(&before, &after);
    match app.out.format {
        Format::Json | Format::Yaml => {
            app.out.document("RevisionDiff", &Revisions { before: &before, after: &after })?;
        }
        Format::Table | Format::Wide | Format::Name => {
            lines.iter().try_for_each(|line| app.out.line(line))?;
        }
    }
    Ok(if lines.is_empty() { Exit::Ok } else { Exit::Changes })
}
