//! The program `ha-agent`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use ha_agent::cli::{Cli, Command};
use ha_agent::{app, harden};
use ha_telemetry::{LogFormat, Settings};

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let hardening = match &cli.command {
        // Before the runtime: its threads inherit what is left.
        Command::Run(_) => Some(harden::harden()),
        Command::Check(_) | Command::Enroll(_) | Command::Release(_) => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let telemetry = ha_telemetry::init(&settings(&cli))?;
        if let Some(hardening) = hardening {
            hardening.log();
        }
        let ended = run(&cli).await;
        if let Err(error) = &ended {
            tracing::error!(error = &**error as &dyn std::error::Error, "ha-agent failed");
        }
        telemetry.shutdown().await;
        Ok(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn run(cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Run(args) => app::run(args).await,
        Command::Check(args) => app::check(args).await,
        Command::Enroll(args) => app::enroll(args).await,
        Command::Release(args) => app::release(args).await,
    }
}

fn settings(cli: &Cli) -> Settings {
    let (otlp, log_format) = match &cli.command {
        Command::Run(args) => (args.observe.otlp.clone(), args.observe.log_format),
        Command::Check(_) | Command::Enroll(_) | Command::Release(_) => (None, LogFormat::Text),
    };
    Settings {
        service: "ha-agent",
        version: env!("CARGO_PKG_VERSION"),
        instance: None,
        log_format,
        log_level: "info",
        otlp,
    }
}
