//! What changes an instance in place: its plan, and the interfaces.

use std::net::IpAddr;
use std::time::Duration;

use ha_model::event::Cause;
use ha_model::plan::{Family, Transport};
use ha_model::status::{FaultReason, VrrpState};
use ipnet::IpNet;

use super::{Attachment, Delay, Input, Instance, Out};
use crate::vrrp::settings::Settings;

/// Three of these are enough for a process to start in.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

impl Instance {
    /// Goes over to other settings of the same virtual router. Nothing that
    /// did not change is touched, and no timer starts anew.
    pub(crate) fn change(&mut self, settings: Settings, out: &mut Out<'_>) {
        let old = std::mem::replace(&mut self.settings, settings);
        let plan = &self.settings.plan;
        if self.master_interval == old.interval() {
            self.master_interval = self.settings.interval();
        }
        if old.plan.preempt != plan.preempt {
            self.delay = Delay::Idle;
        }
        if old.plan.garp.refresh_us != plan.garp.refresh_us && self.timers.refresh.is_some() {
            let refresh = plan.garp.refresh_us;
            self.timers.refresh = (!refresh.is_zero()).then(|| out.now + refresh.into());
        }
        if old.plan.addresses != plan.addresses {
            let master = self.state == VrrpState::Master;
            self.vips.change(&self.settings.plan, master, out.desired);
        }
        self.attach(out);
        if self.state == VrrpState::Backup {
            self.change_as_backup(&old, out);
        }
    }

    fn change_as_backup(&mut self, old: &Settings, out: &mut Out<'_>) {
        if self.settings.is_owner() && !old.is_owner() && self.faults.is_empty() {
            self.become_master(Cause::Owner, out);
        } else if let Some(from) = self.down_from {
            self.timers.master_down = Some(from + self.master_down(out));
        }
    }

    /// Looks at the interfaces anew: what is missing, and where adverts leave.
    pub(crate) fn refresh(&mut self, resume: bool, out: &mut Out<'_>) {
        self.attach(out);
        let input = if self.faults.is_empty() { Input::Ready { resume } } else { Input::Unready };
        self.step(input, out);
    }

    /// Finds faults, interface index and source address, and encodes adverts
    /// if they are others now. A master sends those at once, so that a lower
    /// priority is known before it is needed.
    pub(super) fn attach(&mut self, out: &mut Out<'_>) {
        let plan = &self.settings.plan;
        let link = out.links.get(&plan.interface);
        let source = link.and_then(|_| self.source(out));
        self.faults.clear();
        match link {
            None => self.faults.push(FaultReason::InterfaceMissing(plan.interface.clone())),
            Some(link) => {
                if !link.running {
                    self.faults.push(FaultReason::InterfaceDown(plan.interface.clone()));
                }
                if source.is_none() {
                    self.faults.push(FaultReason::NoSourceAddress(plan.interface.clone()));
                }
            }
        }
        let secret = self.settings.missing_secret.iter().cloned();
        self.faults.extend(secret.map(FaultReason::SecretMissing));

        // The last known source stays for a last advert.
        let last = self.attachment.and_then(|attachment| attachment.source);
        self.attachment = link.map(|link| Attachment { index: link.index, source });
        let Some(source) = source.or(last) else { return };
        if let Some(attachment) = &mut self.attachment {
            attachment.source = Some(source);
        }
        let old = self.wire.clone();
        self.wire.encode(&self.settings, source, self.settings.priority());
        if self.state == VrrpState::Master && self.wire != old && self.faults.is_empty() {
            self.advertise_change(out);
        }
    }

    /// At once; the next one no later than the interval allows.
    fn advertise_change(&mut self, out: &mut Out<'_>) {
        let due = self.timers.advert;
        self.advertise(out);
        self.timers.advert = match (due, self.timers.advert) {
            (Some(due), Some(next)) if due > out.now => Some(due.min(next)),
            (_, next) => next,
        };
    }

    /// The source address of adverts. A configured one has to be on the node;
    /// for multicast, on the interface.
    fn source(&self, out: &Out<'_>) -> Option<IpAddr> {
        let plan = &self.settings.plan;
        let link = out.links.get(&plan.interface)?;
        let holds = |addresses: &[IpNet], wanted| addresses.iter().any(|a| a.addr() == wanted);
        match &plan.transport {
            Transport::Unicast { source, peers: _ } => {
                out.links.values().any(|link| holds(&link.addresses, *source)).then_some(*source)
            }
            Transport::Multicast { source: Some(source) } => {
                holds(&link.addresses, *source).then_some(*source)
            }
            Transport::Multicast { source: None } => {
                link.addresses.iter().map(IpNet::addr).find(|address| usable(*address, plan.family))
            }
        }
    }

    /// One last advert for a process that goes on in our place. With adverts
    /// too fast for that a peer takes over instead.
    pub(crate) fn hand_over(&mut self, out: &mut Out<'_>) {
        if self.settings.interval() < RESTART_INTERVAL {
            self.step(Input::Release(Cause::Stop), out);
        } else if self.state == VrrpState::Master {
            self.send(self.settings.priority(), out);
        }
    }

    /// The kernel did not take an advert.
    pub(crate) fn send_failed(&mut self) {
        self.counters.send_err += 1;
    }
}

/// Whether an address can be the source of multicast adverts of `family`:
/// link-local for IPv6 (RFC 9568 §5.1.2.1).
fn usable(address: IpAddr, family: Family) -> bool {
    match (address, family) {
        (IpAddr::V4(_), Family::Ipv4) => true,
        (IpAddr::V6(address), Family::Ipv6) => address.is_unicast_link_local(),
        (IpAddr::V4(_), Family::Ipv6) | (IpAddr::V6(_), Family::Ipv4) => false,
    }
}
