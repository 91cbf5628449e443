//! What a program serves for Prometheus.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;

/// Longer than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// The answer of the program that serves metrics at `HOST:PORT`.
///
/// # Errors
///
/// Nobody answers there.
pub fn fetch(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Metrics by name and the router they are of.
#[derive(Debug)]
pub struct Metrics {
    figures: BTreeMap<(String, String), u64>,
    time: f64,
}

impl Metrics {
    /// Reads what [`fetch`] gave.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, rest) = line.split_once("{iname=\"")?;
            let (router, rest) = rest.split_once('"')?;
            let value = rest.rsplit_once(' ')?.1.parse().ok()?;
            Some(((name.to_owned(), router.to_owned()), value))
        };
        let time = |line: &str| line.strip_prefix("ha_status_time_seconds ")?.parse().ok();
        Self {
            figures: text.lines().filter_map(line).collect(),
            time: text.lines().find_map(time).unwrap_or(0.0),
        }
    }

    /// When the figures were true, in seconds since 1970.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.time
    }

    /// One figure of one router; 0 if it is not there.
    #[must_use]
    pub fn of(&self, name: &str, router: &str) -> u64 {
        self.figures.get(&(name.to_owned(), router.to_owned())).copied().unwrap_or(0)
    }
}
