//! Two agents in two namespaces: who holds the address, whatever happens.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ha_tests::lab::eventually;
use ha_tests::metrics::Metrics;
use ha_tests::pair::{PATIENCE, Pair, Router, State};
use ha_tests::skip::root_or_skip;
use nix::sys::signal::Signal;

const VIP: &str = "10.9.0.100";
const FAST: u64 = 100_000;
const SECOND: u64 = 1_000_000;

fn run(name: &str, test: impl FnOnce() -> Result<()>) {
    if root_or_skip(name)
        && let Err(error) = test()
    {
        panic!("{error:?}");
    }
}

fn figure(metrics: &Metrics, name: &str) -> u64 {
    metrics.of(name, "web")
}

#[test]
fn the_address_follows_the_link() {
    run("the_address_follows_the_link", || {
        let pair = Pair::settled(&[Router::new(FAST)])?;
        pair.first.wait_until_holds(VIP, true)?;
        ensure!(!pair.second.holds(VIP)?);
        pair.network.cut(&pair.first.host)?;
        pair.second.wait_until_holds(VIP, true)?;
        pair.first.wait_until_holds(VIP, false)?;
        pair.network.heal(&pair.first.host)?;
        pair.first.wait_until_holds(VIP, true)?;
        pair.second.wait_until_holds(VIP, false)
    });
}

#[test]
fn an_address_that_others_remove_is_put_back_ten_times() {
    run("an_address_that_others_remove_is_put_back_ten_times", || {
        let pair = Pair::settled(&[Router::new(FAST)])?;
        let node = &pair.first;
        let remove = || node.host.run(&["ip", "addr", "del", "10.9.0.100/24", "dev", "eth0"]);
        for _ in 0..10 {
            node.wait_until_holds(VIP, true)?;
            remove()?;
        }
        node.wait_until_holds(VIP, true)?;
        remove()?;
        let reported = || Ok(figure(&node.metrics()?, "ha_addresses_failed") == 1);
        ensure!(eventually(PATIENCE, reported)?, "never reported:\n{}", node.log_text());
        let metrics = node.metrics()?;
        ensure!(!node.holds(VIP)?, "put back more than ten times");
        ensure!(figure(&metrics, "ha_addresses_put_back_total") == 10, "{metrics:?}");
        ensure!(figure(&metrics, "keepalived_become_master_total") == 1, "{metrics:?}");
        ensure!(node.log_text().contains("AddressFailed"), "no event:\n{}", node.log_text());
        Ok(())
    });
}

#[test]
fn a_stopped_master_says_so_and_takes_its_address_along() {
    run("a_stopped_master_says_so_and_takes_its_address_along", || {
        let mut pair = Pair::settled(&[Router::new(SECOND)])?;
        pair.first.wait_until_holds(VIP, true)?;
        pair.first.end_by(Signal::SIGTERM)?;
        let ended = Instant::now();
        ensure!(!pair.first.holds(VIP)?, "the address stayed");
        pair.second.wait_until_holds(VIP, true)?;
        // Without priority 0 it would be 3.6 s; with it, the skew of 0.6 s.
        ensure!(ended.elapsed() < Duration::from_secs(2), "took {:?}", ended.elapsed());
        let metrics = pair.second.metrics()?;
        ensure!(figure(&metrics, "keepalived_priority_zero_received_total") == 1, "{metrics:?}");
        Ok(())
    });
}

#[test]
fn a_restart_keeps_the_address_where_it_is() {
    run("a_restart_keeps_the_address_where_it_is", || {
        let mut pair = Pair::settled(&[Router::new(SECOND)])?;
        pair.first.wait_until_holds(VIP, true)?;
        pair.first.end_by(Signal::SIGUSR2)?;
        ensure!(pair.first.holds(VIP)?, "the address went with the process");
        pair.first.start()?;
        pair.first.wait_for("web", State::Master)?;
        ensure!(pair.first.holds(VIP)?);
        let log = pair.first.log_text();
        ensure!(log.contains("Resumed"), "went on by an election:\n{log}");
        let metrics = pair.second.metrics()?;
        ensure!(figure(&metrics, "keepalived_become_master_total") == 0, "{metrics:?}");
        Ok(())
    });
}

