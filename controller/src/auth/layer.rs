//! The table in front of every service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ha_certs::server::Peer;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::table;
use super::until::UntilExpired;
use super::{AuthCounters, Refusal};
use crate::clock::now_us;

/// Lets through what the table allows, for as long as the certificate lasts.
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
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let now_us = now_us();
        if let Err(refusal) = check(&request, now_us) {
            self.counters.count(refusal);
            tracing::debug!(
                method = request.uri().path(),
                reason = refusal.as_str(),
                peer = ?request.extensions().get::<Peer>(),
                "call refused"
            );
            return Box::pin(async move { Ok(refusal.status().into_http()) });
        }
        let end_us = end_of(&request, now_us);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match end_us {
                Some(end_us) => answer.map(|body| Body::new(UntilExpired::new(body, end_us))),
                None => answer,
            })
        })
    }
}

/// When the caller's certificate ends; `None` if there is none or it has ended
/// already: what is open then has its own rule.
fn end_of<B>(request: &Request<B>, now_us: u64) -> Option<u64> {
    let certificate = request.extensions().get::<Peer>()?.certificate.as_ref()?;
    certificate.valid_at(now_us).then_some(certificate.not_after_us)
}
