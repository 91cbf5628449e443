//! A controller that only enrols and renews, over real TLS.

use std::sync::Arc;

use ha_certs::Credentials;
use ha_certs::ca::{FleetCa, Profile};
use ha_certs::certificate::Fingerprint;
use ha_certs::identity::Name;
use ha_certs::key::{PrivateKey, RequestedKey};
use ha_certs::server::{AcceptLimits, ServerTls, accept};
use ha_proto::v1;
use ha_proto::v1::enrollment_server::{Enrollment, EnrollmentServer};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// The token that is good.
pub(crate) const TOKEN: &str = "good";

pub(crate) struct TestFleet {
    pub(crate) ca: Fingerprint,
    pub(crate) controller: String,
    server: JoinHandle<()>,
}

impl TestFleet {
    /// A fleet whose controller gives certificates to `named`, whoever asks.
    pub(crate) async fn start(named: &str) -> Self {
        let now = ha_certs::now_us();
        let ca = FleetCa::create(&"test".parse().unwrap(), now).unwrap();
        let key = PrivateKey::generate().unwrap();
        let profile = Profile::Controller { name: "c1".parse().unwrap(), hosts: Vec::new() };
        let issued = ca.issue_for(&key, &profile, now).unwrap();
        let pem = key.to_pem().unwrap();
        let credentials = Credentials::from_pem(ca.pem(), &issued.pem, &pem).unwrap();
        let tls = ServerTls::new(&credentials).unwrap();
        let fingerprint = ca.trusted().fingerprint();

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let controller = listener.local_addr().unwrap().to_string();
        let service = Issuer { ca: Arc::new(ca), named: named.parse().unwrap() };
        let server = tokio::spawn(async move {
            Server::builder()
                .add_service(EnrollmentServer::new(service))
                .serve_with_incoming(accept(listener, tls, AcceptLimits::default()))
                .await
                .unwrap();
        });
        Self { ca: fingerprint, controller, server }
    }
}

impl Drop for TestFleet {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Issuer {
    ca: Arc<FleetCa>,
    named: Name,
}

impl Issuer {
    fn issue(&self, csr: &str) -> (String, String) {
        let key = RequestedKey::from_pem(csr).unwrap();
        let profile = Profile::Node { name: self.named.clone() };
        let issued = self.ca.issue(&key, &profile, ha_certs::now_us()).unwrap();
        (issued.pem, self.ca.pem().to_owned())
    }
}

#[tonic::async_trait]
impl Enrollment for Issuer {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let request = request.into_inner();
        if request.token != TOKEN {
            return Err(Status::permission_denied("the token is not known"));
        }
        let (certificate_pem, ca_pem) = self.issue(&request.csr_pem);
        Ok(Response::new(v1::EnrollResponse { certificate_pem, ca_pem }))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let (certificate_pem, ca_pem) = self.issue(&request.into_inner().csr_pem);
        Ok(Response::new(v1::RenewResponse { certificate_pem, ca_pem }))
    }
}
