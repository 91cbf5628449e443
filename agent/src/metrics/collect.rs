//! From status to text. Names and labels that keepalived's exporter has are
//! kept, so that its dashboards work; what it does not have begins with `ha_`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ha_core::node::NodeCounters;
use ha_model::status::{InstanceCounters, InstanceStatus, VrrpState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::duty::DutyStatus;

type Counter = (&'static str, &'static str, fn(&InstanceCounters) -> u64);
type Gauge = (&'static str, &'static str, fn(&InstanceStatus) -> i64);
type Reason = (&'static str, fn(&InstanceCounters) -> u64);

const COUNTERS: [Counter; 18] = [
    ("keepalived_advertisements_received", "Adverts that counted", |it| it.advert_rcvd),
    ("keepalived_advertisements_sent", "Adverts sent", |it| it.advert_sent),
    ("keepalived_become_master", "Transitions to master", |it| it.become_master),
    ("keepalived_release_master", "Transitions from master", |it| it.release_master),
    ("keepalived_priority_zero_received", "Priority 0 heard", |it| it.pri_zero_rcvd),
    ("keepalived_priority_zero_sent", "Priority 0 sent", |it| it.pri_zero_sent),
    ("keepalived_packet_length_errors", "Adverts of a wrong length", |it| it.packet_len_err),
    ("keepalived_advertisements_interval_errors", "Adverts with another interval", |it| {
        it.advert_interval_err
    }),
    ("keepalived_ip_ttl_errors", "Adverts with a low TTL", |it| it.ip_ttl_err),
    ("keepalived_address_list_errors", "Adverts with other addresses, dropped", |it| {
        it.addr_list_err
    }),
    ("keepalived_authentication_invalid", "Authentication types that do not exist", |it| {
        it.invalid_authtype
    }),
    ("keepalived_authentication_mismatch", "Authentication types that are not ours", |it| {
        it.authtype_mismatch
    }),
    ("keepalived_authentication_failure", "Authentication data that is not ours", |it| {
        it.auth_failure
    }),
    ("keepalived_invalid_type_received", "Messages that are no adverts", |it| it.invalid_type_rcvd),
    ("ha_announcements_sent", "Gratuitous ARP and neighbour advertisements", |it| it.garp_sent),
    ("ha_addresses_put_back", "Addresses that others had removed", |it| it.address_put_back),
    ("ha_advert_send_errors", "Adverts that the kernel did not take", |it| it.send_err),
    ("ha_late_wakeups", "Wake-ups later than half an interval", |it| it.late_wakeup),
];

/// Every reason to drop an advert: each dropped one is in exactly one.
const DROPPED: [Reason; 13] = [
    ("packet_length", |it| it.packet_len_err),
    ("advert_interval", |it| it.advert_interval_err),
    ("ttl", |it| it.ip_ttl_err),
    ("version", |it| it.vers_err),
    ("checksum", |it| it.chk_err),
    ("type", |it| it.invalid_type_rcvd),
    ("transport", |it| it.transport_err),
    ("unknown_peer", |it| it.unknown_peer_err),
    ("address_list", |it| it.addr_list_err),
    ("auth_type_unknown", |it| it.invalid_authtype),
    ("auth_type", |it| it.authtype_mismatch),
    ("auth_data", |it| it.auth_failure),
    ("own_advert", |it| it.own_advert_rcvd),
];

const GAUGES: [Gauge; 4] = [
    ("keepalived_vrrp_state", "0 init, 1 backup, 2 master, 3 fault", |it| match it.state {
        VrrpState::Init => 0,
        VrrpState::Backup => 1,
        VrrpState::Master => 2,
        VrrpState::Fault => 3,
    }),
    ("ha_effective_priority", "Priority that adverts carry", |it| it.effective_priority.into()),
    ("ha_masters_seen", "Other masters heard of late", |it| count(it.masters_seen.len())),
    ("ha_addresses_failed", "Addresses that should be there and are not", |it| {
        count(it.addresses_failed.len())
    }),
];

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A registry that shows `status` as it is when it is asked.
pub(super) fn registry(status: watch::Receiver<Arc<DutyStatus>>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(StatusCollector { status }));
    registry
}

#[derive(Debug)]
struct StatusCollector {
    status: watch::Receiver<Arc<DutyStatus>>,
}

impl Collector for StatusCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = Arc::clone(&self.status.borrow());
        let encoder = &mut encoder;
        single(encoder, "keepalived_up", "The agent runs", 1)?;
        single(encoder, "ha_settled", "The kernel shows what it should", status.settled.into())?;
        let at = Duration::from_micros(status.at_us).as_secs_f64();
        let help = "When these figures were true, since 1970";
        let time =
            encoder.encode_descriptor("ha_status_time_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(at).encode(time)?;
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for instance in &status.instances {
                let labels = labels(instance);
                let metric = family.encode_family(&labels)?;
                ConstGauge::new(value(instance)).encode(metric)?;
            }
        }
        for (name, help, value) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for instance in &status.instances {
                let labels = labels(instance);
                let metric = family.encode_family(&labels)?;
                ConstCounter::new(value(&instance.counters)).encode(metric)?;
            }
        }
        let help = "Adverts dropped";
        let mut family =
            encoder.encode_descriptor("ha_adverts_dropped", help, None, MetricType::Counter)?;
        for instance in &status.instances {
            for (reason, value) in DROPPED {
                let mut labels = labels(instance).to_vec();
                labels.push(("reason", reason.to_owned()));
                let metric = family.encode_family(&labels)?;
                ConstCounter::new(value(&instance.counters)).encode(metric)?;
            }
        }
        let help = "Messages for no virtual router of this node; the kernel drops most unseen";
        let mut family =
            encoder.encode_descriptor("ha_stray_adverts", help, None, MetricType::Counter)?;
        let NodeCounters { vrid_err, runt } = status.strays;
        for (reason, count) in [("vrid", vrid_err), ("too_short", runt)] {
            let labels = [("reason", reason)];
            let metric = family.encode_family(&labels)?;
            ConstCounter::new(count).encode(metric)?;
        }
        Ok(())
    }
}

fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

/// As keepalived's exporter has them.
fn labels(instance: &InstanceStatus) -> [(&'static str, String); 3] {
    [
        ("iname", instance.name.to_string()),
        ("intf", instance.interface.to_string()),
        ("vrid", instance.vrid.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use ha_model::plan::Family;
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn status() -> DutyStatus {
        let counters = InstanceCounters { advert_sent: 7, chk_err: 2, ..Default::default() };
        let instance = InstanceStatus {
            name: "web".parse().unwrap(),
            interface: "eth0".parse().unwrap(),
            family: Family::Ipv4,
            vrid: 51,
            state: VrrpState::Master,
            since_us: 0,
            effective_priority: 200,
            faults: vec![],
            masters_seen: vec![],
            addresses_held: vec![],
            addresses_failed: vec![],
            counters,
        };
        DutyStatus {
            instances: vec![instance],
            strays: NodeCounters { vrid_err: 5, runt: 0 },
            settled: true,
            at_us: 3_250_000,
        }
    }

    #[test]
    fn shows_the_names_that_dashboards_know() {
        let (_sender, receiver) = watch::channel(Arc::new(status()));
        let mut text = String::new();
        encode(&mut text, &registry(receiver)).unwrap();
        for line in [
            "keepalived_up 1",
            r#"keepalived_vrrp_state{iname="web",intf="eth0",vrid="51"} 2"#,
            r#"keepalived_advertisements_sent_total{iname="web",intf="eth0",vrid="51"} 7"#,
            r#"ha_adverts_dropped_total{iname="web",intf="eth0",vrid="51",reason="checksum"} 2"#,
            r#"ha_stray_adverts_total{reason="vrid"} 5"#,
            "ha_status_time_seconds 3.25",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing in:\n{text}");
        }
    }
}
