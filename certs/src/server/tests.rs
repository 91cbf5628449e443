use std::io;
use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, SanType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;
use tokio_stream::StreamExt;
use tower::Service;

use super::*;
use crate::ca::{FleetCa, Profile};
use crate::certificate::Facts;
use crate::client::{ClientTls, ConnectError, ServerRefused};
use crate::clock::now_us;
use crate::key::PrivateKey;

const HOUR: u64 = 3600 * 1_000_000;

/// A server that sends every byte back, and the peers that it saw.
struct Bench {
    ca: FleetCa,
    tls: Arc<ServerTls>,
    uri: http::Uri,
    peers: mpsc::Receiver<Peer>,
}

fn ca() -> FleetCa {
    FleetCa::create(&"lab".parse().unwrap(), now_us()).unwrap()
}

/// Of somebody who trusts `ca` and got the certificate from `signer`.
fn credentials(ca: &FleetCa, signer: &FleetCa, profile: &Profile, at_us: u64) -> Credentials {
    let key = PrivateKey::generate().unwrap();
    let issued = signer.issue_for(&key, profile, at_us).unwrap();
    Credentials::new(ca.trusted().clone(), &issued.pem, key).unwrap()
}

fn node_of(ca: &FleetCa, signer: &FleetCa, at_us: u64) -> Credentials {
    credentials(ca, signer, &Profile::Node { name: "lb-1".parse().unwrap() }, at_us)
}

fn node(ca: &FleetCa, at_us: u64) -> Credentials {
    node_of(ca, ca, at_us)
}

fn controller(ca: &FleetCa) -> Credentials {
    let hosts = vec!["ctl.test".parse().unwrap()];
    let profile = Profile::Controller { name: "main".parse().unwrap(), hosts };
    credentials(ca, ca, &profile, now_us())
}

/// A certificate that our CA would not issue.
fn forged(ca: &FleetCa, uris: &[&str], usage: ExtendedKeyUsagePurpose) -> (String, String) {
    let key = PrivateKey::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    params.extended_key_usages = vec![usage];
    params.serial_number = Some(vec![7; 16].into());
    let certificate = ca
        .key()
        .with_pair(|signer| {
            let issuer = Issuer::from_ca_cert_der(ca.trusted().der(), signer).unwrap();
            key.with_pair(|pair| params.signed_by(pair, &issuer).unwrap().pem()).unwrap()
        })
        .unwrap();
    (certificate, key.to_pem().unwrap().to_string())
}

async fn echo(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut byte = [0];
    while io.read(&mut byte).await? == 1 {
        io.write_all(&byte).await?;
        io.flush().await?;
    }
    Ok(())
}

impl Bench {
    async fn new() -> Self {
        Self::with(AcceptLimits::default(), controller).await
    }

