//! From arguments to an exit code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Global};
use crate::client::{self, Agent, Controller};
use crate::context::{Config, Context};
use crate::error::{Failure, Stop};
use crate::exit::Exit;
use crate::host::{Dial, Host, Interrupt};
use crate::output::{Format, Out, Symbols};
use crate::span;
use crate::verb;
use crate::view::Uplink;

/// What a verb works with.
pub(crate) struct App {
    /// Where it prints.
    pub(crate) out: Out,
    /// Options of every command.
    pub(crate) global: Global,
    /// What ends it early.
    pub(crate) interrupt: Interrupt,
    /// Answers, and manifests for `-f -`.
    pub(crate) stdin: Box<dyn std::io::BufRead + Send>,
    /// Somebody can answer a question.
    pub(crate) can_ask: bool,
    /// The file of contexts.
    pub(crate) config_path: PathBuf,
    /// Traces are exported, so that their ids are of use.
    pub(crate) traced: bool,
    now_us: fn() -> u64,
    dial: Dial,
}

impl App {
    /// Wall clock, microseconds since 1970.
    pub(crate) fn now_us(&self) -> u64 {
        (self.now_us)()
    }

    /// The contexts of the user.
    ///
    /// # Errors
    /// The file is damaged.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.config_path)
    }

    /// The context that this command uses.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        let config = self.config()?;
        config.pick(self.global.context.as_deref()).map(|(_, context)| context.clone())
    }

    /// The controller of that context.
    ///
    /// # Errors
    /// There is no context, its credentials can't be read, or `--local` asks
    /// for something that only controllers know.
    pub(crate) fn controller(&self) -> Result<Controller, Failure> {
        if self.global.local.is_some() {
            return Err(Failure::usage("an agent knows status, events and render only")
                .then("leave --local out to ask the controller"));
        }
        let context = self.context()?;
        let channel = match &self.dial {
            Dial::Real => client::controller(&context)?,
            Dial::Given(channel) => channel.clone(),
        };
        let uplink = Uplink { fleet: context.fleet, controller: context.controller };
        Ok(Controller::new(channel, uplink))
    }

    /// The agent at `socket`.
    pub(crate) fn agent(&self, socket: &Path) -> Agent {
        let channel = match &self.dial {
            Dial::Real => client::agent(socket.to_owned()),
            Dial::Given(channel) => channel.clone(),
        };
        Agent::new(channel, socket.display().to_string())
    }

    /// The trace of this command, where it is of use.
    pub(crate) fn trace(&self) -> Option<String> {
        span::trace_id().filter(|_| self.traced)
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn run_process() -> Exit {
    let host = Host::of_process();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(std::env::args_os(), host));
            // A read of standard input that nobody waits for must not keep us.
            runtime.shutdown_background();
            exit
        }
        Err(_) => Exit::Error,
    }
}

/// Runs one command line in `host`.
pub async fn run<I, T>(args: I, host: Host) -> Exit
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error, host),
    };
    let mut app = prepare(&cli, host);
    let telemetry = span::start(app.global.otlp.as_deref());
    app.traced = telemetry.is_exported();
    let command = cli.command;
    let ended = span::in_root(async {
        let outcome = verb::run(command, &mut app).await;
        finish(outcome, &mut app)
    })
    .await;
    telemetry.end().await;
    ended
}

fn prepare(cli: &Cli, host: Host) -> App {
    let mut global = cli.global.clone();
    global.context = global.context.or_else(|| host.var("HACTL_CONTEXT").map(str::to_owned));
    global.otlp =
        global.otlp.or_else(|| host.var("OTEL_EXPORTER_OTLP_ENDPOINT").map(str::to_owned));
    let symbols = Symbols { unicode: host.unicode && !global.ascii };
    let config_path = host.config_path();
    let mut out = Out::new(host.stdout, host.stderr, global.output.unwrap_or_default(), symbols);
    out.headers = !global.no_headers;
    App {
        out,
        global,
        interrupt: host.interrupt,
        stdin: host.stdin,
        can_ask: host.can_ask,
        config_path,
        traced: false,
        now_us: host.now_us,
        dial: host.dial,
    }
}

/// Prints what is left to print and says how it ended.
fn finish(outcome: Result<Exit, Stop>, app: &mut App) -> Exit {
    let trace = app.trace();
    let (exit, printed) = match outcome {
        Ok(exit) => (exit, Ok(())),
        Err(Stop::Failure(failure)) => (failure.exit, app.out.failure(&failure, trace.as_deref())),
        Err(Stop::Output(error)) => (Exit::Ok, Err(error)),
    };
    match printed.and_then(|()| app.out.flush()) {
        Ok(()) => exit,
        // Whoever reads us has seen enough: that is not an error of ours.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => {
            let failure = Failure::new("E5013", Exit::Error, "can't write the output");
            // If standard error is gone as well, the exit code has to do.
            let _ = app.out.failure(&failure.caused_by(&error), None);
            Exit::Error
        }
    }
}

/// Help, the version, or a usage error with its suggestion.
fn not_parsed(error: &clap::Error, host: Host) -> Exit {
    let (mut stream, exit) = match error.use_stderr() {
        true => (host.stderr, Exit::Usage),
        false => (host.stdout, Exit::Ok),
    };
    let text = error.render();
    let text = if stream.colour { text.ansi().to_string() } else { text.to_string() };
    match stream.writer.write_all(text.as_bytes()).and_then(|()| stream.writer.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Error,
        Ok(()) | Err(_) => exit,
    }
}

/// The forms that a verb can print; the first is the default.
pub(crate) fn only(app: &App, verb: &str, forms: &[Format]) -> Result<(), Failure> {
    if forms.contains(&app.out.format) {
        return Ok(());
    }
    let names: Vec<String> = forms
        .iter()
        .filter_map(clap::ValueEnum::to_possible_value)
        .map(|value| value.get_name().to_owned())
        .collect();
    Err(Failure::usage(format!("{verb} does not have this form of output"))
        .then(format!("-o {}", names.join("|"))))
}

/// The command line as clap knows it.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}
