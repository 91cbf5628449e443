//! The sockets of the duty thread: which are open follows from plan and links.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ha_core::event::Link;
use ha_core::{Advert, InstanceId, Received};
use ha_model::ids::InterfaceName;
use ha_model::plan::{Family, NodePlan, Transport};
use ha_sys::{
    FrameBatch, Incoming, PacketSocket, Poller, ReceiveBatch, ReceiveSocket, SendBatch, SendSocket,
    SocketError, Token, VridSet,
};

use super::frames;

/// A receive socket: one for each interface index and family.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Ear {
    pub(super) index: u32,
    ipv6: bool,
}

/// Tokens below belong to the timer and the mailbox.
const FIRST_EAR: u64 = 2;

impl Ear {
    fn token(self) -> Token {
        Token(FIRST_EAR + u64::from(self.index) * 2 + u64::from(self.ipv6))
    }

    /// The ear that `token` stands for, if it is one.
    pub(super) fn of(token: Token) -> Option<Self> {
        let number = token.0.checked_sub(FIRST_EAR)?;
        Some(Self { index: u32::try_from(number / 2).ok()?, ipv6: number % 2 == 1 })
    }
}

/// What an ear has to hear.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    vrids: VridSet,
    multicast: bool,
}

/// An interface that can't be heard.
#[derive(Debug)]
pub(super) struct Deaf {
    pub(super) interface: InterfaceName,
    pub(super) error: SocketError,
}

/// All sockets, and what waits to be sent.
#[derive(Debug)]
pub(super) struct Wires {
    ears: BTreeMap<Ear, ReceiveSocket>,
    received: ReceiveBatch,
    ipv4: SendSocket,
    /// Missing where the kernel has no IPv6.
    ipv6: Option<SendSocket>,
    packet: PacketSocket,
    adverts_v4: SendBatch,
    adverts_v6: SendBatch,
    frames: FrameBatch,
    /// Adverts that the kernel did not take, since the last look.
    pub(super) failed: Vec<(InstanceId, std::io::Error)>,
    /// Announcements that the kernel did not take, since the last look.
    pub(super) frames_failed: usize,
}

impl Wires {
    /// Opens the sending sockets.
    pub(super) fn open() -> Result<Self, SocketError> {
        Ok(Self {
            ears: BTreeMap::new(),
            received: ReceiveBatch::default(),
            ipv4: SendSocket::open(false)?,
            ipv6: SendSocket::open(true).ok(),
            packet: PacketSocket::open()?,
            adverts_v4: SendBatch::default(),
            adverts_v6: SendBatch::default(),
            frames: FrameBatch::default(),
            failed: Vec::new(),
            frames_failed: 0,
        })
    }

    /// Opens, changes and closes receive sockets so that they fit `plan` and
    /// `links`. Gives back the interfaces that can't be heard.
    pub(super) fn fit(
        &mut self,
        plan: Option<&NodePlan>,
        links: &BTreeMap<InterfaceName, Link>,
        poller: &Poller,
    ) -> Vec<Deaf> {
        let needs = needs(plan, links);
        self.ears.retain(|ear, _| needs.contains_key(ear));
        let mut deaf = Vec::new();
        for (ear, (interface, need)) in needs {
            if let Err(error) = self.fit_one(ear, need, poller) {
                self.ears.remove(&ear);
                deaf.push(Deaf { interface, error });
            }
        }
        deaf
    }

    fn fit_one(&mut self, ear: Ear, need: Need, poller: &Poller) -> Result<(), SocketError> {
        use std::collections::btree_map::Entry;
        use std::os::fd::AsFd as _;
        let socket = match self.ears.entry(ear) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => {
                let socket = ReceiveSocket::open(ear.ipv6, ear.index)?;
                poller.add(socket.as_fd(), ear.token()).map_err(SocketError::poll)?;
                free.insert(socket)
            }
        };
        socket.listen(need.vrids, need.multicast)
    }

    /// Every ear that is open.
    pub(super) fn ears(&self) -> Vec<Ear> {
        self.ears.keys().copied().collect()
    }

    /// Takes one batch of packets from an ear. Says whether more may wait.
    pub(super) fn receive(
        &mut self,
        ear: Ear,
        mut each: impl FnMut(Received<'_>),
    ) -> std::io::Result<bool> {
        let Some(socket) = self.ears.get(&ear) else { return Ok(false) };
        socket.receive(&mut self.received)?;
        self.received.packets().for_each(|packet| each(received(ear.index, packet)));
        Ok(self.received.is_full())
    }

    /// Puts an advert into the batch.
    pub(super) fn push_advert(&mut self, id: InstanceId, advert: &Advert<'_>) {
        self.flush_frames();
        for (destination, message) in advert.datagrams() {
            let batch = match advert.family {
                Family::Ipv4 => &mut self.adverts_v4,
                Family::Ipv6 => &mut self.adverts_v6,
            };
            batch.push(id.0, advert.index, advert.source, destination, message);
            if batch.is_full() {
                self.flush_adverts();
            }
        }
    }

    /// Puts an announcement into the batch.
    pub(super) fn push_announcement(&mut self, index: u32, mac: [u8; 6], address: IpAddr) {
        self.flush_adverts();
        if self.frames.is_full() {
            self.flush_frames();
        }
        let frame = frames::announcement(mac, address);
        if !self.frames.push(index, frame.bytes()) {
            self.frames_failed += 1;
        }
    }

    /// Sends all that waits, in the order in which it came.
    pub(super) fn flush(&mut self) {
        self.flush_adverts();
        self.flush_frames();
    }

    fn flush_adverts(&mut self) {
        let failed = &mut self.failed;
        if !self.adverts_v4.is_empty() {
            let note = |tag, error| failed.push((InstanceId(tag), error));
            self.ipv4.send(&mut self.adverts_v4, note);
        }
        if let Some(socket) = &self.ipv6
            && !self.adverts_v6.is_empty()
        {
            let note = |tag, error| failed.push((InstanceId(tag), error));
            socket.send(&mut self.adverts_v6, note);
        }
    }

    fn flush_frames(&mut self) {
        if !self.frames.is_empty() {
            self.frames_failed += self.packet.send(&mut self.frames);
        }
    }
}

