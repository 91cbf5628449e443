//! Edges that the shell carries out, in order.

use std::net::IpAddr;

use ha_model::event::EventKind;
use ha_model::plan::Family;

/// Slot of an instance in its [`crate::NodeCore`]. Small and dense; stays the
/// same while the instance lives, reused after it is gone.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InstanceId(pub u32);

/// Something to do now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Send the instance's advert; [`crate::NodeCore::advert`] has the bytes.
    /// They are valid until the next `handle`, so send before that.
    SendAdvert(InstanceId),
    /// Send one gratuitous ARP or unsolicited neighbour advertisement.
    Announce {
        /// Whose address it is.
        instance: InstanceId,
        /// Interface index.
        index: u32,
        /// The virtual address.
        address: IpAddr,
    },
    /// History for people; goes to the log and the spool.
    Report(EventKind),
}

/// An advert, ready to send. Every destination has a message of its own,
/// because the checksum covers the pseudo-header, and so the destination.
#[derive(Clone, Copy, Debug)]
pub struct Advert<'a> {
    /// Family of the IP header.
    pub family: Family,
    /// Interface index.
    pub index: u32,
    /// Source address of the IP header. TTL or hop limit is 255.
    pub source: IpAddr,
    /// Peers, or the multicast group alone. Never empty.
    pub destinations: &'a [IpAddr],
    /// The messages, one for each destination, in their order and all of one
    /// length, with valid checksums; for IPv6 as well.
    pub messages: &'a [u8],
}

impl<'a> Advert<'a> {
    /// Each destination with its message.
    pub fn datagrams(&self) -> impl Iterator<Item = (IpAddr, &'a [u8])> + use<'a> {
        let length = self.messages.len() / self.destinations.len().max(1);
        self.destinations.iter().copied().zip(self.messages.chunks_exact(length.max(1)))
    }
}
