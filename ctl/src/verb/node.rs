//! `hactl node`.

use crate::app::{App, only};
use crate::cli::{self, JoinToken};
use crate::error::Outcome;
use crate::exit::Exit;
use crate::output::{self, Format};

use super::get;

/// Makes a join token, or lists nodes.
pub(super) async fn run(args: &cli::Node, app: &mut App) -> Outcome {
    match args {
        cli::Node::JoinToken(args) => join_token(args, app).await,
        cli::Node::List => get::nodes(&[], app).await,
    }
}

async fn join_token(args: &JoinToken, app: &mut App) -> Outcome {
    only(app, "node join-token", &[Format::Table, Format::Json, Format::Yaml])?;
    let token = app.controller()?.join_token(&args.node, args.ttl.micros()).await?;
    match app.out.format {
        Format::Json | Format::Yaml => app.out.document("JoinToken", &token)?,
        Format::Table | Format::Wide | Format::Name => {
            output::join_token(&token).iter().try_for_each(|line| app.out.line(line))?;
        }
    }
    Ok(Exit::Ok)
}
