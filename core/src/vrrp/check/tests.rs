//! Every reason to drop an advert, each with a packet that has that fault
//! alone, and the counter that it raises.

use ha_model::ids::SecretName;
use ha_model::plan::{Accept, Auth, Checksum, Family, InstancePlan, Peer, Preempt, VirtualAddress};
use ha_model::secret::{SecretRef, SecretValue, Secrets};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn peer(address: &str, min_ttl: u8) -> Peer {
    Peer { address: ip(address), priority: None, min_ttl }
}

fn secret(name: &str) -> SecretRef {
    SecretRef { name: name.parse::<SecretName>().expect("a name"), version: 1 }
}

fn secrets() -> Secrets {
    [("now", "s3cret"), ("next", "other")]
        .into_iter()
        .map(|(name, value)| (secret(name), SecretValue::new(value.into())))
        .collect()
}

fn plan(version: VrrpVersion) -> InstancePlan {
    let auth = match version {
        VrrpVersion::V2 => Auth::Pass { secret: secret("now") },
        VrrpVersion::V3 => Auth::None,
    };
    InstancePlan {
        name: "VI_1".parse().expect("a name"),
        interface: "eth0".parse().expect("a name"),
        family: Family::Ipv4,
        vrid: 51.try_into().expect("an id"),
        version,
        priority: 100.try_into().expect("a priority"),
        interval_us: Micros::from_secs(1),
        addresses: ["10.0.0.51/24", "10.0.0.52/24"]
            .map(|address| VirtualAddress {
                address: address.parse().expect("an address"),
                interface: None,
            })
            .to_vec(),
        transport: Transport::Unicast {
            source: ip("10.0.0.1"),
            peers: vec![peer("10.0.0.2", 255), peer("10.0.0.3", 64)],
        },
        preempt: Preempt::default(),
        checksum: Checksum::default(),
        auth,
        garp: ha_model::plan::Garp::default(),
        accept: Accept::default(),
    }
}

/// A packet, as a peer would send it unless a test says otherwise.
#[derive(Clone)]
struct Sent {
    version: VrrpVersion,
    source: &'static str,
    destination: &'static str,
    ttl: Option<u8>,
    interval: Micros,
    auth: (u8, [u8; 8]),
    addresses: Vec<u8>,
    mode: Checksum,
    corrupt: fn(&mut Vec<u8>),
}

fn sent(version: VrrpVersion) -> Sent {
    Sent {
        version,
        source: "10.0.0.2",
        destination: "10.0.0.1",
        ttl: Some(255),
        interval: Micros::from_secs(1),
        auth: (1, *b"s3cret\0\0"),
        addresses: vec![10, 0, 0, 51, 10, 0, 0, 52],
        mode: Checksum::PseudoHeader,
        corrupt: |_| {},
    }
}

impl Sent {
    fn check(&self, plan: &InstancePlan) -> Result<Heard, Dropped> {
        let auth = match self.version {
            VrrpVersion::V2 => Some(Authentication { kind: self.auth.0, data: self.auth.1 }),
            VrrpVersion::V3 => None,
        };
        let advert = Advertisement {
            vrid: 51,
            priority: 90,
            interval: self.interval,
            auth,
            addresses: Addresses::new(Family::Ipv4, &self.addresses),
        };
        let (source, destination) = (ip(self.source), ip(self.destination));
        let mut message = Vec::new();
        advert.encode(&mut message);
        packet::seal(&mut message, self.version, self.mode, source, destination);
        (self.corrupt)(&mut message);
        let settings = Settings::new(plan, &secrets());
        let packet = Received { index: 7, source, destination, ttl: self.ttl, message: &message };
        check(&settings, Some(ip("10.0.0.1")), &packet)
    }
}

