//! Bad input meets the real programs: each is refused with its reason, and
//! what ran before runs on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ha_model::plan::VrrpVersion;
use ha_model::units::Micros;
use ha_tests::controller::Loopback;
use ha_tests::fleet::{Cluster, Fleet};
use ha_tests::forge::Forged;
use ha_tests::lab::{Host, eventually};
use ha_tests::pair::{Node, PATIENCE, Pair, Router, State, address_v4, address_v6};
use ha_tests::programs::program;
use ha_tests::skip::root_or_skip;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn run(name: &str, test: impl FnOnce() -> Result<()>) {
    if root_or_skip(name)
        && let Err(error) = test()
    {
        panic!("{error:?}");
    }
}

const THREE_MISTAKES: &str = "\
apiVersion: ha/v1
kind: Cluster
metadata: {name: web}
spec:
  nodes:
    - {name: web-a, address: 10.0.0.1}
    - {name: web-b, address: 10.0.0.300}
  vrrp: {verison: 3, transport: unicast, advertInterval: 1s}
  instances:
    - {name: web, interface: eth0, vrid: 300, vips: [10.0.0.50/24]}
";

#[test]
fn three_mistakes_are_three_errors_and_nothing_is_stored() -> Result<()> {
    let bed = Loopback::new()?;
    let controller = bed.start()?;
    let revisions = || bed.json(&["get", "revisions", "-o", "json"]);
    let before = revisions()?;
    let file = bed.manifests().join("web.yaml");
    std::fs::write(&file, THREE_MISTAKES)?;
    for verb in [&["validate", "-f"][..], &["apply", "-y", "-f"]] {
        let output = bed.hactl(verb)?.arg(&file).output()?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(2), "{verb:?} ended with {}: {said}", output.status);
        ensure!(said.matches("error[E").count() == 3, "{verb:?}: {said}");
        // Each caret line is as long as what it points at.
        for (error, carets) in [("E1110", 10), ("E1101", 7), ("E1107", 3)] {
            ensure!(said.contains(&format!("error[{error}]")), "no {error}: {said}");
            let line = format!(" {}\n", "^".repeat(carets));
            ensure!(said.contains(&line), "nothing points at {error}: {said}");
        }
    }
    ensure!(revisions()? == before, "a revision was stored: {}", revisions()?);
    controller.terminate()?;
    Ok(())
}

/// What is wrong with a plan, what makes it so, the code of it, and a word of
/// the reason.
type BadPlan = (&'static str, fn(&mut Value), &'static str, &'static str);

const BAD_PLANS: [BadPlan; 3] = [
    ("another node", |plan| plan["node"] = "z".into(), "E2005", "node z"),
    ("an unknown field", |plan| plan["surprise"] = true.into(), "E2002", "surprise"),
    ("another schema", |plan| plan["schema"] = 9.into(), "E2002", "schema 9"),
];

#[test]
fn a_plan_that_cannot_be_run_is_refused_and_the_old_one_runs_on() {
    run("a_plan_that_cannot_be_run_is_refused_and_the_old_one_runs_on", || {
        let mut pair = Pair::new(&[Router::new(100_000)])?;
        let node = &mut pair.first;
        node.start()?;
        node.wait_for("web", State::Master)?;
        let good = std::fs::read(node.plan_file())?;
        for (what, spoil, code, reason) in BAD_PLANS {
            let mut plan = serde_json::from_slice(&good)?;
            spoil(&mut plan);
            std::fs::write(node.plan_file(), plan.to_string())?;
            let said_before = node.log_text().len();
            node.signal(Signal::SIGHUP)?;
            let refused = || {
                let said = node.log_text().split_off(said_before);
                Ok(said.lines().any(|line| line.contains(code) && line.contains(reason)))
            };
            ensure!(eventually(PATIENCE, refused)?, "{what}: {}", node.log_text());
            ensure!(node.hactl(&["render"])? == good, "{what}: another plan runs");
            // A plan says itself for which node it is: only a running agent
            // knows that it is another.
            if code != "E2005" {
                check_refuses(&node.plan_file(), code, reason)?;
            }
        }
        ensure!(node.metrics()?.of("keepalived_become_master_total", "web") == 1);
        // Not even a restart loses the plan that ran.
        node.end_by(Signal::SIGTERM)?;
        node.start()?;
        node.wait_for("web", State::Master)?;
        ensure!(node.hactl(&["render"])? == good, "after the restart another plan runs");
        Ok(())
    });
}

fn check_refuses(plan: &Path, code: &str, reason: &str) -> Result<()> {
    let mut check = Command::new(program("ha-agent")?);
    let output = check.arg("check").arg("--plan").arg(plan).output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success(), "{code}: the plan passed");
    ensure!(said.contains(code) && said.contains(reason), "{code}: {said}");
    Ok(())
}