fn needs(
    plan: Option<&NodePlan>,
    links: &BTreeMap<InterfaceName, Link>,
) -> BTreeMap<Ear, (InterfaceName, Need)> {
    let mut needs = BTreeMap::new();
    for instance in plan.iter().flat_map(|plan| &plan.instances) {
        let Some(link) = links.get(&instance.interface) else { continue };
        let ear = Ear { index: link.index, ipv6: instance.family == Family::Ipv6 };
        let (_, need) =
            needs.entry(ear).or_insert_with(|| (instance.interface.clone(), Need::default()));
        need.vrids.insert(instance.vrid.get());
        need.multicast |= instance.accept.other_transport
            || match instance.transport {
                Transport::Multicast { .. } => true,
                Transport::Unicast { .. } => false,
            };
    }
    needs
}

fn received(index: u32, packet: Incoming<'_>) -> Received<'_> {
    Received {
        index,
        source: packet.source,
        destination: packet.destination,
        ttl: packet.ttl,
        message: packet.message,
    }
}

/// Names of the interfaces in `deaf`.
pub(super) fn names(deaf: &[Deaf]) -> BTreeSet<InterfaceName> {
    deaf.iter().map(|deaf| deaf.interface.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_for_ears() {
        for index in [1, 2, u32::MAX] {
            for ipv6 in [false, true] {
                let ear = Ear { index, ipv6 };
                assert_eq!(Ear::of(ear.token()), Some(ear));
            }
        }
        assert_eq!(Ear::of(Token(0)), None);
        assert_eq!(Ear::of(Token(1)), None);
    }

    #[test]
    fn one_ear_for_each_interface_and_family() {
        let instance = |name: &str, interface: &str, family: &str, vrid: u8, transport: &str| {
            let unicast = serde_json::json!({"unicast": {"source": "10.0.0.1", "peers": []}});
            let multicast = serde_json::json!({"multicast": {}});
            serde_json::json!({
                "name": name, "interface": interface, "family": family, "vrid": vrid,
                "version": 3, "priority": 100, "interval_us": 1_000_000, "addresses": [],
                "transport": if transport == "unicast" { unicast } else { multicast },
            })
        };
        let plan: NodePlan = serde_json::from_value(serde_json::json!({
            "schema": 1, "cluster": "c", "node": "n", "instances": [
                instance("a", "eth0", "ipv4", 1, "unicast"),
                instance("b", "eth0", "ipv4", 9, "unicast"),
                instance("c", "eth0", "ipv6", 1, "multicast"),
                instance("d", "eth1", "ipv4", 1, "unicast"),
                instance("e", "none", "ipv4", 1, "unicast"),
            ],
        }))
        .unwrap();
        let links = [("eth0", 2), ("eth1", 3)].map(|(name, index)| {
            let interface: InterfaceName = name.parse().unwrap();
            let link = Link {
                interface: interface.clone(),
                index,
                running: true,
                mac: None,
                addresses: vec![],
            };
            (interface, link)
        });
        let needs = needs(Some(&plan), &links.into());
        let seen: Vec<_> = needs
            .iter()
            .map(|(ear, (_, need))| {
                let vrids: Vec<u8> = (1..=255).filter(|vrid| need.vrids.contains(*vrid)).collect();
                (ear.index, ear.ipv6, vrids, need.multicast)
            })
            .collect();
        let expected =
            [(2, false, vec![1, 9], false), (2, true, vec![1], true), (3, false, vec![1], false)];
        assert_eq!(seen, expected);
    }
}
