//! Every method of the controller and whom it is open to. A method without a
//! row is closed; a test finds methods without rows and rows without methods.

use ha_certs::identity::{Identity, Role};
use ha_certs::server::Peer;

use super::Refusal;

/// Whom a method is open to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Only without a certificate: what the method needs is in the message.
    Stranger,
    /// Nodes, also with an expired certificate that is within its grace.
    NodeEvenExpired,
    /// Nodes.
    Node,
    /// Users with this role or a stronger one.
    User(Role),
    /// Nodes and users.
    Anyone,
}

/// One method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// Path on the wire: `/package.Service/Method`.
    pub method: &'static str,
    /// Whom it is open to.
    pub access: Access,
}

const fn row(method: &'static str, access: Access) -> Row {
    Row { method, access }
}

const VIEWER: Access = Access::User(Role::Viewer);

/// Every method of every service of the controller.
pub const TABLE: &[Row] = &[
    row("/ha.v1.Enrollment/Enroll", Access::Stranger),
    row("/ha.v1.Enrollment/Renew", Access::NodeEvenExpired),
    row("/ha.v1.Agent/Session", Access::Node),
    row("/ha.v1.Fleet/Status", VIEWER),
    row("/ha.v1.Fleet/WatchStatus", VIEWER),
    row("/ha.v1.Fleet/ListEvents", VIEWER),
    row("/ha.v1.Fleet/ListNodes", VIEWER),
    row("/ha.v1.Fleet/GetManifests", VIEWER),
    row("/ha.v1.Fleet/RenderPlan", VIEWER),
    row("/ha.v1.Fleet/ListRevisions", VIEWER),
    row("/ha.v1.Fleet/Plan", VIEWER),
    row("/ha.v1.Fleet/WatchRollout", VIEWER),
    row("/ha.v1.Fleet/ListSecrets", VIEWER),
    row("/ha.v1.Fleet/Apply", Access::User(Role::Editor)),
    row("/ha.v1.Fleet/CreateJoinToken", Access::User(Role::Admin)),
    row("/grpc.health.v1.Health/Check", Access::Anyone),
    row("/grpc.health.v1.Health/Watch", Access::Anyone),
    row("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", VIEWER),
];

/// The row of a method.
#[must_use]
pub fn find(method: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.method == method)
}

impl Access {
    /// Whether `peer` may at `now_us`.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, peer: &Peer, now_us: u64) -> Result<(), Refusal> {
        let Some(certificate) = &peer.certificate else {
            return match self {
                Self::Stranger => Ok(()),
                Self::NodeEvenExpired | Self::Node | Self::User(_) | Self::Anyone => {
                    Err(Refusal::NoCertificate)
                }
            };
        };
        let valid = certificate.valid_at(now_us);
        match (self, &certificate.identity) {
            (Self::NodeEvenExpired, Identity::Node(_)) => Ok(()),
            (_, _) if !valid => Err(Refusal::Expired),
            (Self::Node, Identity::Node(_))
            | (Self::Anyone, Identity::Node(_) | Identity::User { .. }) => Ok(()),
            (Self::User(needed), Identity::User { role, .. }) if *role >= needed => Ok(()),
            (Self::User(_), Identity::User { .. }) => Err(Refusal::Role),
            (Self::Stranger, _) => Err(Refusal::Enrolled),
            (Self::NodeEvenExpired | Self::Node | Self::User(_) | Self::Anyone, _) => {
                Err(Refusal::Kind)
            }
        }
    }

    /// Whom it is open to, in words; `docs/security.md` uses the same.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stranger => "without a certificate, with a join token",
            Self::NodeEvenExpired => "node, also when expired",
            Self::Node => "node",
            Self::User(Role::Viewer) => "viewer",
            Self::User(Role::Operator) => "operator",
            Self::User(Role::Editor) => "editor",
            Self::User(Role::Admin) => "admin",
            Self::Anyone => "node, viewer",
        }
    }
}
