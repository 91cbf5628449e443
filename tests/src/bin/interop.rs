//! `make interop`: plays every story with keepalived both ways round and prints
//! the table.

use std::process::ExitCode;

use ha_tests::interop::{Case, Protocol, Story, play};
use ha_tests::router::Kind;

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() -> ExitCode {
    let mut failures = Vec::new();
    println!(
        "{:<34} {:<8} {:>16} {:>18}",
        "story", "protocol", "ha-agent leads", "keepalived leads"
    );
    for story in Story::ALL {
        for protocol in Protocol::ALL {
            let cells = [(Kind::HaAgent, Kind::Keepalived), (Kind::Keepalived, Kind::HaAgent)].map(
                |(lead, other)| match play(Case { protocol, story, lead, other }) {
                    Ok(()) => "ok",
                    Err(error) => {
                        failures.push(error);
                        "FAILED"
                    }
                },
            );
            let (story, protocol) = (format!("{story:?}"), format!("{protocol:?}"));
            println!("{story:<34} {protocol:<8} {:>16} {:>18}", cells[0], cells[1]);
        }
    }
    for failure in &failures {
        println!("\n{failure:?}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
