//! `hactl status`.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use super::get;
use crate::app::{App, only};
use crate::cli::Status;
use crate::client::is_lost;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::output::{self, Format, Shown};
use crate::view::{FleetStatus, LocalStatus};

/// Between two attempts to reach a controller that went away.
const RETRY: Duration = Duration::from_secs(1);
/// The age on the screen is counted on so often.
const TICK: Duration = Duration::from_secs(1);

/// Shows the fleet, or with `--local` this node.
pub(super) async fn run(args: &Status, app: &mut App) -> Outcome {
    match (app.global.local.clone(), args.watch) {
        (Some(socket), false) => {
            let asked = Instant::now();
            let status = app.agent(&socket).status().await?;
            show_local(&status, micros(asked.elapsed()), app)
        }
        (Some(_), true) => Err(Failure::usage("--local does not go with --watch").into()),
        (None, true) => watch(args, app).await,
        (None, false) => {
            let asked = Instant::now();
            let status = get::fleet(&args.clusters, &args.label, app).await?;
            // It was made after we asked: it can't be older.
            show(&status, args, micros(asked.elapsed()), app)?;
            Ok(exit(&status))
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn exit(status: &FleetStatus) -> Exit {
    if status.is_well() { Exit::Ok } else { Exit::Attention }
}

fn lines(status: &FleetStatus, args: &Status, age_us: u64, app: &App) -> Vec<String> {
    let wide = app.out.format == Format::Wide;
    let shown = Shown { all: args.all, wide, snapshot_age_us: age_us };
    output::fleet_status(status, shown, app.out.symbols)
}

fn show(status: &FleetStatus, args: &Status, age_us: u64, app: &mut App) -> std::io::Result<()> {
    match app.out.format {
        Format::Json | Format::Yaml => app.out.document("Status", status),
        Format::Name => status.clusters.iter().try_for_each(|cluster| app.out.line(&cluster.name)),
        Format::Table | Format::Wide => {
            lines(status, args, age_us, app).iter().try_for_each(|line| app.out.line(line))
        }
    }
}

fn show_local(status: &LocalStatus, age_us: u64, app: &mut App) -> Outcome {
    only(app, "status --local", &[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    match app.out.format {
        Format::Json | Format::Yaml => app.out.document("LocalStatus", status)?,
        Format::Table | Format::Wide | Format::Name => {
            output::local_status(status, age_us, app.out.symbols)
                .iter()
                .try_for_each(|line| app.out.line(line))?;
        }
    }
    Ok(if status.is_well() { Exit::Ok } else { Exit::Attention })
}

/// Shows the fleet anew whenever it changes, until Ctrl-C. On a terminal the
/// screen is painted again each second, because ages grow.
async fn watch(args: &Status, app: &mut App) -> Outcome {
    let mut controller = app.controller()?;
    let mut last: Option<(FleetStatus, Instant)> = None;
    let interrupt = app.interrupt.clone();
    let mut interrupted = pin!(interrupt.wait());
    loop {
        let lost = match controller.watch_status(args.clusters.clone()).await {
            Ok(stream) => {
                let mut stream = pin!(stream);
                loop {
                    // Cancel-safe: a stream keeps what was not taken, and a
                    // tick that is lost paints a second later.
                    tokio::select! {
                        () = &mut interrupted => return Ok(ended(last.as_ref())),
                        message = stream.next() => match message {
                            Some(Ok(mut status)) => {
                                status.narrow(&[], &args.label);
                                last = Some((status, Instant::now()));
                                paint(last.as_ref(), args, None, true, app)?;
                            }
                            Some(Err(failure)) => break failure,
                            None => break closed(&app.context()?.controller),
                        },
                        () = tokio::time::sleep(TICK) => paint(last.as_ref(), args, None, false, app)?,
                    }
                }
            }
            Err(failure) => failure,
        };
        // What was never reached is an error; what was, comes back.
        if last.is_none() || !is_lost(&lost) {
            return Err(lost.into());
        }
        paint(last.as_ref(), args, Some(&lost.what), false, app)?;
        tokio::select! {
            () = &mut interrupted => return Ok(ended(last.as_ref())),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

fn closed(controller: &str) -> Failure {
    Failure::new("E5005", Exit::Unreachable, "the controller closed the connection").at(controller)
}

fn ended(last: Option<&(FleetStatus, Instant)>) -> Exit {
    last.map_or(Exit::Ok, |(status, _)| exit(status))
}

/// On a terminal paints the screen; elsewhere prints what is `fresh`.
fn paint(
    last: Option<&(FleetStatus, Instant)>,
    args: &Status,
    trouble: Option<&str>,
    fresh: bool,
    app: &mut App,
) -> std::io::Result<()> {
    let Some((status, taken)) = last else { return Ok(()) };
    let age_us = micros(taken.elapsed());
    let screen = app.out.is_terminal() && matches!(app.out.format, Format::Table | Format::Wide);
    if screen {
        let mut lines = lines(status, args, age_us, app);
        lines.extend(trouble.map(|trouble| format!("{trouble}; trying again. This is the past.")));
        return app.out.repaint(&lines);
    }
    if let Some(trouble) = trouble {
        return app.out.note(&format!("{trouble}; trying again"));
    }
    match app.out.format {
        Format::Json | Format::Yaml if fresh => app.out.streamed("Status", status),
        Format::Table | Format::Wide | Format::Name if fresh => {
            show(status, args, age_us, app)?;
            app.out.line("")?;
            app.out.flush()
        }
        Format::Json | Format::Yaml | Format::Table | Format::Wide | Format::Name => Ok(()),
    }
}
