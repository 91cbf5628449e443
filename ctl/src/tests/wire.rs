//! What is between hactl and a controller: TLS, and the trace.

use tonic::Status;

use super::bench::Bench;
use super::fake::FakeFleet;
use super::fleet::{cluster, status};
use crate::exit::Exit;

/// A fleet that `init` made, its controller at work, and a context for it.
async fn made() -> (Bench, FakeFleet) {
    // Certificates are judged by the clock of the machine.
    let bench = Bench { now_us: ha_certs::now_us, ..Bench::alone() };
    let pki = bench.path("pki");
    let init = format!("init --fleet lab --pki {} --controller-address 127.0.0.1:1", pki.display());
    assert_eq!(bench.run(&init).await.exit, Exit::Ok);
    let fleet = FakeFleet::default();
    fleet.state().status = status(vec![cluster("fra-web")]);
    let port = fleet.serve_tls(&pki).await;
    let config = std::fs::read_to_string(bench.config()).expect("a configuration");
    let config = config.replace("127.0.0.1:1\"", &format!("127.0.0.1:{port}\""));
    std::fs::write(bench.config(), config).expect("writes");
    (bench, fleet)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_init_made_is_all_that_is_needed() {
    let (bench, _fleet) = made().await;
    let ran = bench.run("status -o name").await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, "fra-web\n"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_of_another_fleet_is_not_believed() {
    let (bench, fleet) = made().await;
    let other = Bench { now_us: ha_certs::now_us, ..Bench::alone() };
    let pki = other.path("pki");
    let init = format!("init --fleet lab --pki {} --controller-address 127.0.0.1:1", pki.display());
    assert_eq!(other.run(&init).await.exit, Exit::Ok);
    let port = fleet.serve_tls(&pki).await;
    let config = std::fs::read_to_string(bench.config()).expect("a configuration");
    let from = config.find("127.0.0.1:").expect("an address");
    let to = from + config[from..].find('"').expect("its end");
    let config = format!("{}127.0.0.1:{port}{}", &config[..from], &config[to..]);
    std::fs::write(bench.config(), config).expect("writes");
    let ran = bench.run("status").await;
    assert_eq!(ran.exit, Exit::Unreachable, "{}", ran.err);
    assert!(ran.err.contains("error[E5005]"), "{}", ran.err);
    assert!(fleet.state().traceparents.is_empty(), "nothing was asked of it");
}

/// Needs a process of its own, which nextest gives: tracing is set up once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_is_one_trace_and_its_errors_name_it() {
    let fleet = FakeFleet::default();
    fleet.state().refuse = Some(Status::internal("broken"));
    let bench = Bench::new(fleet.serve());
    let ran = bench.run("status --otlp http://127.0.0.1:9").await;
    assert_eq!(ran.exit, Exit::Error);
    let parents = fleet.state().traceparents.clone();
    assert_eq!(parents.len(), 1, "the call carries a trace");
    let trace = parents[0].split('-').nth(1).expect("a trace id").to_owned();
    assert_eq!(trace.len(), 32);
    assert!(ran.err.contains(&format!("= trace: {trace}")), "{} {}", ran.err, parents[0]);
}
