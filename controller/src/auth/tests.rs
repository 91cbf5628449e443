use std::collections::BTreeSet;

use ha_certs::certificate::{Fingerprint, Serial};
use ha_certs::identity::{Identity, Name, Role};
use ha_certs::server::{Peer, PeerCertificate};
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::Refusal;
use super::table::{Access, TABLE, find};

const NOW: u64 = 1_000_000;

fn methods(descriptors: &[u8]) -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let mut methods = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let service = service.name();
                methods.insert(format!("/{}.{service}/{}", file.package(), method.name()));
            }
        }
    }
    methods
}

fn served() -> BTreeSet<String> {
    let mut all = methods(ha_proto::DESCRIPTORS);
    // The agent's own socket, not the controller.
    all.retain(|method| !method.starts_with("/ha.v1.Local/"));
    all.extend(methods(tonic_health::pb::FILE_DESCRIPTOR_SET));
    all.extend(methods(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
    all
}

#[test]
fn every_method_has_one_row_and_every_row_a_method() {
    let rows: Vec<String> = TABLE.iter().map(|row| row.method.to_owned()).collect();
    let unique: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(unique.len(), rows.len(), "a method has two rows");
    assert_eq!(unique, served());
}

fn name() -> Name {
    "x".parse().unwrap()
}

fn peer(identity: Option<Identity>, not_after_us: u64) -> Peer {
    let certificate = identity.map(|identity| PeerCertificate {
        identity,
        serial: Serial([1; 16]),
        not_after_us,
        fingerprint: Fingerprint([2; 32]),
    });
    Peer { address: "192.0.2.1:1".parse().unwrap(), certificate }
}

fn user(role: Role) -> Identity {
    Identity::User { role, name: name() }
}

/// Every kind of caller, valid and expired, with the methods open to it.
fn callers() -> Vec<(&'static str, Peer)> {
    let node = Identity::Node(name());
    let controller = Identity::Controller(name());
    vec![
        ("stranger", peer(None, 0)),
        ("node", peer(Some(node.clone()), NOW)),
        ("expired node", peer(Some(node), NOW - 1)),
        ("controller", peer(Some(controller), NOW)),
        ("viewer", peer(Some(user(Role::Viewer)), NOW)),
        ("operator", peer(Some(user(Role::Operator)), NOW)),
        ("editor", peer(Some(user(Role::Editor)), NOW)),
        ("admin", peer(Some(user(Role::Admin)), NOW)),
        ("expired admin", peer(Some(user(Role::Admin)), NOW - 1)),
    ]
}

#[test]
fn each_caller_reaches_just_this() {
    let check = |access: Access, caller: &str| {
        let callers = callers();
        let (_, peer) = callers.iter().find(|(name, _)| *name == caller).unwrap();
        access.check(peer, NOW)
    };
    let viewer = Access::User(Role::Viewer);
    let expect = [
        (Access::Stranger, vec!["stranger"]),
        (Access::NodeEvenExpired, vec!["node", "expired node"]),
        (Access::Node, vec!["node"]),
        (Access::Anyone, vec!["node", "viewer", "operator", "editor", "admin"]),
        (viewer, vec!["viewer", "operator", "editor", "admin"]),
        (Access::User(Role::Operator), vec!["operator", "editor", "admin"]),
        (Access::User(Role::Editor), vec!["editor", "admin"]),
        (Access::User(Role::Admin), vec!["admin"]),
    ];
    for (access, allowed) in expect {
        for (caller, _) in callers() {
            let result = check(access, caller);
            assert_eq!(result.is_ok(), allowed.contains(&caller), "{access:?} {caller}");
        }
    }
    assert_eq!(check(viewer, "stranger"), Err(Refusal::NoCertificate));
    assert_eq!(check(viewer, "expired admin"), Err(Refusal::Expired));
    assert_eq!(check(viewer, "node"), Err(Refusal::Kind));
    assert_eq!(check(Access::User(Role::Admin), "editor"), Err(Refusal::Role));
    assert_eq!(check(Access::Stranger, "node"), Err(Refusal::Enrolled));
    assert_eq!(check(Access::Node, "expired node"), Err(Refusal::Expired));
}

#[test]
fn a_method_without_row_is_closed() {
    assert_eq!(find("/ha.v1.Fleet/Nothing"), None);
    assert_eq!(find("/ha.v1.Local/Status"), None);
    assert_eq!(find("ha.v1.Fleet/Status"), None);
}

#[test]
fn names_in_certificates_and_names_of_nodes_have_one_rule() {
    let long = "a".repeat(64);
    for text in ["a", "lb-1", "a.b", "", "-a", "a-", "A", "a_b", "ä", "a/b", &long, &long[..63]] {
        let certificate = text.parse::<Name>().is_ok();
        let model = text.parse::<ha_model::ids::NodeName>().is_ok();
        assert_eq!(certificate, model, "{text:?}");
    }
}

/// The table that people read is the one that the code goes by.
#[test]
fn the_security_page_has_the_same_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let written: Vec<&str> = page.lines().filter(|line| line.starts_with("| `/")).collect();
    let wanted: Vec<String> =
        TABLE.iter().map(|row| format!("| `{}` | {} |", row.method, row.access.words())).collect();
    assert_eq!(written, wanted);
}

mod streams {
    //! What becomes of open streams.

    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::body::Frame;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;
    use tonic::body::Body;

    use super::super::until::UntilExpired;
    use crate::clock::now_us;

    fn body(end_us: u64) -> (mpsc::Sender<Bytes>, UntilExpired) {
        let (feed, bytes) = mpsc::channel(1);
        let frames =
            ReceiverStream::new(bytes).map(|bytes| Ok::<_, tonic::Status>(Frame::data(bytes)));
        (feed, UntilExpired::new(Body::new(StreamBody::new(frames)), end_us))
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_certificate() {
        let (feed, mut body) = body(now_us() + 50_000);
        feed.send(Bytes::from_static(b"x")).await.unwrap();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "16");
        assert!(feed.is_closed(), "the other end notices");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_ends_by_itself_is_not_touched() {
        let (feed, mut body) = body(now_us() + 3_600_000_000);
        feed.send(Bytes::from_static(b"x")).await.unwrap();
        drop(feed);
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert!(body.frame().await.is_none());
    }
}