#[test]
fn a_good_advert_counts() {
    for version in [VrrpVersion::V2, VrrpVersion::V3] {
        for mode in [Checksum::PseudoHeader, Checksum::Rfc9568] {
            let heard = Sent { mode, ..sent(version) }.check(&plan(version)).expect("it is good");
            assert_eq!(
                heard,
                Heard {
                    source: ip("10.0.0.2"),
                    priority: 90,
                    interval: Duration::from_secs(1),
                    differs: false
                }
            );
        }
    }
}

#[test]
fn each_fault_has_its_reason() {
    let (two, three) = (sent(VrrpVersion::V2), sent(VrrpVersion::V3));
    let cases = [
        ("own source", Sent { source: "10.0.0.1", ..three.clone() }, Dropped::OwnAdvert),
        ("group", Sent { destination: "224.0.0.18", ..three.clone() }, Dropped::Transport),
        ("other group", Sent { destination: "224.0.0.1", ..three.clone() }, Dropped::Transport),
        ("stranger", Sent { source: "10.0.0.9", ..three.clone() }, Dropped::UnknownPeer),
        ("ttl 254", Sent { ttl: Some(254), ..three.clone() }, Dropped::Ttl),
        ("ttl unknown", Sent { ttl: None, ..three.clone() }, Dropped::Ttl),
        (
            "ttl below the peer's",
            Sent { source: "10.0.0.3", ttl: Some(63), ..three.clone() },
            Dropped::Ttl,
        ),
        ("short", Sent { corrupt: |m| m.truncate(15), ..three.clone() }, Dropped::Length),
        ("empty", Sent { corrupt: |m| m.truncate(2), ..three.clone() }, Dropped::Length),
        ("long", Sent { corrupt: |m| m.extend([0; 4]), ..three.clone() }, Dropped::Length),
        ("version 5", Sent { corrupt: |m| m[0] = 0x51, ..three.clone() }, Dropped::Version),
        ("version 2", Sent { version: VrrpVersion::V2, ..three.clone() }, Dropped::Version),
        ("version 3", Sent { version: VrrpVersion::V3, ..two.clone() }, Dropped::Version),
        ("type 2", Sent { corrupt: |m| m[0] = 0x32, ..three.clone() }, Dropped::Type),
        ("checksum", Sent { corrupt: |m| m[6] ^= 1, ..three.clone() }, Dropped::Checksum),
        ("checksum 2", Sent { corrupt: |m| m[2] ^= 1, ..two.clone() }, Dropped::Checksum),
        ("auth type 3", Sent { auth: (3, [0; 8]), ..two.clone() }, Dropped::AuthTypeUnknown),
        ("auth type 2", Sent { auth: (2, [0; 8]), ..two.clone() }, Dropped::AuthTypeMismatch),
        ("auth type 0", Sent { auth: (0, [0; 8]), ..two.clone() }, Dropped::AuthTypeMismatch),
        ("text", Sent { auth: (1, *b"s3cres\0\0"), ..two.clone() }, Dropped::AuthFailure),
        ("longer text", Sent { auth: (1, *b"s3cret!\0"), ..two.clone() }, Dropped::AuthFailure),
        ("interval", Sent { interval: Micros::from_secs(2), ..two.clone() }, Dropped::Interval),
        ("no interval", Sent { interval: Micros::ZERO, ..three.clone() }, Dropped::Interval),
    ];
    for (what, sent, due) in cases {
        let version = if what == "version 2" {
            VrrpVersion::V3
        } else if what == "version 3" {
            VrrpVersion::V2
        } else {
            sent.version
        };
        assert_eq!(sent.check(&plan(version)), Err(due), "{what}");
    }
}

#[test]
fn each_reason_has_its_own_counter() {
    let all = [
        Dropped::OwnAdvert,
        Dropped::Transport,
        Dropped::UnknownPeer,
        Dropped::Ttl,
        Dropped::Length,
        Dropped::Version,
        Dropped::Type,
        Dropped::Checksum,
        Dropped::AuthTypeUnknown,
        Dropped::AuthTypeMismatch,
        Dropped::AuthFailure,
        Dropped::Interval,
        Dropped::Addresses,
    ];
    let mut counters = InstanceCounters::default();
    for dropped in all {
        let counter = dropped.counter(&mut counters);
        assert_eq!(*counter, 0, "{dropped:?}");
        *counter += 1;
    }
}

