//! `/metrics`: what the controller knows of itself, computed when asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context as _, Result};
use ha_certs::server::{HandshakeFailure, ServerTls};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::auth::{AuthCounters, Refusal};
use crate::clock::now_us;
use crate::events::Events;
use crate::fleet::{FleetHandle, Health};
use crate::store::SharedStore;

/// A scraper and a curious person; more wait.
const CONNECTIONS: usize = 8;

/// Where the figures come from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) fleet: FleetHandle,
    pub(super) store: SharedStore,
    pub(super) events: Arc<Events>,
    pub(super) tls: Arc<ServerTls>,
    pub(super) auth: Arc<AuthCounters>,
}

/// Serves until the program ends.
pub(super) async fn serve(at: SocketAddr, sources: Sources) -> Result<()> {
    let listener =
        TcpListener::bind(at).await.with_context(|| format!("can't serve metrics on {at}"))?;
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        // The semaphore is never closed.
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors: others need them more.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            };
            let sources = sources.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let response = respond(&request, &sources);
                    async move { response }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(std::time::Duration::from_secs(10))
                    .serve_connection(TokioIo::new(stream), answer);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection for metrics failed");
                }
                drop(place);
            });
        }
    });
    Ok(())
}

fn respond(
    request: &Request<Incoming>,
    sources: &Sources,
) -> Result<Response<Full<Bytes>>, http::Error> {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        return Response::builder().status(StatusCode::NOT_FOUND).body(Full::default());
    }
    let mut text = String::new();
    if encode(&mut text, &registry(sources)).is_err() {
        return Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Full::default());
    }
    Response::builder()
        .header("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(Full::new(text.into()))
}

type Label = [(&'static str, &'static str); 1];
type Gauges = Family<Label, Gauge<u64, AtomicU64>>;
type Counters = Family<Label, Counter<u64, AtomicU64>>;

fn registry(sources: &Sources) -> Registry {
    let mut registry = Registry::with_prefix("ha_controller");
    fleet(&mut registry, sources);
    let handshakes = Counters::default();
    let counters = sources.tls.counters();
    handshakes.get_or_create(&[("result", "ok")]).inc_by(counters.completed());
    for failure in HandshakeFailure::ALL {
        handshakes.get_or_create(&[("result", failure.as_str())]).inc_by(counters.failed(failure));
    }
    registry.register("handshakes", "TLS handshakes since the start, by result", handshakes);
    let refused = Counters::default();
    for refusal in Refusal::ALL {
        refused
            .get_or_create(&[("reason", refusal.as_str())])
            .inc_by(sources.auth.refused(refusal));
    }
    registry.register("refused_calls", "Calls refused since the start, by reason", refused);
    counter(&mut registry, "store_transactions", "Transactions stored", sources.store.index());
    counter(&mut registry, "events_stored", "Events stored", sources.events.last());
    registry
}

fn fleet(registry: &mut Registry, sources: &Sources) {
    let fleet = sources.fleet.snapshot();
    let clusters = Gauges::default();
    let all = [
        (Health::Ok, "ok"),
        (Health::Degraded, "degraded"),
        (Health::Unknown, "unknown"),
        (Health::Down, "down"),
        (Health::Split, "split"),
    ];
    let judgement = fleet.judge(now_us(), |_| true);
    for (health, label) in all {
        let count = judgement.clusters.iter().filter(|cluster| cluster.health == health).count();
        clusters.get_or_create(&[("health", label)]).set(count as u64);
    }
    registry.register("clusters", "Clusters by health", clusters);
    let nodes = || fleet.nodes.values();
    let sessions = nodes().filter(|node| node.session.is_some()).count() as u64;
    let failing = u64::from(fleet.store_failing.is_some());
    registry.register("sessions", "Agents with a session", ConstGauge::new(sessions));
    registry.register("store_failing", "1 if a rollout can't be stored", ConstGauge::new(failing));
    let duplicates = nodes().map(|node| node.duplicates).sum();
    counter(registry, "duplicate_streams", "Second streams refused", duplicates);
    let misnamed = nodes().map(|node| node.misnamed).sum();
    counter(registry, "misnamed_messages", "Messages with another node's name", misnamed);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}
