//! What the tests run inside a lab's hosts: both ends of the probe, and a
//! collector of traces.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// A part of a test, to be run on a host of the lab.
#[derive(Parser)]
enum Arguments {
    /// Answers every datagram with a name.
    Echo {
        /// Name to answer with.
        name: String,
    },
    /// Sends a datagram every millisecond and prints what came back, as JSON.
    Probe {
        /// The virtual address.
        target: IpAddr,
        /// For how long, in milliseconds.
        millis: u64,
    },
    /// Takes spans over OTLP and writes a line of JSON for each.
    Collect {
        /// Where to listen.
        listen: SocketAddr,
        /// Where to write.
        file: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse() {
        Arguments::Echo { name } => {
            let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, ha_tests::probe::PORT));
            ha_tests::probe::echo(any, &name)?;
        }
        Arguments::Probe { target, millis } => {
            let target = SocketAddr::from((target, ha_tests::probe::PORT));
            let span = Duration::from_millis(millis);
            let seen = ha_tests::probe::probe(target, Duration::from_millis(1), span)?;
            serde_json::to_writer(std::io::stdout().lock(), &seen)?;
        }
        Arguments::Collect { listen, file } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(ha_tests::collector::collect(listen, &file))?;
        }
    }
    Ok(())
}
