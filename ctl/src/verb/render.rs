//! `hactl render`.

use crate::app::{App, only};
use crate::cli::Render;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::output::Format;

/// Prints a plan document, byte for byte: its digest is over exactly these
/// bytes, and `ha-agent run --plan` takes them.
pub(super) async fn run(args: &Render, app: &mut App) -> Outcome {
    only(app, "render", &[Format::Table, Format::Json])?;
    let plan = match (app.global.local.clone(), &args.node) {
        (Some(socket), _) => app.agent(&socket).render().await?,
        (None, Some(node)) => app.controller()?.render(node.clone(), args.revision).await?,
        (None, None) => return Err(Failure::usage("which node?").into()),
    };
    app.out.raw(&plan.document)?;
    if app.out.is_terminal() {
        app.out.raw(b"\n")?;
    }
    Ok(Exit::Ok)
}
