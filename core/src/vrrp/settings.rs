//! What an instance sends and accepts: its plan, with secrets resolved and in
//! the form that the hot path needs.

use std::net::IpAddr;
use std::time::Duration;

use ha_model::ids::SecretName;
use ha_model::plan::{Auth, InstancePlan, Peer, Transport, VrrpVersion};
use ha_model::secret::Secrets;

use super::packet::{self, Addresses, Advertisement, Authentication};

/// Settings of one instance. Equal settings mean that nothing has changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Settings {
    /// The plan as it came.
    pub(crate) plan: InstancePlan,
    /// Authentication that is sent; `None` in version 3.
    pub(crate) auth: Option<Authentication>,
    /// Authentications that are accepted, the one that is sent among them.
    pub(crate) accepted_auth: Vec<Authentication>,
    /// A secret that has no value here.
    pub(crate) missing_secret: Option<SecretName>,
    /// Virtual addresses as they stand in an advert.
    pub(crate) address_bytes: Vec<u8>,
    /// Unicast sources that are accepted, with the TTL each must have at
    /// least; sorted by address.
    peers: Vec<(IpAddr, u8)>,
}

impl Settings {
    /// Settings of `plan`.
    pub(crate) fn new(plan: &InstancePlan, secrets: &Secrets) -> Self {
        let mut missing_secret = None;
        let auth = match plan.version {
            VrrpVersion::V2 => match resolve(&plan.auth, secrets) {
                Ok(auth) => Some(auth),
                Err(secret) => {
                    missing_secret = Some(secret);
                    Some(Authentication { kind: 0, data: [0; 8] })
                }
            },
            VrrpVersion::V3 => None,
        };
        // A further secret that is missing costs what it would let in, and
        // not the instance.
        let further = plan.accept.auth.iter().filter_map(|auth| resolve(auth, secrets).ok());
        let mut address_bytes = Vec::new();
        for address in &plan.addresses {
            match address.address.addr() {
                IpAddr::V4(address) => address_bytes.extend(address.octets()),
                IpAddr::V6(address) => address_bytes.extend(address.octets()),
            }
        }
        Self {
            auth,
            accepted_auth: auth.into_iter().chain(further).collect(),
            missing_secret,
            address_bytes,
            peers: accepted_peers(plan),
            plan: plan.clone(),
        }
    }

    /// Priority that adverts carry.
    pub(crate) fn priority(&self) -> u8 {
        self.plan.priority.get()
    }

    /// Whether the node owns the addresses (RFC 9568 §5.2.4).
    pub(crate) fn is_owner(&self) -> bool {
        self.plan.priority == ha_model::ids::Priority::OWNER
    }

    /// Whether a master of lower priority is to be taken over. An owner always
    /// does (RFC 9568 §6.1, `Preempt_Mode`).
    pub(crate) fn preempts(&self) -> bool {
        self.plan.preempt.enabled || self.is_owner()
    }

    /// Time between two adverts.
    pub(crate) fn interval(&self) -> Duration {
        self.plan.interval_us.into()
    }

    /// Lowest TTL accepted from a unicast source; `None` if it is no peer.
    pub(crate) fn peer_min_ttl(&self, source: IpAddr) -> Option<u8> {
        let place = self.peers.binary_search_by_key(&source, |(address, _)| *address).ok()?;
        Some(self.peers[place].1)
    }

    /// Where adverts go.
    fn destinations(&self) -> impl Iterator<Item = IpAddr> {
        let (peers, group): (&[Peer], _) = match &self.plan.transport {
            Transport::Unicast { source: _, peers } => (peers, None),
            Transport::Multicast { source: _ } => (&[], Some(packet::group(self.plan.family))),
        };
        peers.iter().map(|peer| peer.address).chain(group)
    }
}

fn resolve(auth: &Auth, secrets: &Secrets) -> Result<Authentication, SecretName> {
    match auth {
        Auth::None => Ok(Authentication { kind: 0, data: [0; 8] }),
        Auth::Pass { secret } => {
            let value = secrets.get(secret).ok_or_else(|| secret.name.clone())?;
            let mut data = [0; 8];
            // As keepalived: what is longer than eight bytes is cut off.
            for (byte, given) in data.iter_mut().zip(value.expose()) {
                *byte = *given;
            }
            Ok(Authentication { kind: 1, data })
        }
    }
}

fn accepted_peers(plan: &InstancePlan) -> Vec<(IpAddr, u8)> {
    let own: &[Peer] = match &plan.transport {
        Transport::Unicast { source: _, peers } => peers,
        Transport::Multicast { source: _ } => &[],
    };
    let mut peers: Vec<_> =
        own.iter().chain(&plan.accept.peers).map(|peer| (peer.address, peer.min_ttl)).collect();
    // Stable, so that of two entries for one address the sent one stays.
    peers.sort_by_key(|(address, _)| *address);
    peers.dedup_by_key(|(address, _)| *address);
    peers
}

/// The adverts of an instance, encoded. Made anew only when something in them
/// changes, so that sending one costs nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wire {
    /// Where they go.
    pub(crate) destinations: Vec<IpAddr>,
    /// One message for each destination.
    pub(crate) messages: Vec<u8>,
    /// Priority that is in them.
    pub(crate) priority: u8,
}

impl Wire {
    /// Encodes adverts with `priority` from `source`, an address of the
    /// instance's family.
    pub(crate) fn encode(&mut self, settings: &Settings, source: IpAddr, priority: u8) {
        let plan = &settings.plan;
        let advert = Advertisement {
            vrid: plan.vrid.get(),
            priority,
            interval: plan.interval_us,
            auth: settings.auth,
            addresses: Addresses::new(plan.family, &settings.address_bytes),
        };
        self.priority = priority;
        self.destinations.clear();
        self.messages.clear();
        for destination in settings.destinations() {
            let start = self.messages.len();
            advert.encode(&mut self.messages);
            let message = &mut self.messages[start..];
            packet::seal(message, plan.version, plan.checksum, source, destination);
            self.destinations.push(destination);
        }
    }
}
