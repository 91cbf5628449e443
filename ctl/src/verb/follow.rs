//! Watching a rollout, for `apply` and `rollout status`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};

use crate::app::App;
use crate::cli::{Follow, ProgressForm};
use crate::client::{Controller, is_lost};
use crate::error::{Failure, Outcome, Stop};
use crate::exit::Exit;
use crate::output::{self, Board, Live};
use crate::view::{NodeProgress, Outcome as End, Progress, ProgressEvent};

/// Between two attempts to reach a controller that went away.
const RETRY: Duration = Duration::from_secs(1);
/// So many attempts in a row: a controller that restarts is back by then.
const ATTEMPTS: u32 = 15;

type Updates = Pin<Box<dyn Stream<Item = Result<Progress, Failure>> + Send>>;

/// What the user sees of a rollout.
struct Screen {
    board: Board,
    form: ProgressForm,
    live: Option<Live>,
}

/// Follows `stream` until the rollout has ended, the time is up, or the user
/// has seen enough; the rollout itself goes on in the latter two.
pub(super) async fn to_the_end(
    controller: Controller,
    stream: impl Stream<Item = Result<Progress, Failure>> + Send + 'static,
    args: &Follow,
    app: &mut App,
) -> Outcome {
    let live = args.progress == ProgressForm::Auto && app.out.is_terminal();
    let mut screen = Screen {
        board: Board::new(app.out.symbols),
        form: args.progress,
        live: live.then(|| Live::new(app.out.is_coloured())),
    };
    let interrupt = app.interrupt.clone();
    let timeout = async {
        match args.timeout {
            Some(span) => tokio::time::sleep(span.0).await,
            None => std::future::pending().await,
        }
    };
    let ended = follow(
        controller,
        Box::pin(stream),
        args.wait,
        timeout,
        interrupt.wait(),
        &mut screen,
        app,
    )
    .await;
    if let Some(live) = screen.live.take() {
        live.end()?;
    }
    conclude(ended?, args.progress, &screen.board, app)
}

/// Why watching ended.
enum Ended {
    Rollout { outcome: End, offline: Vec<String>, rejected: Vec<NodeProgress> },
    Invalid,
    Stored,
    Timeout,
    Interrupted,
}

async fn follow(
    mut controller: Controller,
    mut updates: Updates,
    wait: bool,
    timeout: impl Future<Output = ()>,
    interrupt: impl Future<Output = ()>,
    screen: &mut Screen,
    app: &mut App,
) -> Result<Ended, Stop> {
    let (mut timeout, mut interrupt) = (pin!(timeout), pin!(interrupt));
    loop {
        // Cancel-safe: a stream keeps what was not taken.
        let update = tokio::select! {
            () = &mut interrupt => return Ok(Ended::Interrupted),
            () = &mut timeout => return Ok(Ended::Timeout),
            update = updates.next() => update,
        };
        let lost = match update {
            Some(Ok(progress)) => {
                screen.show(&progress, app)?;
                match progress.event {
                    ProgressEvent::Invalid { errors } => {
                        output::manifest_errors(&mut app.out, &errors)?;
                        return Ok(Ended::Invalid);
                    }
                    ProgressEvent::Stored { .. } if !wait => return Ok(Ended::Stored),
                    ProgressEvent::Done { outcome, offline, rejected, .. } => {
                        return Ok(Ended::Rollout { outcome, offline, rejected });
                    }
                    ProgressEvent::Stored { .. }
                    | ProgressEvent::Node(_)
                    | ProgressEvent::Cluster { .. } => continue,
                }
            }
            Some(Err(failure)) if !is_lost(&failure) => return Err(failure.into()),
            Some(Err(failure)) => failure,
            None => {
                Failure::new("E5015", Exit::Unreachable, "the controller closed the connection")
            }
        };
        if screen.board.rollout.is_empty() {
            return Err(unsure(lost).into());
        }
        app.out.note(&format!("{}; trying again", lost.what))?;
        let rollout = screen.board.rollout.clone();
        // Cancel-safe: an attempt that is dropped changes nothing.
        updates = tokio::select! {
            () = &mut interrupt => return Ok(Ended::Interrupted),
            () = &mut timeout => return Ok(Ended::Timeout),
            again = reconnect(&mut controller, &rollout) => again?,
        };
    }
}

/// Nobody knows whether the revision was stored.
fn unsure(lost: Failure) -> Failure {
    Failure {
        what: "the controller went away before it said that the revision is stored".to_owned(),
        code: "E5015".into(),
        ..lost
    }
    .then("hactl get revisions shows whether it was; applying again does no harm")
}

async fn reconnect(controller: &mut Controller, rollout: &str) -> Result<Updates, Failure> {
    let mut attempt = 1;
    loop {
        tokio::time::sleep(RETRY).await;
        match controller.watch_rollout(rollout.to_owned()).await {
            Ok(stream) => return Ok(Box::pin(stream)),
            Err(failure) if is_lost(&failure) && attempt < ATTEMPTS => attempt += 1,
            Err(failure) => {
                return Err(failure.then(format!("it is stored; hactl rollout status {rollout}")));
            }
        }
    }
}

impl Screen {
    fn show(&mut self, progress: &Progress, app: &mut App) -> Result<(), Stop> {
        let lines = self.board.handle(&progress.event);
        match (self.form, &mut self.live) {
            (ProgressForm::Json, _) => app.out.streamed("Progress", progress)?,
            (ProgressForm::Auto, Some(live)) => {
                if matches!(progress.event, ProgressEvent::Stored { .. }) {
                    live.keep(&lines)?;
                }
                live.show(&self.board.live_lines());
            }
            (ProgressForm::Auto | ProgressForm::Plain, _) => {
                for line in lines {
                    app.out.line(&line)?;
                }
                app.out.flush()?;
            }
        }
        Ok(())
    }
}

/// Tells how it ended.
fn conclude(ended: Ended, form: ProgressForm, board: &Board, app: &mut App) -> Outcome {
    let again = format!("hactl rollout status {}", board.rollout);
    let exit = match ended {
        Ended::Invalid => Exit::Usage,
        Ended::Stored => {
            app.out.note(&format!("not waiting; to follow it: {again}"))?;
            Exit::Ok
        }
        Ended::Timeout => {
            app.out.note(&format!("the time is up; the rollout goes on. To follow it: {again}"))?;
            Exit::Unfinished
        }
        Ended::Interrupted if board.rollout.is_empty() => {
            app.out.note("left before the controller answered; hactl get revisions tells more")?;
            Exit::Unfinished
        }
        Ended::Interrupted => {
            app.out.note(&format!("detached; the rollout goes on. To follow it: {again}"))?;
            Exit::Unfinished
        }
        // The last JSON document has said it.
        Ended::Rollout { outcome, .. } if form == ProgressForm::Json => exit_of(outcome),
        Ended::Rollout { outcome, offline, rejected } => {
            for line in output::describe_outcome(board, outcome, &offline, &rejected) {
                app.out.line(&line)?;
            }
            exit_of(outcome)
        }
    };
    if let Some(trace) = app.trace() {
        app.out.note(&format!("trace {trace}"))?;
    }
    Ok(exit)
}

fn exit_of(outcome: End) -> Exit {
    match outcome {
        End::Complete => Exit::Ok,
        End::Offline => Exit::Unfinished,
        End::Rejected | End::Superseded => Exit::Attention,
        End::None => Exit::Error,
    }
}
