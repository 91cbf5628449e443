//! Links and addresses as the kernel last told of them.

use std::collections::{BTreeMap, BTreeSet};

use ha_core::event::Link;
use ha_core::kernel::{Operation, Place, Seen};
use ha_model::ids::InterfaceName;
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use super::netlink::{Message, is_marked};

#[derive(Clone, Debug, Eq, PartialEq)]
struct LinkState {
    name: InterfaceName,
    up: bool,
    running: bool,
    mac: Option<[u8; 6]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct AddressState {
    seen: Seen,
    /// It can be the source of a packet.
    usable: bool,
}

/// The mirror. Our own operations show at once; their echo in the news is then
/// skipped, or an old one would undo a newer operation.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    links: BTreeMap<u32, LinkState>,
    addresses: BTreeMap<(u32, IpNet), AddressState>,
    echoes: BTreeMap<(u32, IpNet), u32>,
}

impl Mirror {
    /// Replaces everything by a dump.
    pub(super) fn reset(&mut self, links: &[LinkMessage], addresses: &[AddressMessage]) {
        *self = Self::default();
        links.iter().for_each(|link| self.link(link));
        addresses.iter().for_each(|address| self.address(address));
    }

    /// Takes in news. An [`Message::Overrun`] asks for a dump and changes
    /// nothing here.
    pub(super) fn take_in(&mut self, message: &Message) {
        match message {
            Message::Link(link) => self.link(link),
            Message::LinkGone(link) => {
                let index = link.header.index;
                self.links.remove(&index);
                self.addresses.retain(|(of, _), _| *of != index);
                self.echoes.retain(|(of, _), _| *of != index);
            }
            Message::Address(address) => {
                if !self.is_echo(address) {
                    self.address(address);
                }
            }
            Message::AddressGone(address) => {
                if !self.is_echo(address)
                    && let Some(net) = net(address)
                {
                    self.addresses.remove(&(address.header.index, net));
                }
            }
            Message::Overrun => {}
        }
    }

    fn is_echo(&mut self, address: &AddressMessage) -> bool {
        let Some(net) = net(address) else { return true };
        let key = (address.header.index, net);
        let Some(count) = self.echoes.get_mut(&key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.echoes.remove(&key);
        }
        true
    }

    fn link(&mut self, message: &LinkMessage) {
        let (mut name, mut mac) = (None, None);
        for attribute in &message.attributes {
            if let LinkAttribute::IfName(text) = attribute {
                name = text.parse().ok();
            } else if let LinkAttribute::Address(bytes) = attribute {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().filter(|mac| *mac != [0; 6]);
            }
        }
        let Some(name) = name else { return };
        let up = message.header.flags.contains(LinkFlags::Up);
        let running = up && message.header.flags.contains(LinkFlags::Running);
        self.links.insert(message.header.index, LinkState { name, up, running, mac });
    }

    fn address(&mut self, message: &AddressMessage) {
        let Some(net) = net(message) else { return };
        let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
        for attribute in &message.attributes {
            if let AddressAttribute::Flags(all) = attribute {
                flags = *all;
            }
        }
        // The same bit says "temporary" for IPv6, where nothing cascades.
        let secondary = matches!(net, IpNet::V4(_)) && flags.contains(AddressFlags::Secondary);
        let usable = !flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed);
        let seen = Seen { marked: is_marked(message), secondary };
        self.addresses.insert((message.header.index, net), AddressState { seen, usable });
    }

    /// Shows an operation of our own that the kernel carried out; it will tell
    /// of it if `echo`.
    pub(super) fn carried_out(&mut self, index: u32, operation: &Operation, echo: bool) {
        let key = match operation {
            Operation::Add((_, address)) => {
                let seen = Seen { marked: echo, secondary: false };
                let new = AddressState { seen, usable: true };
                self.addresses.entry((index, *address)).or_insert(new);
                (index, *address)
            }
            Operation::Remove((_, address)) => {
                self.addresses.remove(&(index, *address));
                (index, *address)
            }
        };
        if echo {
            *self.echoes.entry(key).or_default() += 1;
        }
    }

    /// Every address by the name of its interface.
    pub(super) fn observed(&self) -> BTreeMap<Place, Seen> {
        self.addresses
            .iter()
            .filter_map(|((index, address), state)| {
                let link = self.links.get(index)?;
                Some(((link.name.clone(), *address), state.seen))
            })
            .collect()
    }

    /// Names of the interfaces that are up.
    pub(super) fn up(&self) -> BTreeSet<InterfaceName> {
        self.links.values().filter(|link| link.up).map(|link| link.name.clone()).collect()
    }

    /// Index of the interface with this name.
    pub(super) fn index(&self, name: &InterfaceName) -> Option<u32> {
        self.links.iter().find(|(_, link)| link.name == *name).map(|(index, _)| *index)
    }

    /// Every interface as the duty thread wants to know it. `is_ours` tells
    /// virtual addresses, which are no sources.
    pub(super) fn links(&self, is_ours: impl Fn(&Place) -> bool) -> BTreeMap<InterfaceName, Link> {
        let view = |index: &u32, link: &LinkState| {
            let of_link =
                self.addresses.range((*index, LOWEST)..).take_while(|((of, _), _)| of == index);
            let addresses = of_link
                .filter(|(_, state)| state.usable && !state.seen.marked)
                .map(|((_, address), _)| *address)
                .filter(|address| !is_ours(&(link.name.clone(), *address)))
                .collect();
            Link {
                interface: link.name.clone(),
                index: *index,
                running: link.running,
                mac: link.mac,
                addresses,
            }
        };
        self.links.iter().map(|(index, link)| (link.name.clone(), view(index, link))).collect()
    }
}

/// Sorts before every other address.
const LOWEST: IpNet = IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::UNSPECIFIED, 0));

/// The address itself, which is the local one where there is a peer.
fn net(message: &AddressMessage) -> Option<IpNet> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        if let AddressAttribute::Local(it) = attribute {
            local = Some(*it);
        } else if let AddressAttribute::Address(it) = attribute {
            address = Some(*it);
        }
    }
    IpNet::new(local.or(address)?, message.header.prefix_len).ok()
}
