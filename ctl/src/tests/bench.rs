//! Runs command lines and catches what they print.

use std::io::{self, Cursor, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tonic::transport::Channel;

use crate::exit::Exit;
use crate::host::{Dial, Host, Interrupt, Stream};

/// The clock of every test: 2026-01-31T12:00:00Z.
pub(super) const NOW_US: u64 = 1_769_860_800_000_000;

/// So long before [`NOW_US`].
pub(super) fn ago(seconds: u64) -> u64 {
    NOW_US - seconds * 1_000_000
}

#[derive(Clone, Default)]
struct Caught {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// After so many lines the user presses Ctrl-C.
    enough: Option<(usize, Arc<Notify>)>,
}

impl Caught {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().expect("nobody panicked").clone()).expect("text")
    }
}

impl Write for Caught {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut caught = self.bytes.lock().expect("nobody panicked");
        let count = caught.write(bytes)?;
        if let Some((enough, interrupt)) = &self.enough
            && caught.iter().filter(|byte| **byte == b'\n').count() >= *enough
        {
            interrupt.notify_one();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that went away.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// What a command printed and how it ended.
pub(super) struct Ran {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    /// The output with everything that a clock drives replaced.
    pub(super) fn steady(&self) -> String {
        let mut steady = String::new();
        let mut rest = self.out.as_str();
        while let Some((before, after)) = rest.split_once("Snapshot age ") {
            let end = after.find("s.").map_or(0, |at| at + 1);
            steady.push_str(before);
            steady.push_str("Snapshot age AGE");
            rest = &after[end..];
        }
        steady + rest
    }
}

/// A user at a keyboard.
pub(super) struct Bench {
    pub(super) channel: Option<Channel>,
    pub(super) home: tempfile::TempDir,
    pub(super) colour: bool,
    pub(super) unicode: bool,
    pub(super) answer: Option<String>,
    /// After so many lines of output the user presses Ctrl-C.
    pub(super) enough: Option<usize>,
    pub(super) now_us: fn() -> u64,
    pub(super) interrupt: Arc<Notify>,
}

impl Bench {
    /// With a context `test` whose controller is at the end of `channel`.
    pub(super) fn new(channel: Channel) -> Self {
        let bench = Self { channel: Some(channel), ..Self::alone() };
        let config = r#"{"current":"test","contexts":{"test":{"fleet":"prod",
            "controller":"ctl.example.net:7443","ca":"/c/ca.pem","cert":"/c/me.pem","key":"/c/me.key"}}}"#;
        std::fs::write(bench.config(), config).expect("writes");
        bench
    }

    /// With no context at all.
    pub(super) fn alone() -> Self {
        Self {
            channel: None,
            home: tempfile::tempdir().expect("a directory"),
            colour: false,
            unicode: true,
            answer: None,
            enough: None,
            now_us: || NOW_US,
            interrupt: Arc::new(Notify::new()),
        }
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path("config.json")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file; its path.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("writes");
        self.path(name).display().to_string()
    }

    fn host(&self, stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Host {
        let config = self.config().display().to_string();
        Host {
            env: [("HACTL_CONFIG".to_owned(), config)].into(),
            stdout: Stream { writer: stdout, terminal: false, colour: self.colour },
            stderr: Stream { writer: stderr, terminal: false, colour: self.colour },
            stdin: Box::new(Cursor::new(self.answer.clone().unwrap_or_default())),
            can_ask: self.answer.is_some(),
            unicode: self.unicode,
            now_us: self.now_us,
            dial: self.channel.clone().map_or(Dial::Real, Dial::Given),
            interrupt: Interrupt::Given(Arc::clone(&self.interrupt)),
        }
    }

    /// Types a command line; blanks separate arguments.
    pub(super) async fn run(&self, line: &str) -> Ran {
        self.run_args(&line.split_whitespace().collect::<Vec<_>>()).await
    }

    /// Runs a command with these arguments.
    pub(super) async fn run_args(&self, args: &[&str]) -> Ran {
        let enough = self.enough.map(|lines| (lines, Arc::clone(&self.interrupt)));
        let (out, err) = (Caught { enough, ..Caught::default() }, Caught::default());
        let host = self.host(Box::new(out.clone()), Box::new(err.clone()));
        let exit = crate::run(std::iter::once(&"hactl").chain(args), host).await;
        Ran { exit, out: out.text(), err: err.text() }
    }

    /// Runs a command whose output nobody reads.
    pub(super) async fn run_closed(&self, line: &str) -> Exit {
        let host = self.host(Box::new(Closed), Box::new(Closed));
        crate::run(std::iter::once("hactl").chain(line.split_whitespace()), host).await
    }
}
