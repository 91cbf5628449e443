//! From a listening socket to connections whose handshake is done.
//!
//! Each handshake runs in its own task with a deadline, so that a slow client
//! keeps nobody waiting.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

use super::ServerTls;
use super::counters::HandshakeFailure;
use super::io::{Guest, TlsIo};
use super::peer::{Peer, PeerCertificate};
use crate::clock;

/// Finished handshakes that wait for the server, which takes them at once:
/// enough for a burst between two turns of its task.
const QUEUE: usize = 128;
/// Pause after the system refused a connection, mostly for want of file
/// descriptors: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much strangers may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AcceptLimits {
    /// Handshakes under way at once; beyond it connections wait in the
    /// system's queue.
    pub handshakes: usize,
    /// Longest handshake.
    pub handshake_deadline: Duration,
    /// Open connections without a valid certificate; beyond it they are closed.
    pub guests: usize,
    /// Longest life of such a connection.
    pub guest_life: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            handshakes: 1024,
            handshake_deadline: Duration::from_secs(5),
            guests: 256,
            guest_life: Duration::from_secs(30),
        }
    }
}

/// Accepts connections until the returned stream is dropped. Give it to
/// `serve_with_incoming`.
pub fn accept(
    listener: TcpListener,
    tls: Arc<ServerTls>,
    limits: AcceptLimits,
) -> ReceiverStream<io::Result<TlsIo>> {
    let (done, incoming) = mpsc::channel(QUEUE);
    let gate = Gate {
        tls,
        limits,
        handshakes: Arc::new(Semaphore::new(limits.handshakes)),
        guests: Arc::new(Semaphore::new(limits.guests)),
    };
    tokio::spawn(run(listener, Arc::new(gate), done));
    ReceiverStream::new(incoming)
}

struct Gate {
    tls: Arc<ServerTls>,
    limits: AcceptLimits,
    handshakes: Arc<Semaphore>,
    guests: Arc<Semaphore>,
}

type Done = mpsc::Sender<io::Result<TlsIo>>;

async fn run(listener: TcpListener, gate: Arc<Gate>, done: Done) {
    loop {
        // The semaphore is never closed; ending the loop would be right if it were.
        let Ok(place) = Arc::clone(&gate.handshakes).acquire_owned().await else { return };
        // Cancel-safe: a connection is accepted or not, and nothing else is held.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = done.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the system refused a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (gate, done) = (Arc::clone(&gate), done.clone());
        tokio::spawn(async move {
            if let Some(io) = gate.handshake(stream, address).await {
                // Only fails when the server is gone, and then nobody minds.
                let _ = done.send(Ok(io)).await;
            }
            drop(place);
        });
    }
}

impl Gate {
    async fn handshake(&self, stream: TcpStream, address: SocketAddr) -> Option<TlsIo> {
        // Small messages both ways: waiting to fill a segment only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "can't set TCP_NODELAY");
        }
        let handshake = TlsAcceptor::from(self.tls.config()).accept(stream);
        let stream = match tokio::time::timeout(self.limits.handshake_deadline, handshake).await {
            Err(_) => return self.refuse(address, HandshakeFailure::Timeout, "too slow"),
            Ok(Err(error)) => {
                let certificate = error.get_ref().is_some_and(is_certificate_error);
                if !certificate {
                    // Those about certificates were counted by the verifier.
                    self.tls.counters.fail(HandshakeFailure::Protocol);
                }
                tracing::debug!(%address, %error, "handshake failed");
                return None;
            }
            Ok(Ok(stream)) => stream,
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = match shown.map(|der| PeerCertificate::read(der)).transpose() {
            Ok(certificate) => certificate,
            Err(error) => {
                return self.refuse(address, HandshakeFailure::Identity, &error.to_string());
            }
        };
        let peer = Peer { address, certificate };
        let guest = if peer.valid_at(clock::now_us()) {
            None
        } else {
            let Ok(place) = Arc::clone(&self.guests).try_acquire_owned() else {
                return self.refuse(address, HandshakeFailure::Crowded, "too many guests");
            };
            let until = Box::pin(tokio::time::sleep(self.limits.guest_life));
            Some(Guest { _place: place, until })
        };
        self.tls.counters.complete();
        Some(TlsIo::new(stream, peer, guest))
    }

    fn refuse(&self, address: SocketAddr, why: HandshakeFailure, detail: &str) -> Option<TlsIo> {
        self.tls.counters.fail(why);
        tracing::debug!(%address, reason = why.as_str(), detail, "connection refused");
        None
    }
}

fn is_certificate_error(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<rustls::Error>()
        .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}