    async fn with(limits: AcceptLimits, shown: impl Fn(&FleetCa) -> Credentials) -> Self {
        let ca = ca();
        let tls = ServerTls::new(&shown(&ca)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let mut incoming = accept(listener, Arc::clone(&tls), limits);
        let (seen, peers) = mpsc::channel(100);
        tokio::spawn(async move {
            while let Some(Ok(io)) = incoming.next().await {
                seen.send(io.peer().clone()).await.unwrap();
                tokio::spawn(echo(io));
            }
        });
        Self { ca, tls, uri, peers }
    }

    async fn connect(&self, client: &Arc<ClientTls>) -> Result<TlsStream<TcpStream>, ConnectError> {
        client.connector().call(self.uri.clone()).await.map(hyper_util::rt::TokioIo::into_inner)
    }

    /// A stranger's connection.
    async fn stranger(&self) -> TlsStream<TcpStream> {
        let pinned = ClientTls::pinned(self.ca.trusted().fingerprint()).unwrap();
        self.connect(&pinned).await.unwrap()
    }

    /// One byte there and back; with TLS 1.3 a client learns that it was
    /// refused when it reads.
    async fn exchange(&self, credentials: &Credentials) -> io::Result<()> {
        let client = ClientTls::new(credentials).unwrap();
        ping(&mut self.connect(&client).await.map_err(io::Error::other)?).await
    }

    async fn seen(&mut self) -> Peer {
        self.peers.recv().await.unwrap()
    }

    fn failed(&self, failure: HandshakeFailure) -> u64 {
        self.tls.counters().failed(failure)
    }
}

async fn ping(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    io.write_all(b"x").await?;
    io.flush().await?;
    let mut byte = [0];
    io.read_exact(&mut byte).await?;
    Ok(())
}

/// Why the client did not believe the server.
fn refused(error: &ConnectError) -> String {
    let ConnectError::Tls { source, .. } = error else { panic!("{error}") };
    let tls = source.get_ref().unwrap().downcast_ref::<rustls::Error>().unwrap();
    if let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = tls {
        other.0.downcast_ref::<ServerRefused>().unwrap().to_string()
    } else {
        tls.to_string()
    }
}

#[tokio::test]
async fn a_stranger_has_no_identity() {
    let mut bench = Bench::new().await;
    ping(&mut bench.stranger().await).await.unwrap();
    let peer = bench.seen().await;
    assert_eq!(peer.certificate, None);
    assert_eq!(peer.identity(), None);
    assert!(!peer.valid_at(0));
    assert_eq!(bench.tls.counters().completed(), 1);
}

#[tokio::test]
async fn a_certificate_tells_who_it_is() {
    let mut bench = Bench::new().await;
    let mine = node(&bench.ca, now_us());
    bench.exchange(&mine).await.unwrap();
    let shown = bench.seen().await.certificate.unwrap();
    assert_eq!(shown.identity.to_string(), "node/lb-1");
    assert_eq!(shown.serial, mine.facts().serial);
    assert_eq!(shown.fingerprint, mine.facts().fingerprint);
    assert!(shown.valid_at(now_us()));
    assert!(shown.valid_at(shown.not_after_us));
    assert!(!shown.valid_at(shown.not_after_us + 1));
}

#[tokio::test]
async fn expired_within_the_grace_is_marked_and_beyond_it_refused() {
    let mut bench = Bench::new().await;
    let day = 24 * HOUR;
    bench.exchange(&node(&bench.ca, now_us() - 30 * day)).await.unwrap();
    let peer = bench.seen().await;
    assert_eq!(peer.identity().unwrap().to_string(), "node/lb-1");
    assert!(!peer.valid_at(now_us()));

    let error = bench.exchange(&node(&bench.ca, now_us() - 31 * day - HOUR)).await.unwrap_err();
    assert!(error.to_string().contains("CertificateExpired"), "{error}");
    assert_eq!(bench.failed(HandshakeFailure::Expired), 1);
    let error = bench.exchange(&node(&bench.ca, now_us() + HOUR)).await.unwrap_err();
    assert!(error.to_string().contains("Certificate"), "{error}");
    assert_eq!(bench.failed(HandshakeFailure::NotYetValid), 1);
    assert_eq!(bench.tls.counters().completed(), 1);
}

#[tokio::test]
async fn an_expired_one_of_another_ca_is_refused_too() {
    let bench = Bench::new().await;
    let theirs = node_of(&bench.ca, &ca(), now_us() - 48 * HOUR);
    bench.exchange(&theirs).await.unwrap_err();
    assert_eq!(bench.failed(HandshakeFailure::OtherCa), 1);
}

#[tokio::test]
async fn another_ca_is_refused_even_with_our_fleet_s_name() {
    let bench = Bench::new().await;
    bench.exchange(&node_of(&bench.ca, &ca(), now_us())).await.unwrap_err();
    assert_eq!(bench.failed(HandshakeFailure::OtherCa), 1);
}

#[tokio::test]
async fn certificates_that_are_not_for_clients_of_this_fleet_are_refused() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let bench = Bench::new().await;
    let node = "spiffe://lab/node/lb-1";
    let (certificate, key) = forged(&bench.ca, &[node], ClientAuth);
    raw_client(&bench, &certificate, &key).await.unwrap();
    for (uris, usage, failure) in [
        (&[node][..], ServerAuth, HandshakeFailure::Purpose),
        (&[], ClientAuth, HandshakeFailure::Identity),
        (&[node, "spiffe://lab/node/lb-2"], ClientAuth, HandshakeFailure::Identity),
        (&[node, "https://example.net/"], ClientAuth, HandshakeFailure::Identity),
        (&["spiffe://prod/node/lb-1"], ClientAuth, HandshakeFailure::Identity),
        (&["spiffe://lab/controller/main"], ClientAuth, HandshakeFailure::Identity),
        (&["spiffe://lab/user/root/eva"], ClientAuth, HandshakeFailure::Identity),
    ] {
        let before = bench.failed(failure);
        let (certificate, key) = forged(&bench.ca, uris, usage);
        raw_client(&bench, &certificate, &key).await.unwrap_err();
        assert_eq!(bench.failed(failure), before + 1, "{uris:?}");
    }
    assert_eq!(bench.tls.counters().completed(), 1);
    assert_eq!(bench.failed(HandshakeFailure::Protocol), 0, "each is counted once");
}

