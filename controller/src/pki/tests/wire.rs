//! The same over TLS, with the table in front.

use std::sync::Arc;

use ha_certs::Credentials;
use ha_certs::ca::{FleetCa, Profile};
use ha_certs::certificate::{Facts, Fingerprint};
use ha_certs::client::ClientTls;
use ha_certs::identity::Role;
use ha_certs::key::PrivateKey;
use ha_certs::server::{AcceptLimits, ServerTls, accept};
use ha_proto::v1::enrollment_client::EnrollmentClient;
use ha_proto::v1::enrollment_server::EnrollmentServer;
use ha_proto::v1::{EnrollRequest, RenewRequest};
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::super::{EnrollmentService, Pki, TOKEN_LIFE};
use super::{node, pki, request};
use crate::auth::{self, AuthCounters, Refusal};
use crate::clock::now_us;

const HOUR: u64 = 3600 * 1_000_000;

struct Bench {
    pki: Arc<Pki>,
    address: String,
    counters: Arc<AuthCounters>,
}

fn credentials(ca: &FleetCa, profile: &Profile, at_us: u64) -> Credentials {
    let key = PrivateKey::generate().unwrap();
    let issued = ca.issue_for(&key, profile, at_us).unwrap();
    Credentials::from_pem(ca.pem(), &issued.pem, &key.to_pem().unwrap()).unwrap()
}

