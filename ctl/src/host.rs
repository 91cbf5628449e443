//! What a command touches of its surroundings, in one place, so that a test
//! can put something else there.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};
use tokio::sync::Notify;
use tonic::transport::Channel;

/// One output stream and what may be written to it.
pub struct Stream {
    /// Where the bytes go.
    pub writer: Box<dyn Write + Send>,
    /// Somebody looks at it: a live region can be drawn.
    pub terminal: bool,
    /// Colours are wanted.
    pub colour: bool,
}

/// How controllers and agents are reached.
#[derive(Clone, Debug)]
pub enum Dial {
    /// As the context or `--local` says.
    Real,
    /// Through a channel that is there already.
    Given(Channel),
}

/// What ends a command from outside.
#[derive(Clone, Debug)]
pub enum Interrupt {
    /// Ctrl-C.
    Signal,
    /// Whoever holds the other end.
    Given(Arc<Notify>),
}

impl Interrupt {
    /// Returns when the command shall end. Cancel-safe: both sources keep
    /// what was not waited for.
    pub async fn wait(&self) {
        match self {
            // Without a handler the default action ends the process, which
            // is what the user asked for.
            Self::Signal => {
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Self::Given(notify) => notify.notified().await,
        }
    }
}

/// The surroundings of a command.
pub struct Host {
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// What is asked for goes here.
    pub stdout: Stream,
    /// Errors and notes go here.
    pub stderr: Stream,
    /// Answers, and manifests for `-f -`.
    pub stdin: Box<dyn BufRead + Send>,
    /// Somebody can answer a question.
    pub can_ask: bool,
    /// Characters beyond ASCII can be shown.
    pub unicode: bool,
    /// Wall clock, microseconds since 1970.
    pub now_us: fn() -> u64,
    /// How the other side is reached.
    pub dial: Dial,
    /// What ends the command early.
    pub interrupt: Interrupt,
}

impl Host {
    /// The surroundings of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        Self {
            unicode: shows_unicode(&env),
            can_ask: std::io::stdin().is_terminal() && stdout.is_terminal(),
            stdout: Stream {
                terminal: stdout.is_terminal(),
                colour: AutoStream::choice(&stdout) != ColorChoice::Never,
                writer: Box::new(stdout),
            },
            stderr: Stream {
                terminal: stderr.is_terminal(),
                colour: AutoStream::choice(&stderr) != ColorChoice::Never,
                writer: Box::new(stderr),
            },
            stdin: Box::new(std::io::BufReader::new(std::io::stdin())),
            now_us: wall_clock_us,
            dial: Dial::Real,
            interrupt: Interrupt::Signal,
            env,
        }
    }

    /// An environment variable that is set and not empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The file of contexts: `$HACTL_CONFIG`, else `hactl/config.json` in the
    /// user's configuration directory.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        if let Some(path) = self.var("HACTL_CONFIG") {
            return path.into();
        }
        let base = match (self.var("XDG_CONFIG_HOME"), self.var("HOME")) {
            (Some(config), _) => PathBuf::from(config),
            (None, Some(home)) => PathBuf::from(home).join(".config"),
            (None, None) => PathBuf::from("."),
        };
        base.join("hactl/config.json")
    }
}

/// Whether the locale says UTF-8. The first variable that is set decides
/// (POSIX, Base Definitions §8.2).
fn shows_unicode(env: &BTreeMap<String, String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env.get(*name).filter(|value| !value.is_empty()))
        .is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

fn wall_clock_us() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::shows_unicode;

    #[test]
    fn the_first_locale_variable_decides() {
        let env = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(shows_unicode(&env(&[("LANG", "C.UTF-8")])));
        assert!(!shows_unicode(&env(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")])));
        assert!(!shows_unicode(&env(&[])));
    }
}