#[test]
fn with_fast_adverts_a_restart_hands_the_address_over() {
    run("with_fast_adverts_a_restart_hands_the_address_over", || {
        let mut pair = Pair::settled(&[Router::new(FAST)])?;
        pair.first.wait_until_holds(VIP, true)?;
        pair.first.end_by(Signal::SIGUSR2)?;
        ensure!(!pair.first.holds(VIP)?, "the address stayed");
        pair.second.wait_until_holds(VIP, true)?;
        let metrics = pair.second.metrics()?;
        ensure!(figure(&metrics, "keepalived_priority_zero_received_total") == 1, "{metrics:?}");
        Ok(())
    });
}

#[test]
fn a_crashed_master_that_comes_late_starts_as_backup() {
    run("a_crashed_master_that_comes_late_starts_as_backup", || {
        let router = Router { preempt: false, ..Router::new(FAST) };
        let mut pair = Pair::settled(&[router])?;
        pair.first.wait_until_holds(VIP, true)?;
        pair.first.end_by(Signal::SIGKILL)?;
        pair.second.wait_until_holds(VIP, true)?;
        ensure!(pair.first.holds(VIP)?, "who removed it?");
        pair.first.start()?;
        pair.first.wait_until_holds(VIP, false)?;
        pair.first.wait_for("web", State::Backup)?;
        let metrics = pair.second.metrics()?;
        ensure!(figure(&metrics, "keepalived_release_master_total") == 0, "{metrics:?}");
        Ok(())
    });
}

#[test]
fn release_removes_what_a_crash_left_and_nothing_else() {
    run("release_removes_what_a_crash_left_and_nothing_else", || {
        let mut pair = Pair::settled(&[Router::new(FAST)])?;
        pair.first.wait_until_holds(VIP, true)?;
        pair.first.host.run(&["ip", "addr", "add", "10.9.0.77/24", "dev", "eth0"])?;
        ensure!(pair.first.release().is_err(), "released under a running agent");
        ensure!(pair.first.holds(VIP)?, "a running agent lost its address");
        pair.first.end_by(Signal::SIGKILL)?;
        pair.first.release()?;
        ensure!(!pair.first.holds(VIP)?, "the virtual address stayed");
        ensure!(pair.first.holds("10.9.0.77")?, "an address of others was removed");
        ensure!(pair.first.holds("10.9.0.1")?, "the node's own address was removed");
        Ok(())
    });
}

#[test]
fn an_interface_that_vanishes_and_returns_works_again() {
    run("an_interface_that_vanishes_and_returns_works_again", || {
        let pair = Pair::settled(&[Router::new(FAST)])?;
        pair.first.host.detach("eth0")?;
        pair.second.wait_until_holds(VIP, true)?;
        pair.first.attach(&pair.network)?;
        pair.first.wait_until_holds(VIP, true)?;
        pair.second.wait_until_holds(VIP, false)?;
        let metrics = pair.first.metrics()?;
        ensure!(figure(&metrics, "keepalived_become_master_total") == 2, "{metrics:?}");
        Ok(())
    });
}

/// Stops the master until the other one has sent so many adverts, which then
/// wait for it.
fn hold_up_the_master(router: Router, adverts: u64) -> Result<()> {
    let pair = Pair::settled(&[Router { preempt: false, ..router }])?;
    pair.first.wait_until_holds(VIP, true)?;
    pair.first.signal(Signal::SIGSTOP)?;
    pair.second.wait_until_holds(VIP, true)?;
    let heard = figure(&pair.second.metrics()?, "keepalived_advertisements_received_total");
    let sent =
        || Ok(figure(&pair.second.metrics()?, "keepalived_advertisements_sent_total") >= adverts);
    ensure!(eventually(PATIENCE, sent)?);
    pair.first.signal(Signal::SIGCONT)?;
    pair.first.wait_until_holds(VIP, false)?;
    pair.first.wait_for("web", State::Backup)?;
    let (first, second) = (pair.first.metrics()?, pair.second.metrics()?);
    ensure!(figure(&first, "ha_late_wakeups_total") >= 1, "{first:?}");
    ensure!(figure(&second, "keepalived_release_master_total") == 0, "{second:?}");
    let heard_after = figure(&second, "keepalived_advertisements_received_total");
    ensure!(heard_after == heard, "the first sent before it heard");
    ensure!(pair.second.holds(VIP)?, "the address was lost");
    Ok(())
}