/// A client that shows what our own would not load.
async fn raw_client(bench: &Bench, certificate: &str, key: &str) -> io::Result<()> {
    let chain = vec![crate::certificate::first_of_pem(certificate).unwrap()];
    let key = PrivateKey::from_pem(key).unwrap().der();
    let config = rustls::ClientConfig::builder_with_provider(verify::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(verify::roots(bench.ca.trusted()).unwrap());
    let mut config = config.with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(bench.uri.authority().unwrap().as_str()).await?;
    let name = "ctl.test".try_into().unwrap();
    let mut io = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    ping(&mut io).await
}

#[tokio::test]
async fn a_node_can_not_pose_as_the_controller() {
    let bench = Bench::with(AcceptLimits::default(), |ca| node(ca, now_us())).await;
    let mine = ClientTls::new(&node(&bench.ca, now_us())).unwrap();
    let error = bench.connect(&mine).await.unwrap_err();
    assert_eq!(refused(&error), "the server is node/lb-1, not a controller");
    let pinned = ClientTls::pinned(bench.ca.trusted().fingerprint()).unwrap();
    let error = bench.connect(&pinned).await.unwrap_err();
    assert_eq!(refused(&error), "the server is node/lb-1, not a controller");
}

#[tokio::test]
async fn a_controller_s_name_alone_does_not_make_a_server() {
    let bench = Bench::with(AcceptLimits::default(), |ca| {
        let uris = ["spiffe://lab/controller/main"];
        let (certificate, key) = forged(ca, &uris, ExtendedKeyUsagePurpose::ClientAuth);
        Credentials::from_pem(ca.pem(), &certificate, &key).unwrap()
    })
    .await;
    let mine = ClientTls::new(&node(&bench.ca, now_us())).unwrap();
    let error = refused(&bench.connect(&mine).await.unwrap_err());
    assert!(error.contains("extended key usage") || error.contains("purpose"), "{error}");
}

#[tokio::test]
async fn a_controller_of_another_ca_is_not_believed() {
    let bench = Bench::new().await;
    let other = ca();
    let mine = ClientTls::new(&node(&other, now_us())).unwrap();
    let error = refused(&bench.connect(&mine).await.unwrap_err());
    assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    let pinned = ClientTls::pinned(other.trusted().fingerprint()).unwrap();
    let error = refused(&bench.connect(&pinned).await.unwrap_err());
    assert!(error.contains("does not have the pinned CA"), "{error}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_at_once_and_open_streams_go_on() {
    let bench = Bench::new().await;
    let client = ClientTls::new(&node(&bench.ca, now_us())).unwrap();
    let mut old = bench.connect(&client).await.unwrap();
    ping(&mut old).await.unwrap();
    let mut serials = vec![shown_by(&old)];
    for _ in 0..5 {
        bench.tls.reload(&controller(&bench.ca)).unwrap();
        for _ in 0..20 {
            ping(&mut old).await.unwrap();
        }
        let mut new = bench.connect(&client).await.unwrap();
        ping(&mut new).await.unwrap();
        let serial = shown_by(&new);
        assert!(!serials.contains(&serial));
        serials.push(serial);
    }
    assert_eq!(bench.failed(HandshakeFailure::Protocol), 0);
}

fn shown_by(io: &TlsStream<TcpStream>) -> crate::certificate::Serial {
    let chain = io.get_ref().1.peer_certificates().unwrap();
    assert_eq!(chain.len(), 2, "the CA goes along");
    Facts::of(&chain[0]).unwrap().serial
}

#[tokio::test]
async fn a_client_shows_its_new_certificate_on_the_next_connection() {
    let mut bench = Bench::new().await;
    let (one, two) = (node(&bench.ca, now_us()), node(&bench.ca, now_us()));
    let client = ClientTls::new(&one).unwrap();
    for (shown, next) in [(&one, &two), (&two, &one)] {
        let mut io = bench.connect(&client).await.unwrap();
        ping(&mut io).await.unwrap();
        assert_eq!(bench.seen().await.certificate.unwrap().serial, shown.facts().serial);
        client.reload(next).unwrap();
    }
}

#[tokio::test]
async fn slow_clients_keep_nobody_waiting() {
    let limits =
        AcceptLimits { handshake_deadline: Duration::from_secs(60), ..AcceptLimits::default() };
    let bench = Bench::with(limits, controller).await;
    let address = bench.uri.authority().unwrap().as_str().to_owned();
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(TcpStream::connect(&address).await.unwrap());
    }
    bench.exchange(&node(&bench.ca, now_us())).await.unwrap();
    assert_eq!(bench.failed(HandshakeFailure::Timeout), 0, "all of them are still at it");
    assert_eq!(bench.failed(HandshakeFailure::Protocol), 0);
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_its_place_is_freed() {
    let limits = AcceptLimits {
        handshakes: 1,
        handshake_deadline: Duration::from_millis(50),
        ..AcceptLimits::default()
    };
    let bench = Bench::with(limits, controller).await;
    let address = bench.uri.authority().unwrap().as_str().to_owned();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    assert_eq!(slow.read(&mut [0; 8]).await.unwrap_or(0), 0, "closed by the server");
    assert_eq!(bench.failed(HandshakeFailure::Timeout), 1);
    slow = TcpStream::connect(&address).await.unwrap();
    assert_eq!(slow.read(&mut [0; 8]).await.unwrap_or(0), 0, "its turn came, too");
}

#[tokio::test]
async fn noise_is_counted() {
    let bench = Bench::new().await;
    let address = bench.uri.authority().unwrap().as_str();
    let mut noise = TcpStream::connect(address).await.unwrap();
    noise.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = noise.read_to_end(&mut Vec::new()).await;
    assert_eq!(bench.failed(HandshakeFailure::Protocol), 1);
}

#[tokio::test]
async fn guests_are_few() {
    let limits = AcceptLimits { guests: 1, ..AcceptLimits::default() };
    let bench = Bench::with(limits, controller).await;
    let mut first = bench.stranger().await;
    ping(&mut first).await.unwrap();
    // An expired certificate makes a guest as well.
    bench.exchange(&node(&bench.ca, now_us() - 48 * HOUR)).await.unwrap_err();
    assert_eq!(bench.failed(HandshakeFailure::Crowded), 1);
    // Who has a good one is not concerned.
    bench.exchange(&node(&bench.ca, now_us())).await.unwrap();
    ping(&mut first).await.unwrap();
}

#[tokio::test]
async fn guests_leave_soon() {
    let limits = AcceptLimits {
        guests: 1,
        guest_life: Duration::from_millis(50),
        ..AcceptLimits::default()
    };
    let mut bench = Bench::with(limits, controller).await;
    for _ in 0..3 {
        let mut guest = bench.stranger().await;
        assert_eq!(guest.read(&mut [0]).await.unwrap_or(0), 0, "closed by the server");
        assert_eq!(bench.seen().await.certificate, None);
    }
    assert_eq!(bench.failed(HandshakeFailure::Crowded), 0, "each made room for the next");
}

#[tokio::test]
async fn a_client_that_does_not_speak_http_2_is_refused() {
    let bench = Bench::new().await;
    let mut config = rustls::ClientConfig::builder_with_provider(verify::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(verify::roots(bench.ca.trusted()).unwrap())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(bench.uri.authority().unwrap().as_str()).await.unwrap();
    let name = "ctl.test".try_into().unwrap();
    let result = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    assert!(result.is_err());
    assert_eq!(bench.failed(HandshakeFailure::Protocol), 1);
}

#[tokio::test]
async fn dropping_the_stream_frees_the_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming =
        accept(listener, ServerTls::new(&controller(&ca())).unwrap(), AcceptLimits::default());
    drop(incoming);
    // Nothing to wait on but the port itself.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