#[test]
fn damaged_files_are_set_aside_and_the_node_becomes_whole_again() {
    run("damaged_files_are_set_aside_and_the_node_becomes_whole_again", || {
        let cluster = Cluster::fra();
        let mut fleet = Fleet::new()?;
        fleet.init()?;
        fleet.start_controller()?;
        fleet.add_cluster(&cluster)?;
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/two-nodes.yaml");
        fleet.hactl(&["apply", "-f", manifest, "-m", "first", "-y"])?;
        fleet.wait_for_holder(&cluster, "fra-lb1", PATIENCE)?;

        let plan = |fleet: &Fleet| fleet.hactl(&["render", "fra-lb2"]);
        let before = plan(&fleet)?;
        let mut state = PathBuf::new();
        fleet.restart_agent("fra-lb2", |directory| {
            directory.clone_into(&mut state);
            flip(&directory.join("ledger.json"))?;
            flip(&segment(&directory.join("spool"))?)
        })?;
        let told = |events: &str, file: &str| {
            let tells = |line: &str| line.contains("set_aside") && line.contains(file);
            events.lines().any(|line| line.contains("fra-lb2") && tells(line))
        };
        let both = |events: &str| told(events, "ledger.json") && told(events, "spool/");
        fleet.wait_for_events(both, Duration::from_secs(20))?;
        let whole = || Ok(fleet.hactl_output(&["status"])?.status.code() == Some(0));
        let became = eventually(Duration::from_secs(20), whole)?;
        ensure!(became, "{}\n{}", fleet.hactl(&["status"])?, fleet.logs());
        ensure!(plan(&fleet)? == before);
        ensure!(state.join("ledger.json").exists(), "the plan is not in a new ledger");
        ensure!(kept_aside(&state)? && kept_aside(&state.join("spool"))?, "nothing was kept");
        fleet.wait_for_holder(&cluster, "fra-lb1", PATIENCE)
    });
}

/// Turns a bit in the middle of a file.
fn flip(file: &Path) -> Result<()> {
    let mut content = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
    let middle = content.len() / 2;
    *content.get_mut(middle).context("the file is empty")? ^= 1;
    Ok(std::fs::write(file, content)?)
}

fn names(directory: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(directory)?;
    list.map(|entry| Ok(entry?.path())).collect()
}

fn segment(spool: &Path) -> Result<PathBuf> {
    let files = names(spool)?;
    let mut segments = files.into_iter().filter(|it| it.extension().is_some_and(|it| it == "log"));
    segments.next().context("the spool has a segment")
}

fn kept_aside(directory: &Path) -> Result<bool> {
    Ok(names(directory)?.iter().any(|it| it.to_string_lossy().contains(".corrupt-")))
}

/// Counters that an advert could raise.
fn counters(node: &Node) -> Result<BTreeMap<String, u64>> {
    let status: Value = serde_json::from_slice(&node.hactl(&["status", "-o", "json"])?)?;
    let counters = status["instances"][0]["counters"].clone();
    let mut counters: BTreeMap<String, u64> = serde_json::from_value(counters)?;
    let others = [
        "advert_sent",
        "garp_sent",
        "address_put_back",
        "late_wakeup",
        "send_err",
        "pri_zero_sent",
    ];
    counters.retain(|name, _| !others.contains(&name.as_str()));
    Ok(counters)
}

/// An advert that must raise a counter and nothing else.
type Fault<'a> = (&'a str, &'a Host, Forged);

