//! The table in front of every service.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use ha_certs::server::Peer;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::table;
use super::{AuthCounters, Refusal};

/// Lets through what the table allows.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    counters: Arc<AuthCounters>,
}

impl AuthLayer {
    /// Counts what it refuses.
    #[must_use]
    pub fn new(counters: Arc<AuthCounters>) -> Self {
        Self { counters }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { inner, counters: Arc::clone(&self.counters) }
    }
}

/// See [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    counters: Arc<AuthCounters>,
}

fn check<B>(request: &Request<B>, now_us: u64) -> Result<(), Refusal> {
    let peer = request.extensions().get::<Peer>().ok_or(Refusal::Peer)?;
    let Some(row) = table::find(request.uri().path()) else {
        // Strangers learn nothing, not even what there is not.
        table::Access::Anyone.check(peer, now_us)?;
        return Err(Refusal::Method);
    };
    row.access.check(peer, now_us)
}

impl<S, B> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match check(&request, crate::clock::now_us()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => {
                self.counters.count(refusal);
                tracing::debug!(
                    method = request.uri().path(),
                    reason = refusal.as_str(),
                    peer = ?request.extensions().get::<Peer>(),
                    "call refused"
                );
                Either::Right(ready(Ok(refusal.status().into_http())))
            }
        }
    }
}