#[test]
fn a_master_that_was_held_up_yields_first() {
    run("a_master_that_was_held_up_yields_first", || hold_up_the_master(Router::new(FAST), 20));
}

#[test]
fn so_does_one_that_was_held_up_for_ten_seconds() {
    run("so_does_one_that_was_held_up_for_ten_seconds", || {
        // Takeover after 3.6 s, and seven adverts.
        hold_up_the_master(Router { multicast: true, ..Router::new(SECOND) }, 7)
    });
}

#[test]
fn many_addresses_do_not_hold_up_fast_adverts() {
    run("many_addresses_do_not_hold_up_fast_adverts", || {
        let block = |name, vrid, net: u8| Router {
            name,
            vrid,
            addresses: (1..=250).map(|host| format!("10.{net}.0.{host}/32")).collect(),
            ..Router::new(10_000)
        };
        let routers = [block("web", 1, 20), block("db", 2, 21)];
        let mut pair = Pair::new(&routers)?;
        pair.second.start()?;
        pair.second.wait_for("web", State::Master)?;
        pair.second.wait_for("db", State::Master)?;
        // Takes over both at once, and has 500 addresses to add meanwhile.
        pair.first.start()?;
        for address in ["10.20.0.250", "10.21.0.250"] {
            pair.first.wait_until_holds(address, true)?;
            pair.second.wait_until_holds(address, false)?;
        }
        let metrics = pair.second.metrics()?;
        for router in ["web", "db"] {
            let became = metrics.of("keepalived_become_master_total", router);
            ensure!(became == 1, "{router}: a second master: {metrics:?}");
        }
        Ok(())
    });
}

#[test]
fn a_changed_plan_is_a_difference_and_a_bad_one_changes_nothing() {
    run("a_changed_plan_is_a_difference_and_a_bad_one_changes_nothing", || {
        let mut router = Router::new(FAST);
        let pair = Pair::settled(std::slice::from_ref(&router))?;
        router.addresses = vec!["10.9.0.100/24".to_owned(), "10.9.0.101/24".to_owned()];
        for node in [&pair.first, &pair.second] {
            node.write_plan(std::slice::from_ref(&router))?;
            node.signal(Signal::SIGHUP)?;
        }
        pair.first.wait_until_holds("10.9.0.101", true)?;
        router.addresses.remove(0);
        pair.first.write_plan(std::slice::from_ref(&router))?;
        pair.first.signal(Signal::SIGHUP)?;
        pair.first.wait_until_holds(VIP, false)?;

        std::fs::write(pair.first.plan_file(), r#"{"schema": 1, "surprise": true}"#)?;
        pair.first.signal(Signal::SIGHUP)?;
        let said = || Ok(pair.first.log_text().contains("surprise"));
        ensure!(eventually(PATIENCE, said)?, "said nothing:\n{}", pair.first.log_text());
        ensure!(pair.first.holds("10.9.0.101")?);
        let metrics = pair.first.metrics()?;
        ensure!(figure(&metrics, "keepalived_become_master_total") == 1, "{metrics:?}");
        Ok(())
    });
}

/// Multicast: version 2, version 3, and version 3 over IPv6.
fn over_multicast() -> [(Router, &'static str); 3] {
    let version_3 = Router { multicast: true, ..Router::new(FAST) };
    let addresses = vec!["fd09::64/64".to_owned()];
    [
        (Router { version: 2, interval_us: SECOND, ..version_3.clone() }, VIP),
        (version_3.clone(), VIP),
        (Router { addresses, ..version_3 }, "fd09::64"),
    ]
}

#[test]
fn over_multicast_there_is_one_master_and_the_address_follows_the_link() {
    run("over_multicast_there_is_one_master_and_the_address_follows_the_link", || {
        for (router, address) in over_multicast() {
            let pair = Pair::settled(&[router])?;
            pair.first.wait_until_holds(address, true)?;
            ensure!(!pair.second.holds(address)?);
            pair.network.cut(&pair.first.host)?;
            pair.second.wait_until_holds(address, true)?;
            pair.first.wait_until_holds(address, false)?;
            pair.network.heal(&pair.first.host)?;
            pair.first.wait_until_holds(address, true)?;
            pair.second.wait_until_holds(address, false)?;
            let metrics = pair.second.metrics()?;
            ensure!(figure(&metrics, "keepalived_become_master_total") == 1, "{metrics:?}");
        }
        Ok(())
    });
}
