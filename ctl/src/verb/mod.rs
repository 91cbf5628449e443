//! The verbs, one file each.

mod apply;
mod completion;
mod context;
mod describe;
mod diff;
mod events;
mod explain;
mod follow;
mod get;
mod help;
mod init;
mod node;
mod plan;
mod render;
mod rollout;
mod status;
mod validate;
mod version;

use crate::app::App;
use crate::cli::Command;
use crate::error::Outcome;

/// Runs one verb.
pub(crate) async fn run(command: Command, app: &mut App) -> Outcome {
    match command {
        Command::Status(args) => status::run(&args, app).await,
        Command::Events(args) => events::run(args, app).await,
        Command::Get(args) => get::run(&args, app).await,
        Command::Describe(args) => describe::run(&args, app).await,
        Command::Validate(args) => validate::run(&args, app),
        Command::Plan(args) => plan::run(&args, app).await,
        Command::Diff(args) => diff::run(&args, app).await,
        Command::Apply(args) => apply::run(args, app).await,
        Command::Rollout(args) => rollout::run(args, app).await,
        Command::Render(args) => render::run(&args, app).await,
        Command::Node(args) => node::run(&args, app).await,
        Command::Context(args) => context::run(args, app),
        Command::Init(args) => init::run(&args, app),
        Command::Explain(args) => explain::run(&args, app),
        Command::Completion(args) => completion::run(&args, app),
        Command::Version => version::run(app),
        Command::Help(args) => help::run(&args, app),
    }
}