#[test]
fn another_address_list_is_told_and_dropped_only_if_asked() {
    let lists: [(&[u8], bool); 4] = [
        (&[10, 0, 0, 52, 10, 0, 0, 51], false),
        (&[10, 0, 0, 51], true),
        (&[10, 0, 0, 51, 10, 0, 0, 52, 10, 0, 0, 53], true),
        (&[], true),
    ];
    for (addresses, differs) in lists {
        let sent = Sent { addresses: addresses.to_vec(), ..sent(VrrpVersion::V3) };
        let mut plan = plan(VrrpVersion::V3);
        assert_eq!(sent.check(&plan).map(|heard| heard.differs), Ok(differs), "{addresses:?}");
        plan.accept.require_addresses = true;
        assert_eq!(sent.check(&plan).is_err(), differs, "{addresses:?}");
        plan.accept.addresses = vec![ip("10.0.0.51"), ip("10.0.0.52"), ip("10.0.0.53")];
        assert_eq!(sent.check(&plan).map(|heard| heard.differs), Ok(false), "{addresses:?}");
    }
}

#[test]
fn what_is_accepted_goes_beyond_what_is_sent() {
    let mut two = plan(VrrpVersion::V2);
    two.accept = Accept {
        peers: vec![peer("10.0.0.9", 1)],
        other_transport: true,
        intervals_us: vec![Micros::from_secs(2)],
        auth: vec![Auth::Pass { secret: secret("next") }, Auth::None],
        ..Accept::default()
    };
    let base = sent(VrrpVersion::V2);
    let cases = [
        ("peer", Sent { source: "10.0.0.9", ttl: Some(1), ..base.clone() }),
        ("group", Sent { source: "10.0.0.7", destination: "224.0.0.18", ..base.clone() }),
        ("interval", Sent { interval: Micros::from_secs(2), ..base.clone() }),
        ("secret", Sent { auth: (1, *b"other\0\0\0"), ..base.clone() }),
        ("no secret", Sent { auth: (0, *b"whatever"), ..base.clone() }),
    ];
    for (what, sent) in cases {
        assert!(sent.check(&plan(VrrpVersion::V2)).is_err(), "{what}: refused as a rule");
        assert!(sent.check(&two).is_ok(), "{what}");
    }
    let far = Sent { destination: "224.0.0.18", ttl: Some(254), ..base };
    assert_eq!(far.check(&two), Err(Dropped::Ttl), "multicast never crosses a router");
}

#[test]
fn multicast_wants_the_group_and_takes_any_source() {
    let mut plan = plan(VrrpVersion::V3);
    plan.transport = Transport::Multicast { source: None };
    let base = Sent { source: "10.0.0.77", destination: "224.0.0.18", ..sent(VrrpVersion::V3) };
    assert!(base.check(&plan).is_ok());
    let unicast = Sent { destination: "10.0.0.1", ..base.clone() };
    assert_eq!(unicast.check(&plan), Err(Dropped::Transport));
    plan.accept.other_transport = true;
    assert_eq!(unicast.check(&plan), Err(Dropped::UnknownPeer), "unicast is from peers alone");
    plan.accept.peers = vec![peer("10.0.0.77", 255)];
    assert!(unicast.check(&plan).is_ok());
}

#[test]
fn a_secret_that_is_missing_is_named() {
    let plan = plan(VrrpVersion::V2);
    let settings = Settings::new(&plan, &Secrets::new());
    assert_eq!(settings.missing_secret, Some("now".parse().expect("a name")));
    assert_eq!(Settings::new(&plan, &secrets()).missing_secret, None);
}