/// Sends each fault to the node, which is master: it counts each and stays
/// master. The good one shows that only the faults kept it from yielding.
fn drops_all(node: &Node, faults: &[Fault<'_>], good: Forged, from: &Host) -> Result<()> {
    let mut expected = counters(node)?;
    for (counter, host, fault) in faults {
        fault.send(host)?;
        *expected.get_mut(*counter).with_context(|| format!("no counter {counter}"))? += 1;
        let mut now = BTreeMap::new();
        let counted = eventually(PATIENCE, || {
            now = counters(node)?;
            Ok(now == expected)
        })?;
        ensure!(counted, "{counter}: {fault:?}: {now:?}, expected {expected:?}");
    }
    let metrics = node.metrics()?;
    ensure!(metrics.of("keepalived_vrrp_state", "web") == State::Master as u64, "{metrics:?}");
    ensure!(metrics.of("keepalived_release_master_total", "web") == 0, "{metrics:?}");
    good.send(from)?;
    let yielded = || Ok(node.metrics()?.of("keepalived_release_master_total", "web") == 1);
    ensure!(eventually(PATIENCE, yielded)?, "the good advert does not count either");
    Ok(())
}

/// A good advert of the second node to the first.
fn good(of_family: fn(u8) -> IpAddr) -> Forged {
    Forged {
        source: of_family(2),
        destination: of_family(1),
        ttl: 255,
        version: VrrpVersion::V3,
        vrid: 51,
        interval: Micros::from_secs(1),
        auth: (0, [0; 8]),
        address: of_family(100),
        spoil: |_| {},
        sealed: true,
    }
}

#[test]
fn a_unicast_advert_with_any_field_wrong_is_dropped_and_counted() {
    run("a_unicast_advert_with_any_field_wrong_is_dropped_and_counted", || {
        let mut router = Router::new(1_000_000);
        router.further.insert("accept".to_owned(), json!({ "require_addresses": true }));
        let mut pair = Pair::new(&[router])?;
        let stranger = pair.stranger(3)?;
        pair.first.start()?;
        pair.first.wait_for("web", State::Master)?;
        let (good, peer) = (good(address_v4), &pair.second.host);
        // Nobody's: the kernel's filter drops it before it costs anything, and
        // what follows would show it if it had been counted.
        Forged { vrid: 52, ..good }.send(peer)?;
        let faults = [
            ("vers_err", Forged { spoil: |message| message[0] = 0x41, ..good }),
            ("vers_err", Forged { version: VrrpVersion::V2, ..good }),
            ("invalid_type_rcvd", Forged { spoil: |message| message[0] = 0x32, ..good }),
            ("packet_len_err", Forged { spoil: |message| message[3] = 2, ..good }),
            ("packet_len_err", Forged { spoil: |message| message.truncate(8), ..good }),
            ("packet_len_err", Forged { spoil: |message| message.extend([0; 4]), ..good }),
            ("chk_err", Forged { sealed: false, ..good }),
            ("advert_interval_err", Forged { interval: Micros(0), ..good }),
            ("ip_ttl_err", Forged { ttl: 64, ..good }),
            ("ip_ttl_err", Forged { ttl: 254, ..good }),
            ("addr_list_err", Forged { address: address_v4(101), ..good }),
        ];
        let mut faults = faults.map(|(counter, fault)| (counter, peer, fault)).to_vec();
        let unknown = Forged { source: address_v4(3), ..good };
        faults.push(("unknown_peer_err", &stranger, unknown));
        drops_all(&pair.first, &faults, good, peer)
    });
}

#[test]
fn a_multicast_advert_of_version_2_with_any_field_wrong_is_dropped_and_counted() {
    run("a_multicast_advert_of_version_2_with_any_field_wrong_is_dropped_and_counted", || {
        let secret = json!({ "name": "key", "version": 1 });
        let mut router = Router { version: 2, multicast: true, ..Router::new(1_000_000) };
        router.further.insert("auth".to_owned(), json!({ "pass": { "secret": secret } }));
        let mut pair = Pair::new(&[router])?;
        let value = json!([{ "name": "key", "version": 1, "value": "s3cret" }]);
        std::fs::write(pair.first.secrets_file(), value.to_string())?;
        pair.first.start()?;
        pair.first.wait_for("web", State::Master)?;
        let peer = &pair.second.host;
        let good = Forged {
            destination: ha_core::vrrp::packet::GROUP_V4,
            version: VrrpVersion::V2,
            auth: (1, *b"s3cret\0\0"),
            ..good(address_v4)
        };
        let faults = [
            ("vers_err", Forged { version: VrrpVersion::V3, ..good }),
            ("invalid_type_rcvd", Forged { spoil: |message| message[0] = 0x22, ..good }),
            ("packet_len_err", Forged { spoil: |message| message.truncate(16), ..good }),
            ("chk_err", Forged { sealed: false, ..good }),
            ("advert_interval_err", Forged { interval: Micros::from_secs(2), ..good }),
            ("ip_ttl_err", Forged { ttl: 254, ..good }),
            ("transport_err", Forged { destination: address_v4(1), ..good }),
            ("invalid_authtype", Forged { auth: (3, *b"s3cret\0\0"), ..good }),
            ("authtype_mismatch", Forged { auth: (0, [0; 8]), ..good }),
            ("auth_failure", Forged { auth: (1, *b"s3cres\0\0"), ..good }),
        ];
        let faults = faults.map(|(counter, fault)| (counter, peer, fault));
        drops_all(&pair.first, &faults, good, peer)
    });
}

#[test]
fn an_advert_over_ipv6_with_any_field_wrong_is_dropped_and_counted() {
    run("an_advert_over_ipv6_with_any_field_wrong_is_dropped_and_counted", || {
        let addresses = vec!["fd09::64/64".to_owned()];
        let mut pair = Pair::new(&[Router { addresses, ..Router::new(1_000_000) }])?;
        let stranger = pair.stranger(3)?;
        pair.first.start()?;
        pair.first.wait_for("web", State::Master)?;
        let (good, peer) = (good(address_v6), &pair.second.host);
        let faults = [
            // Version 2 is not spoken over IPv6.
            ("vers_err", peer, Forged { spoil: |message| message[0] = 0x21, ..good }),
            ("packet_len_err", peer, Forged { spoil: |message| message.truncate(20), ..good }),
            ("chk_err", peer, Forged { sealed: false, ..good }),
            ("ip_ttl_err", peer, Forged { ttl: 64, ..good }),
            ("unknown_peer_err", &stranger, Forged { source: address_v6(3), ..good }),
        ];
        drops_all(&pair.first, &faults, good, peer)
    });
}
