//! Wireshark's dissector reads our adverts: whole, and with a good checksum.

use std::time::Duration;

use anyhow::Result;
use ha_model::plan::VrrpVersion;
use ha_model::units::Micros;
use ha_tests::lab::{Lab, Process, eventually, finish, log_path};
use ha_tests::router::{Kind, Router};
use ha_tests::skip::{program_or_skip, root_or_skip};

/// Runs our agent as master and dissects what leaves its host.
fn dissect(
    test: &str,
    version: VrrpVersion,
    address: &str,
    source: &str,
    peer: &str,
) -> Result<()> {
    if !root_or_skip(test) || program_or_skip(test, "tshark").is_none() {
        return Ok(());
    }
    let lab = Lab::new()?;
    let lan = lab.network("lan")?;
    let host = lab.host("a")?;
    host.attach(&lan, "eth0", &["10.90.0.1/24", "fd90::1/64"])?;
    let other = lab.host("b")?;
    other.attach(&lan, "eth0", &["10.90.0.2/24", "fd90::2/64"])?;

    let capture = lab.directory().join("adverts.pcap");
    let mut tshark = other.command("tshark");
    tshark.args(["-q", "-i", "eth0", "-f", "ip proto 112 or ip6 proto 112", "-c", "3", "-w"]);
    tshark.arg(&capture);
    let log = log_path(&lab, "tshark");
    let tshark = Process::start(&mut tshark, &log)?;
    let capturing = || Ok(std::fs::read_to_string(&log)?.contains("Capturing on"));
    assert!(eventually(Duration::from_secs(20), capturing)?, "tshark does not start");

    let router = Router {
        version,
        priority: 255,
        interval: Micros::from_secs(1),
        addresses: vec![address.parse()?],
        source: source.parse()?,
        peers: vec![peer.parse()?],
        preempt: true,
        min_ttl: 255,
    };
    let agent = router.start(Kind::HaAgent, &lab, &host)?;
    tshark.wait()?;
    drop(agent);

    let mut read = std::process::Command::new("tshark");
    read.arg("-V").arg("-r").arg(&capture);
    let text = String::from_utf8(finish(&mut read)?.stdout)?;
    let adverts = text.matches("Virtual Router Redundancy Protocol").count();
    assert!(adverts >= 3, "three adverts were captured:\n{text}");
    assert!(!text.contains("Malformed"), "{text}");
    let good = text
        .lines()
        .filter(|line| line.trim_start().starts_with("Checksum: ") && line.contains("[correct]"))
        .count();
    let sums = text.lines().filter(|line| line.trim_start().starts_with("Checksum: ")).count();
    assert!(good >= 3 && good == sums, "{good} of {sums} checksums are good:\n{text}");
    let virtual_address = address.split('/').next().unwrap_or(address);
    assert!(text.contains(virtual_address), "{text}");
    Ok(())
}

#[test]
fn v2() {
    dissect("tshark v2", VrrpVersion::V2, "10.90.0.50/24", "10.90.0.1", "10.90.0.2").unwrap();
}

#[test]
fn v3_ipv4() {
    dissect("tshark v3 IPv4", VrrpVersion::V3, "10.90.0.50/24", "10.90.0.1", "10.90.0.2").unwrap();
}

#[test]
fn v3_ipv6() {
    dissect("tshark v3 IPv6", VrrpVersion::V3, "fd90::50/64", "fd90::1", "fd90::2").unwrap();
}
