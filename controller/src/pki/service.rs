//! `ha.v1.Enrollment`.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ha_certs::ca::Issued;
use ha_model::explain::codes;
use ha_model::ids::NodeName;
use ha_proto::v1::enrollment_server::Enrollment;
use ha_proto::v1::{EnrollRequest, EnrollResponse, RenewRequest, RenewResponse};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{AdmitError, Limiter, Pki};
use crate::auth;
use crate::clock::now_us;
use crate::store::StoreError;

/// Enrols nodes and renews their certificates.
#[derive(Clone, Debug)]
pub struct EnrollmentService {
    pki: Arc<Pki>,
    limiter: Arc<Mutex<Limiter>>,
}

impl EnrollmentService {
    /// Serves `pki`.
    #[must_use]
    pub fn new(pki: Arc<Pki>) -> Self {
        Self { pki, limiter: Arc::default() }
    }

    fn limited<T>(&self, work: impl FnOnce(&mut Limiter) -> T) -> T {
        // The limiter is consistent after every step, so a panic elsewhere does
        // not matter.
        work(&mut self.limiter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a try of the source, or refuses.
    fn attempt(&self, address: IpAddr) -> Result<(), Status> {
        if self.limited(|limiter| limiter.attempt(address, Instant::now())) {
            return Ok(());
        }
        tracing::debug!(%address, "too many failed attempts");
        Err(Status::resource_exhausted(format!(
            "{}: too many failed attempts from this address; wait",
            codes::TOO_MANY_ATTEMPTS
        )))
    }

    fn succeeded(&self, address: IpAddr) {
        self.limited(|limiter| limiter.succeeded(address, Instant::now()));
    }

    fn ca_pem(&self) -> String {
        self.pki.ca().pem().to_owned()
    }
}

fn status(error: &AdmitError) -> Status {
    let text = error.to_string();
    let denied = |code| Status::permission_denied(format!("{code}: {text}"));
    match error {
        AdmitError::Token(_) => denied(codes::TOKEN_REFUSED),
        AdmitError::Serial => denied(codes::NOT_LAST_CERTIFICATE),
        AdmitError::Unknown => denied(codes::NEVER_ENROLLED),
        AdmitError::Request(why) => Status::invalid_argument(format!("{text}: {why}")),
        AdmitError::Store(StoreError::Conflict { .. }) => Status::aborted(text),
        AdmitError::Store(StoreError::Full(_)) => {
            Status::unavailable(format!("{text}: the controller's disk is full"))
        }
        AdmitError::Store(
            StoreError::Limit(_)
            | StoreError::Failed { .. }
            | StoreError::Unindexed { .. }
            | StoreError::Compacted { .. }
            | StoreError::Closed,
        )
        | AdmitError::Issue(_) => Status::internal(text),
    }
}

fn refused(what: &str, node: &NodeName, address: IpAddr, error: &AdmitError) -> Status {
    let why = error.source().map(ToString::to_string);
    tracing::info!(%node, %address, %error, why, "{what} refused");
    status(error)
}

#[tonic::async_trait]
impl Enrollment for EnrollmentService {
    async fn enroll(
        &self,
        request: Request<EnrollRequest>,
    ) -> Result<Response<EnrollResponse>, Status> {
        let address = auth::peer(&request)?.address.ip();
        self.attempt(address)?;
        let message = request.into_inner();
        let node: NodeName = message
            .node
            .parse()
            .map_err(|error| Status::invalid_argument(format!("the name of the node {error}")))?;
        let Issued { pem, .. } = self
            .pki
            .enroll(&message.token, &node, &message.csr_pem, now_us())
            .await
            .map_err(|error| refused("enrolment", &node, address, &error))?;
        self.succeeded(address);
        Ok(Response::new(EnrollResponse { certificate_pem: pem, ca_pem: self.ca_pem() }))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let node = auth::node(&request)?;
        let peer = auth::peer(&request)?;
        let serial = peer
            .certificate
            .as_ref()
            .map(|certificate| certificate.serial)
            .ok_or_else(|| Status::unauthenticated("Renew needs a certificate"))?;
        let address = peer.address.ip();
        let message = request.into_inner();
        let Issued { pem, .. } = self
            .pki
            .renew(&node, serial, &message.csr_pem, now_us())
            .await
            .map_err(|error| refused("renewal", &node, address, &error))?;
        Ok(Response::new(RenewResponse { certificate_pem: pem, ca_pem: self.ca_pem() }))
    }
}

/// How long a join token shall live, as a request says it: 0 is the default.
#[must_use]
pub fn token_life(ttl_us: u64) -> Duration {
    if ttl_us == 0 { super::TOKEN_LIFE } else { Duration::from_micros(ttl_us) }
}
