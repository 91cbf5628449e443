//! The program `ha-controller`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use ha_controller::app;
use ha_controller::cli::{Cli, Command, StoreCommand};
use ha_telemetry::{LogFormat, Settings};

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let telemetry = ha_telemetry::init(&settings(&cli))?;
        let ended = run(&cli).await;
        if let Err(error) = &ended {
            tracing::error!(error = &**error as &dyn std::error::Error, "ha-controller failed");
        }
        telemetry.shutdown().await;
        Ok(ended.unwrap_or(ExitCode::FAILURE))
    })
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Run(args) => {
            app::run(args).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Store(StoreCommand::Verify(args)) => app::store::verify(&args.state_dir),
        Command::Store(StoreCommand::Rebuild(args)) => app::store::rebuild(&args.state_dir),
    }
}

fn settings(cli: &Cli) -> Settings {
    let (otlp, log_format) = match &cli.command {
        Command::Run(args) => (args.otlp.clone(), args.log_format),
        Command::Store(_) => (None, LogFormat::Text),
    };
    Settings {
        service: "ha-controller",
        version: env!("CARGO_PKG_VERSION"),
        instance: None,
        log_format,
        log_level: "info",
        otlp,
    }
}
