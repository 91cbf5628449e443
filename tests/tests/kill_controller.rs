//! A controller that is killed in the middle of `hactl apply`: what was
//! acknowledged is there, and nothing is there by half.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ha_tests::controller::Loopback;
use ha_tests::lab::finish;
use ha_tests::programs::program;

/// How often the controller is killed.
const ROUNDS: u64 = 50;

#[test]
fn what_an_apply_acknowledged_survives_the_killed_controller() {
    run().unwrap();
}

fn run() -> Result<()> {
    let bed = Loopback::new()?;
    let mut controller = bed.start()?;
    let mut acknowledged = Vec::new();
    let mut cut_short = 0;
    for round in 1..=ROUNDS {
        for (number, cluster) in ["one", "two"].into_iter().enumerate() {
            bed.write_cluster(cluster, number, interval_of(round))?;
        }
        let mut apply = bed.hactl(&["apply", "-y", "--wait=false", "-f"])?;
        apply.arg(bed.manifests()).arg("-m").arg(format!("round {round}"));
        let applying = std::thread::spawn(move || apply.output());
        std::thread::sleep(Duration::from_micros(random(150_000)?));
        controller.kill()?;
        let output = applying.join().ok().context("the thread does not panic")??;
        controller = bed.start()?;
        let head = head_round(&bed)?;
        if output.status.success() {
            acknowledged.push(round);
        } else {
            cut_short += 1;
        }
        let messages = messages(&bed)?;
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
    verify.args(["store", "verify", "--state-dir"]).arg(bed.state());
    finish(&mut verify)?;
    ensure!(cut_short > 0, "no kill met an apply: the test shows nothing");
    ensure!(!acknowledged.is_empty(), "no apply came through: the test shows nothing");
    Ok(())
}

/// Advert interval that the manifests of a round carry, in milliseconds.
fn interval_of(round: u64) -> u64 {
    100 + round * 10
}

/// The round that the plans of both clusters are of; they must agree.
fn head_round(bed: &Loopback) -> Result<Option<u64>> {
    let (one, two) = (round_of(bed, "one-a")?, round_of(bed, "two-a")?);
    ensure!(one == two, "half an apply is stored: {one:?} and {two:?}");
    Ok(one)
}

fn round_of(bed: &Loopback, node: &str) -> Result<Option<u64>> {
    let output = bed.output(&["render", node])?;
    if !output.status.success() {
        return Ok(None);
    }
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let interval = plan["instances"][0]["interval_us"].as_u64().context("interval_us")?;
    Ok((1..=ROUNDS).find(|round| interval_of(*round) * 1000 == interval))
}

fn messages(bed: &Loopback) -> Result<Vec<String>> {
    let mut messages = Vec::new();
    collect_messages(
        &bed.json(&["get", "revisions", "--limit", "0", "-o", "json"])?,
        &mut messages,
    );
    Ok(messages)
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
