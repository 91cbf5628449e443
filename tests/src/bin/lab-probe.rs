//! Both ends of the tests' probe, to be run inside a lab's hosts.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Parser;

/// Sends datagrams to a virtual address, or answers them.
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
    }
    Ok(())
}
