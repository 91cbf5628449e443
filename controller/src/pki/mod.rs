//! Admits nodes: join tokens, first certificates, renewals, and the
//! controller's own certificate.

mod limiter;
mod own;
mod records;
mod service;
mod token;

use std::sync::Arc;
use std::time::Duration;

use ha_certs::ca::{FleetCa, IssueError, Issued, Profile};
use ha_certs::certificate::Serial;
use ha_certs::identity::Name;
use ha_certs::key::{RequestError, RequestedKey};
use ha_model::ids::NodeName;

pub use limiter::Limiter;
pub use own::{OwnCertificate, OwnError};
pub use records::NodeRecord;
pub use service::{EnrollmentService, token_life};
pub use token::{JoinToken, TokenError};

use crate::store::{SharedStore, StoreError, Transaction};
use records::{Found, Record as _, TokenRecord};

/// Life of a join token unless asked otherwise.
pub const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// Shortest life of a join token.
pub const TOKEN_LIFE_MIN: Duration = Duration::from_secs(60);
/// Longest life of a join token.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Tries of a transaction that others got in the way of. Two agents with one
/// identity are the only ones that can; more tries than that help nobody.
const TRIES: usize = 4;

/// A join token can't be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTokenError {
    /// The life asked for is out of range.
    #[error(
        "a join token can live {} s to {} s, not {seconds} s",
        TOKEN_LIFE_MIN.as_secs(),
        TOKEN_LIFE_MAX.as_secs()
    )]
    Life {
        /// What was asked for.
        seconds: u64,
    },
    /// The system gives no random numbers.
    #[error("the system gave no random numbers")]
    Random(#[source] getrandom::Error),
    /// It can't be stored.
    #[error("the join token can't be stored")]
    Store(#[source] StoreError),
}

/// A certificate is not issued.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The token is unknown, used, expired or for another node. Which of them
    /// is for the log only.
    #[error("the join token is not valid for this node; a token works once, for a short time")]
    Token(#[source] TokenRefused),
    /// The certificate is not the last one of this node.
    #[error(
        "this is not the last certificate that was issued to the node; it needs a new join token"
    )]
    Serial,
    /// The node never enrolled here.
    #[error("no certificate was ever issued to this node here; it needs a join token")]
    Unknown,
    /// The request.
    #[error("the certificate request is refused")]
    Request(#[source] RequestError),
    /// Signing.
    #[error("the certificate can't be issued")]
    Issue(#[source] IssueError),
    /// The store.
    #[error("the certificate can't be recorded")]
    Store(#[source] StoreError),
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenRefused {
    /// Not a token at all.
    #[error("the token is malformed")]
    Malformed,
    /// Never made, used, or long expired.
    #[error("the token is unknown or was used")]
    Unknown,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// Made for another node.
    #[error("the token is for another node")]
    OtherNode,
}

/// A new join token.
#[derive(Debug)]
pub struct NewToken {
    /// What the operator carries to the node.
    pub token: JoinToken,
    /// Until when, microseconds since 1970.
    pub expires_at_us: u64,
}

/// Issues join tokens and certificates. What was issued lies in the store; the
/// answer to a caller is given after the store has it.
pub struct Pki {
    ca: Arc<FleetCa>,
    store: SharedStore,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").field("ca", &self.ca).finish_non_exhaustive()
    }
}

impl Pki {
    /// Signs with `ca`, remembers in `store`.
    #[must_use]
    pub fn new(ca: Arc<FleetCa>, store: SharedStore) -> Self {
        Self { ca, store }
    }

    /// The CA.
    #[must_use]
    pub fn ca(&self) -> &FleetCa {
        &self.ca
    }

    /// Makes a token with which `node` can enrol once. Tokens that expired are
    /// cleared away by the way.
    ///
    /// # Errors
    /// See [`CreateTokenError`].
    pub async fn create_token(
        &self,
        node: &NodeName,
        life: Duration,
        now_us: u64,
    ) -> Result<NewToken, CreateTokenError> {
        if !(TOKEN_LIFE_MIN..=TOKEN_LIFE_MAX).contains(&life) {
            return Err(CreateTokenError::Life { seconds: life.as_secs() });
        }
        records::clear_expired(&*self.store, now_us).await.map_err(CreateTokenError::Store)?;
        let token = JoinToken::generate().map_err(CreateTokenError::Random)?;
        let life_us = u64::try_from(life.as_micros()).unwrap_or(u64::MAX);
        let expires_at_us = now_us.saturating_add(life_us);
        let key = token.key();
        let record = TokenRecord { node: node.clone(), expires_at_us };
        let transaction = Transaction::new().if_absent(key.as_str()).put(key, record.to_bytes());
        self.store.transact(transaction).await.map_err(CreateTokenError::Store)?;
        tracing::info!(%node, expires_at_us, "join token made");
        Ok(NewToken { token, expires_at_us })
    }

    /// First certificate of a node, for a token. The token is used up and the
    /// certificate recorded in one transaction. Certificates that the node had
    /// before can't be renewed any more.
    ///
    /// # Errors
    /// See [`AdmitError`]; the token is used up only on success.
    pub async fn enroll(
        &self,
        token: &str,
        node: &NodeName,
        request: &str,
        now_us: u64,
    ) -> Result<Issued, AdmitError> {
        let refused = AdmitError::Token;
        let token: JoinToken = token.parse().map_err(|_| refused(TokenRefused::Malformed))?;
        let key = token.key();
        let found = records::token(&*self.store, &key)
            .await
            .map_err(AdmitError::Store)?
            .ok_or(refused(TokenRefused::Unknown))?;
        if found.record.node != *node {
            return Err(refused(TokenRefused::OtherNode));
        }
        if found.record.expires_at_us < now_us {
            return Err(refused(TokenRefused::Expired));
        }
        let issued = self.issue(node, request, now_us)?;
        let record = NodeRecord::first(&issued);
        let transaction = Transaction::new()
            .if_modified_at(key.as_str(), found.modified)
            .delete(key)
            .put(records::node_key(node), record.to_bytes());
        match self.store.transact(transaction).await {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => return Err(refused(TokenRefused::Unknown)),
            Err(error) => return Err(AdmitError::Store(error)),
        }
        tracing::info!(%node, serial = %issued.serial, "node enrolled");
        Ok(issued)
    }

    /// Next certificate of a node, for one that it holds, expired or not: the
    /// last one that was issued. The answer may get lost, so the one before is
    /// as good until the last one was seen in a session or a renewal.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub async fn renew(
        &self,
        node: &NodeName,
        serial: Serial,
        request: &str,
        now_us: u64,
    ) -> Result<Issued, AdmitError> {
        let issued = self.issue(node, request, now_us)?;
        self.update(node, serial, |record| Some(record.renewed(serial, &issued))).await?;
        tracing::info!(%node, old = %serial, new = %issued.serial, "certificate renewed");
        Ok(issued)
    }

    /// Whether the certificate `serial` of `node` may open a session: it is the
    /// last one that was issued, or the one before while the last was not seen.
    /// From now on the last was seen if it is this one.
    ///
    /// # Errors
    /// [`AdmitError::Serial`], [`AdmitError::Unknown`] or
    /// [`AdmitError::Store`].
    pub async fn admit(&self, node: &NodeName, serial: Serial) -> Result<(), AdmitError> {
        self.update(node, serial, |record| record.seen(serial)).await
    }

    /// What is recorded about the certificates of a node.
    ///
    /// # Errors
    /// As the store.
    pub async fn record(&self, node: &NodeName) -> Result<Option<NodeRecord>, StoreError> {
        let found = records::node(&*self.store, node).await?;
        Ok(found.map(|found| found.record))
    }

    /// What is recorded about the certificates of all nodes.
    ///
    /// # Errors
    /// As the store.
    pub async fn nodes(&self) -> Result<Vec<(NodeName, NodeRecord)>, StoreError> {
        records::nodes(&*self.store).await
    }

    /// Changes the record of a node if `serial` is good in it; `change` gives
    /// `None` if nothing changes.
    async fn update(
        &self,
        node: &NodeName,
        serial: Serial,
        change: impl Fn(&NodeRecord) -> Option<NodeRecord>,
    ) -> Result<(), AdmitError> {
        let mut tries = TRIES;
        loop {
            let Found { record, modified } = records::node(&*self.store, node)
                .await
                .map_err(AdmitError::Store)?
                .ok_or(AdmitError::Unknown)?;
            if !record.accepts(serial) {
                tracing::warn!(
                    %node, %serial, last = %record.last,
                    "a certificate that is not the node's last one: was it stolen?"
                );
                return Err(AdmitError::Serial);
            }
            let Some(next) = change(&record) else { return Ok(()) };
            let key = records::node_key(node);
            let transaction =
                Transaction::new().if_modified_at(key.as_str(), modified).put(key, next.to_bytes());
            tries -= 1;
            match self.store.transact(transaction).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) if tries > 0 => {}
                Err(error) => return Err(AdmitError::Store(error)),
            }
        }
    }

    fn issue(&self, node: &NodeName, request: &str, now_us: u64) -> Result<Issued, AdmitError> {
        let key = RequestedKey::from_pem(request).map_err(AdmitError::Request)?;
        // Both kinds of name have the same rule; a test of `auth` holds it.
        let name: Name = node.as_str().parse().map_err(|_| AdmitError::Unknown)?;
        self.ca.issue(&key, &Profile::Node { name }, now_us).map_err(AdmitError::Issue)
    }
}

#[cfg(test)]
mod tests;
