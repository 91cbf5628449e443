//! The layers in front of every service, in this order: identity and role,
//! limits and load shed, trace. What is refused costs no span.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{Layer, Service, ServiceBuilder};
use tracing::Instrument as _;
use tracing::instrument::Instrumented;

use super::{AuthCounters, AuthLayer};

/// Most calls that are being answered at once, all connections together; more
/// get `RESOURCE_EXHAUSTED`. A stream counts until its first answer only. Well
/// above the reconnect of a whole fleet, well below what memory can hold.
pub const MAX_CALLS: usize = 8192;
/// Most calls and streams of one connection; more wait on the caller's side.
/// An agent uses two, `hactl` a handful.
pub const MAX_STREAMS: u32 = 64;
/// Most bytes in one message, either way: 4 MiB. Set it with
/// `max_decoding_message_size` on services.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Most bytes in the headers of one call.
const MAX_HEADERS: u32 = 16 * 1024;

type Layers = Stack<
    TraceLayer,
    Stack<GlobalConcurrencyLimitLayer, Stack<LoadShedLayer, Stack<AuthLayer, Identity>>>,
>;

/// A gRPC server behind its layers.
pub type AuthServer = Server<Stack<Layers, Identity>>;

/// A gRPC server whose every call passes the table. Add services, then serve
/// with the connections of [`ha_certs::server::accept`].
#[must_use]
pub fn server(counters: Arc<AuthCounters>) -> AuthServer {
    let layers: Layers = ServiceBuilder::new()
        .layer(AuthLayer::new(counters))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(MAX_CALLS))
        .layer(TraceLayer)
        .into_inner();
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(std::time::Duration::from_secs(5)))
        .layer(layers)
}

/// A span around every call, child of the caller's.
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> TraceService<S> {
        TraceService { inner }
    }
}

/// See [`TraceLayer`].
#[derive(Clone, Debug)]
pub struct TraceService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for TraceService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = ha_telemetry::trace::server_span(&request);
        span.in_scope(|| self.inner.call(request)).instrument(span)
    }
}
