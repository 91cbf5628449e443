use ha_model::event::{Cause, EventKind, FleetEvent, NodeEvent, SpoolPosition};
use ha_model::ids::{Digest, Epoch, Generation, PlanId, RevisionId};
use ha_model::plan::Family;
use ha_model::status::{
    FaultReason, FieldError, InstanceCounters, InstanceStatus, MasterSeen, NodeStatus, PlanPhase,
    PlanStatus, VrrpState,
};

use super::ConvertError;
use crate::v1;

fn plan() -> PlanId {
    PlanId { epoch: Epoch(7), generation: Generation(3), digest: Digest::of(b"plan") }
}

fn status() -> NodeStatus {
    NodeStatus {
        node: "fra-lb1".parse().unwrap(),
        agent_version: "0.1.0".into(),
        boot_id: "b".into(),
        running: Some(plan()),
        offered: Some(PlanStatus {
            plan: plan(),
            revision: Some(RevisionId { epoch: Epoch(7), number: 9, digest: Digest::of(b"wish") }),
            phase: PlanPhase::Rejected,
            errors: vec![FieldError {
                code: "E2002".into(),
                path: "schema".into(),
                message: "m".into(),
                hint: "h".into(),
            }],
        }),
        instances: vec![InstanceStatus {
            name: "web".parse().unwrap(),
            interface: "eth0".parse().unwrap(),
            family: Family::Ipv6,
            vrid: 51,
            state: VrrpState::Fault,
            since_us: 5,
            effective_priority: 250,
            faults: vec![
                FaultReason::InterfaceDown("eth0".parse().unwrap()),
                FaultReason::InterfaceMissing("eth1".parse().unwrap()),
                FaultReason::NoSourceAddress("eth0".parse().unwrap()),
                FaultReason::SecretMissing("key".parse().unwrap()),
            ],
            masters_seen: vec![MasterSeen {
                address: "fe80::1".parse().unwrap(),
                priority: 100,
                heard_at_us: 4,
            }],
            addresses_held: vec!["2001:db8::1/64".parse().unwrap()],
            addresses_failed: vec!["192.0.2.1/24".parse().unwrap()],
            counters: InstanceCounters { advert_rcvd: 1, late_wakeup: 2, ..Default::default() },
        }],
        at_us: 6,
    }
}

#[test]
fn status_survives_the_round_trip() {
    let there = v1::NodeStatus::from(status());
    assert_eq!(NodeStatus::try_from(there).unwrap(), status());
}

#[test]
fn event_survives_the_round_trip() {
    let event = FleetEvent {
        index: 1,
        stored_at_us: 2,
        node: "fra-lb1".parse().unwrap(),
        position: SpoolPosition { spool_epoch: 3, sequence: 4 },
        event: NodeEvent {
            at_us: 5,
            boot_us: 6,
            kind: EventKind::Transition {
                instance: "web".parse().unwrap(),
                from: VrrpState::Backup,
                to: VrrpState::Master,
                cause: Cause::MasterDown,
                priority: 100,
            },
            traceparent: Some("00-x".into()),
        },
    };
    let there = v1::FleetEvent::from(event.clone());
    assert_eq!(FleetEvent::try_from(there).unwrap(), event);
}

#[test]
fn wire_values_outside_the_model_are_refused() {
    let mut short = v1::PlanId::from(plan());
    short.sha256.pop();
    assert!(matches!(PlanId::try_from(short), Err(ConvertError::Invalid { .. })));

    let mut unknown = v1::NodeStatus::from(status());
    unknown.instances[0].state = 77;
    assert!(matches!(NodeStatus::try_from(unknown), Err(ConvertError::Unknown { value: 77, .. })));

    let mut unset = v1::NodeStatus::from(status());
    unset.instances[0].family = 0;
    assert!(matches!(NodeStatus::try_from(unset), Err(ConvertError::Missing(_))));

    let mut wide = v1::NodeStatus::from(status());
    wide.instances[0].vrid = 256;
    assert!(matches!(NodeStatus::try_from(wide), Err(ConvertError::Invalid { .. })));

    let mut nameless = v1::NodeStatus::from(status());
    nameless.node = "Not A Name".into();
    assert!(matches!(NodeStatus::try_from(nameless), Err(ConvertError::Invalid { .. })));
}
