//! A controller that is killed in the middle of `hactl apply`: what was
//! acknowledged is there, and nothing is there by half.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ha_tests::lab::{Process, eventually, finish};
use ha_tests::programs::program;

/// How often the controller is killed.
const ROUNDS: u64 = 50;

struct Bed {
    home: tempfile::TempDir,
    address: String,
}

#[test]
fn what_an_apply_acknowledged_survives_the_killed_controller() {
    run().unwrap();
}

fn run() -> Result<()> {
    let bed = Bed::new()?;
    let mut controller = bed.start()?;
    let mut acknowledged = Vec::new();
    let mut cut_short = 0;
    for round in 1..=ROUNDS {
        bed.write_manifests(round)?;
        let mut apply = bed.hactl(&["apply", "-y", "--wait=false", "-f"])?;
        apply.arg(bed.manifests()).arg("-m").arg(format!("round {round}"));
        let applying = std::thread::spawn(move || apply.output());
        std::thread::sleep(Duration::from_micros(random(150_000)?));
        controller.kill()?;
        let output = applying.join().ok().context("the thread does not panic")??;
        controller = bed.start()?;
        let head = bed.head_round()?;
        if output.status.success() {
            acknowledged.push(round);
        } else {
            cut_short += 1;
        }
        let messages = bed.messages()?;
        for kept in &acknowledged {
            let message = format!("round {kept}");
            ensure!(
                messages.contains(&message),
                "round {round}: {message} was acknowledged and is lost: {messages:?}"
            );
        }
        ensure!(
            head.is_none_or(|head| messages.contains(&format!("round {head}"))),
            "round {round}: the head is of round {head:?}, which no revision tells of"
        );
    }
    controller.terminate()?;
    let mut verify = Command::new(program("ha-controller")?);
    verify.args(["store", "verify", "--state-dir"]).arg(bed.home.path().join("state"));
    finish(&mut verify)?;
    ensure!(cut_short > 0, "no kill met an apply: the test shows nothing");
    ensure!(!acknowledged.is_empty(), "no apply came through: the test shows nothing");
    Ok(())
}

impl Bed {
    fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let bed = Self { home, address: format!("127.0.0.1:{port}") };
        std::fs::create_dir(bed.manifests())?;
        let pki = bed.pki();
        let pki = pki.to_str().context("the path is text")?;
        let address = bed.address.clone();
        finish(&mut bed.hactl(&[
            "init",
            "--fleet",
            "kill",
            "--pki",
            pki,
            "--controller-address",
            &address,
        ])?)?;
        Ok(bed)
    }

    fn pki(&self) -> PathBuf {
        self.home.path().join("pki")
    }

    fn manifests(&self) -> PathBuf {
        self.home.path().join("manifests")
    }

    fn start(&self) -> Result<Process> {
        let mut command = Command::new(program("ha-controller")?);
        command.args(["run", "--listen", &self.address, "--pki"]).arg(self.pki());
        command.arg("--state-dir").arg(self.home.path().join("state"));
        let log = self.home.path().join("controller.log");
        let process = Process::start(&mut command, &log)?;
        let answers = eventually(Duration::from_secs(20), || {
            Ok(self.output(&["node", "list"])?.status.success())
        })?;
        ensure!(answers, "no answer: {}", std::fs::read_to_string(log)?);
        Ok(process)
    }

    fn hactl(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("hactl")?);
        command.args(arguments).env("HACTL_CONFIG", self.home.path().join("hactl.toml"));
        Ok(command)
    }

    fn output(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.hactl(arguments)?.output()?)
    }

    /// Two clusters that carry the round in their advert interval.
    fn write_manifests(&self, round: u64) -> Result<()> {
        for (cluster, network) in [("one", 1), ("two", 2)] {
            let interval = 100 + round * 10;
            let text = format!(
                "apiVersion: ha/v1\nkind: Cluster\nmetadata: {{name: {cluster}}}\nspec:\n  \
                 nodes:\n    - {{name: {cluster}-a, address: 10.{network}.0.1}}\n    \
                 - {{name: {cluster}-b, address: 10.{network}.0.2}}\n  \
                 vrrp: {{version: 3, transport: unicast, advertInterval: {interval}ms}}\n  \
                 instances:\n    - {{name: web, interface: eth0, vrid: 51, vips: [10.{network}.0.50/24]}}\n"
            );
            std::fs::write(self.manifests().join(format!("{cluster}.yaml")), text)?;
        }
        Ok(())
    }

    /// The round that the plans of both clusters are of; they must agree.
    fn head_round(&self) -> Result<Option<u64>> {
        let rounds = ["one-a", "two-a"].map(|node| self.round_of(node));
        let [one, two] = rounds;
        let (one, two) = (one?, two?);
        ensure!(one == two, "half an apply is stored: {one:?} and {two:?}");
        Ok(one)
    }

    fn round_of(&self, node: &str) -> Result<Option<u64>> {
        let output = self.output(&["render", node])?;
        if !output.status.success() {
            return Ok(None);
        }
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let interval = plan["instances"][0]["interval_us"].as_u64().context("interval_us")?;
        Ok(Some((interval / 1000 - 100) / 10))
    }

    fn messages(&self) -> Result<Vec<String>> {
        let output = finish(&mut self.hactl(&["get", "revisions", "-o", "json"])?)?;
        let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let mut messages = Vec::new();
        collect_messages(&json, &mut messages);
        Ok(messages)
    }
}

/// Every field `message` of a document.
fn collect_messages(json: &serde_json::Value, messages: &mut Vec<String>) {
    if let Some(fields) = json.as_object() {
        messages.extend(fields.get("message").and_then(|text| text.as_str()).map(str::to_owned));
        fields.values().for_each(|value| collect_messages(value, messages));
    }
    if let Some(list) = json.as_array() {
        list.iter().for_each(|value| collect_messages(value, messages));
    }
}

/// A number below `bound`.
fn random(bound: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random number: {error}"))?;
    Ok(u64::from_le_bytes(bytes) % bound)
}
