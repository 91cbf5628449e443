//! Answers that last no longer than the certificate they are given to.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use super::Refusal;
use crate::clock::now_us;

/// Longest sleep before the wall clock is read again: it may be set, and
/// certificates go by it.
const LOOK: Duration = Duration::from_secs(60);

/// A body that ends with `UNAUTHENTICATED` when the caller's certificate does.
pub(super) struct UntilExpired {
    /// None once it has ended.
    inner: Option<Body>,
    not_after_us: u64,
    look: Pin<Box<Sleep>>,
}

impl UntilExpired {
    pub(super) fn new(inner: Body, not_after_us: u64) -> Self {
        Self { inner: Some(inner), not_after_us, look: Box::pin(sleep(not_after_us)) }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.look.as_mut().poll(cx));
            if now_us() > self.not_after_us {
                return Poll::Ready(());
            }
            self.look.set(sleep(self.not_after_us));
        }
    }
}

/// Ends just behind the last microsecond, or at the next look.
fn sleep(not_after_us: u64) -> Sleep {
    let left = not_after_us.saturating_sub(now_us()).saturating_add(1);
    tokio::time::sleep_until(Instant::now() + Duration::from_micros(left).min(LOOK))
}

impl HttpBody for UntilExpired {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = Pin::new(inner).poll_frame(cx);
        if frame.is_ready() {
            return frame;
        }
        ready!(self.poll_expired(cx));
        // Whoever feeds the stream sees that it is gone.
        self.inner = None;
        let mut trailers = http::HeaderMap::new();
        Refusal::Expired.status().add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
