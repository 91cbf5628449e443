//! Writes what must survive, until it is killed; see `ha_tests::durability`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use ha_tests::durability::{Acks, check, write};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks what is there.
    Check(Place),
    /// Checks what is there, and goes on writing.
    Run(Place),
}

#[derive(clap::Args)]
struct Place {
    /// Where to write.
    #[arg(long)]
    dir: PathBuf,
    /// What earlier runs were told is stored.
    #[arg(long)]
    acks: PathBuf,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let (place, go_on) = match Cli::parse().command {
        Command::Check(place) => (place, false),
        Command::Run(place) => (place, true),
    };
    let checked = check(&place.dir, &Acks::load(&place.acks)?).await?;
    std::io::stdout().lock().write_all(format!("checked{checked}\n").as_bytes())?;
    if go_on { write(&place.dir, &checked).await } else { Ok(()) }
}