impl Bench {
    async fn new() -> Self {
        let pki = Arc::new(pki());
        let profile = Profile::Controller { name: "main".parse().unwrap(), hosts: vec![] };
        let tls = ServerTls::new(&credentials(pki.ca(), &profile, now_us())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let counters = Arc::new(AuthCounters::default());
        let service = EnrollmentService::new(Arc::clone(&pki));
        let server = auth::server(Arc::clone(&counters))
            .add_service(EnrollmentServer::new(service))
            .serve_with_incoming(accept(listener, tls, AcceptLimits::default()));
        tokio::spawn(server);
        Self { pki, address, counters }
    }

    async fn token(&self, name: &str) -> String {
        let made = self.pki.create_token(&node(name), TOKEN_LIFE, now_us()).await.unwrap();
        made.token.expose().to_string()
    }

    fn stranger(&self, pin: Fingerprint) -> EnrollmentClient<Channel> {
        EnrollmentClient::new(ClientTls::pinned(pin).unwrap().channel(&self.address).unwrap())
    }

    fn pin(&self) -> Fingerprint {
        self.pki.ca().trusted().fingerprint()
    }

    fn client(&self, credentials: &Credentials) -> EnrollmentClient<Channel> {
        EnrollmentClient::new(ClientTls::new(credentials).unwrap().channel(&self.address).unwrap())
    }

    async fn enroll(&self, token: &str, name: &str) -> Result<Credentials, Status> {
        let key = PrivateKey::generate().unwrap();
        let message = enroll_request(token, name, &key);
        let answer = self.stranger(self.pin()).enroll(message).await?.into_inner();
        let key = key.to_pem().unwrap();
        Ok(Credentials::from_pem(&answer.ca_pem, &answer.certificate_pem, &key).unwrap())
    }

    async fn renew(&self, credentials: &Credentials) -> Result<Facts, Status> {
        let message = RenewRequest { csr_pem: request() };
        let answer = self.client(credentials).renew(message).await?.into_inner();
        Ok(Facts::of_pem(&answer.certificate_pem).unwrap())
    }
}

fn enroll_request(token: &str, name: &str, key: &PrivateKey) -> EnrollRequest {
    EnrollRequest {
        token: token.to_owned(),
        node: name.to_owned(),
        csr_pem: key.request().unwrap(),
    }
}

#[tokio::test]
async fn a_node_enrols_and_renews() {
    let bench = Bench::new().await;
    let token = bench.token("a").await;
    let mine = bench.enroll(&token, "a").await.unwrap();
    mine.verify(now_us()).unwrap();
    assert_eq!(mine.facts().id.to_string(), "spiffe://lab/node/a");
    let next = bench.renew(&mine).await.unwrap();
    assert_eq!(next.id, mine.facts().id);
    assert_ne!(next.serial, mine.facts().serial);
    let used = bench.enroll(&token, "a").await.unwrap_err();
    assert_eq!(used.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_stranger_may_only_enrol() {
    let bench = Bench::new().await;
    let message = RenewRequest { csr_pem: request() };
    let refused = bench.stranger(bench.pin()).renew(message).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(bench.counters.refused(Refusal::NoCertificate), 1);
}

#[tokio::test]
async fn an_expired_node_may_only_renew() {
    let bench = Bench::new().await;
    let name = node("a");
    let key = PrivateKey::generate().unwrap();
    let request = key.request().unwrap();
    let token = bench.token("a").await;
    // Issued two days ago, as far as the certificate knows.
    let then = now_us() - 48 * HOUR;
    let issued = bench.pki.enroll(&token, &name, &request, then).await.unwrap();
    let ca = bench.pki.ca().pem();
    let mine = Credentials::from_pem(ca, &issued.pem, &key.to_pem().unwrap()).unwrap();
    assert!(mine.verify(now_us()).is_err());
    let message = enroll_request(&bench.token("a").await, "a", &key);
    let refused = bench.client(&mine).enroll(message).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(bench.counters.refused(Refusal::Expired), 1);
    let renewed = bench.renew(&mine).await.unwrap();
    assert!(renewed.not_after_us > now_us());
}

#[tokio::test]
async fn nobody_renews_for_another() {
    let bench = Bench::new().await;
    let token = bench.token("a").await;
    bench.enroll(&token, "a").await.unwrap();
    // Good in itself, but not what the controller issued last.
    let profile = Profile::Node { name: "a".parse().unwrap() };
    let forged = credentials(bench.pki.ca(), &profile, now_us());
    assert_eq!(bench.renew(&forged).await.unwrap_err().code(), Code::PermissionDenied);
    let admin = Profile::User {
        role: Role::Admin,
        name: "eva".parse().unwrap(),
        lifetime: std::time::Duration::from_secs(24 * 3600),
    };
    let admin = credentials(bench.pki.ca(), &admin, now_us());
    assert_eq!(bench.renew(&admin).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(bench.counters.refused(Refusal::Kind), 1);
}

#[tokio::test]
async fn a_wrong_pin_sends_no_token() {
    let bench = Bench::new().await;
    let token = bench.token("a").await;
    let key = PrivateKey::generate().unwrap();
    let wrong = Fingerprint([0; 32]);
    let error = bench.stranger(wrong).enroll(enroll_request(&token, "a", &key)).await.unwrap_err();
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(text.contains("can't reach") || text.contains("no TLS with"), "{text}");
    bench.enroll(&token, "a").await.expect("the token was not used");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let bench = Bench::new().await;
    let guess = format!("hajoin-{}", "7".repeat(64));
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(bench.enroll(&guess, "a").await.unwrap_err().code());
    }
    assert_eq!(codes[..5], [Code::PermissionDenied; 5]);
    assert_eq!(codes[5], Code::ResourceExhausted);
}

#[tokio::test]
async fn a_bad_name_or_request_is_told() {
    let bench = Bench::new().await;
    let token = bench.token("a").await;
    let name = bench.enroll(&token, "A").await.unwrap_err();
    assert_eq!(name.code(), Code::InvalidArgument);
    let message = EnrollRequest { token, node: "a".to_owned(), csr_pem: "junk".to_owned() };
    let csr = bench.stranger(bench.pin()).enroll(message).await.unwrap_err();
    assert_eq!(csr.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_unknown_method_is_unknown_to_members_only() {
    let bench = Bench::new().await;
    let path = "/ha.v1.Fleet/Nothing";
    let call = async |channel: Channel| {
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<RenewRequest, RenewRequest>::default();
        let message = tonic::Request::new(RenewRequest { csr_pem: String::new() });
        grpc.unary(message, path.parse().unwrap(), codec).await.unwrap_err().code()
    };
    let pinned = ClientTls::pinned(bench.pin()).unwrap();
    assert_eq!(call(pinned.channel(&bench.address).unwrap()).await, Code::Unauthenticated);
    let mine = bench.enroll(&bench.token("a").await, "a").await.unwrap();
    let tls = ClientTls::new(&mine).unwrap();
    assert_eq!(call(tls.channel(&bench.address).unwrap()).await, Code::Unimplemented);
    assert_eq!(bench.counters.refused(Refusal::Method), 1);
}
