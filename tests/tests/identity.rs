//! Who may call what, asked of a real controller over real TLS.

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use ha_certs::ca::{FleetCa, Profile};
use ha_certs::certificate::Fingerprint;
use ha_certs::client::ClientTls;
use ha_certs::init::load_ca;
use ha_certs::key::PrivateKey;
use ha_certs::{Credentials, now_us};
use ha_proto::v1;
use ha_proto::v1::agent_client::AgentClient;
use ha_proto::v1::enrollment_client::EnrollmentClient;
use ha_proto::v1::fleet_client::FleetClient;
use ha_proto::v1::from_agent::Message as FromAgent;
use ha_proto::v1::from_controller::Message as FromController;
use ha_tests::controller::Loopback;
use ha_tests::lab::Process;
use ha_tests::metrics::fetch;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A controller, its CA, and where it serves metrics.
struct Bed {
    controller: Process,
    loopback: Loopback,
    ca: FleetCa,
    metrics: String,
}

impl Bed {
    fn new() -> Result<Self> {
        let loopback = Loopback::new()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let metrics = format!("127.0.0.1:{port}");
        let controller = loopback.start_with(&["--metrics", &metrics])?;
        let ca = load_ca(&loopback.pki())?;
        Ok(Self { controller, loopback, ca, metrics })
    }

    /// A connection without a certificate.
    fn stranger(&self) -> Result<Channel> {
        let ca = Fingerprint::of(self.ca.trusted().der());
        Ok(ClientTls::pinned(ca)?.channel(self.loopback.address())?)
    }

    /// A connection with a node's certificate, issued at `issued_us`.
    fn node(&self, name: &str, issued_us: u64) -> Result<(Channel, PrivateKey)> {
        let key = PrivateKey::generate()?;
        let profile = Profile::Node { name: name.parse()? };
        let issued = self.ca.issue_for(&key, &profile, issued_us)?;
        let credentials = Credentials::from_pem(self.ca.pem(), &issued.pem, &key.to_pem()?)?;
        Ok((ClientTls::new(&credentials)?.channel(self.loopback.address())?, key))
    }

    fn counts(&self, line: &str) -> Result<()> {
        let text = fetch(&self.metrics)?;
        ensure!(text.lines().any(|it| it == line), "{line} is not in {text}");
        Ok(())
    }

    fn end(self) -> Result<()> {
        self.controller.terminate()?;
        Ok(())
    }
}

fn hello(node: &str) -> v1::FromAgent {
    let hello = v1::Hello { node: node.to_owned(), ..v1::Hello::default() };
    v1::FromAgent { message: Some(FromAgent::Hello(hello)) }
}

/// What the controller answers to a hello.
async fn session(channel: Channel, name: &str) -> Result<FromController, Status> {
    let hellos = tokio_stream::once(hello(name));
    let mut stream = AgentClient::new(channel).session(hellos).await?.into_inner();
    let answer = stream.message().await?.and_then(|answer| answer.message);
    answer.ok_or_else(|| Status::internal("the stream ended without an answer"))
}

async fn status(channel: Channel) -> Result<(), Status> {
    let request = v1::StatusRequest::default();
    FleetClient::new(channel).status(request).await.map(drop)
}

fn refused<T>(answer: Result<T, Status>, code: &str) -> Result<()> {
    let status = answer.err().context("it was let in")?;
    ensure!(status.code() == Code::Unauthenticated, "{status:?}");
    ensure!(status.message().starts_with(code), "{status:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_only_enroll_is_open() -> Result<()> {
    let bed = Bed::new()?;
    let channel = bed.stranger()?;
    refused(status(channel.clone()).await, "E4013")?;
    refused(session(channel.clone(), "a").await, "E4013")?;
    let mut enrollment = EnrollmentClient::new(channel);
    refused(enrollment.renew(v1::RenewRequest::default()).await, "E4013")?;
    bed.counts(r#"ha_controller_refused_calls_total{reason="no_certificate"} 3"#)?;
    let request = v1::EnrollRequest {
        token: "guessed".to_owned(),
        node: "a".to_owned(),
        csr_pem: PrivateKey::generate()?.request()?,
    };
    let enrolled = enrollment.enroll(request).await;
    let status = enrolled.err().context("a guessed token enrols")?;
    ensure!(status.message().starts_with("E4010"), "{status:?}");
    bed.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_the_hello_must_be_the_certificates() -> Result<()> {
    let bed = Bed::new()?;
    let (channel, _) = bed.node("thief", now_us())?;
    let answer = session(channel, "victim").await?;
    let FromController::Refused(refusal) = answer else { anyhow::bail!("{answer:?}") };
    ensure!(refusal.code == "E4002", "{refusal:?}");
    for name in ["thief", "victim"] {
        ensure!(refusal.reason.contains(name), "{refusal:?}");
    }
    bed.counts("ha_controller_misnamed_messages_total 1")?;
    bed.counts("ha_controller_sessions 0")?;
    let (channel, _) = bed.node("thief", now_us())?;
    let answer = session(channel, "thief").await?;
    ensure!(matches!(answer, FromController::Welcome(_)), "{answer:?}");
    bed.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_expired_certificate_only_renew_is_open() -> Result<()> {
    let bed = Bed::new()?;
    // A node's certificate lives for a day.
    let (channel, key) = bed.node("a", now_us() - 3 * 24 * 3_600_000_000)?;
    refused(status(channel.clone()).await, "E4014")?;
    refused(session(channel.clone(), "a").await, "E4014")?;
    bed.counts(r#"ha_controller_refused_calls_total{reason="expired"} 2"#)?;
    let request = v1::RenewRequest { csr_pem: key.request()? };
    let renewed = EnrollmentClient::new(channel).renew(request).await;
    // The call is open; this controller never issued the certificate.
    let status = renewed.err().context("a certificate made by hand was renewed")?;
    ensure!(status.message().starts_with("E4012"), "{status:?}");
    bed.end()
}
