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
    /// Valid until the next `handle`, so send before that.
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

/// An advert, ready to send: one message, one or several destinations.
#[derive(Clone, Copy, Debug)]
pub struct Advert<'a> {
    /// VRRP message with a valid checksum; for IPv6 as well.
    pub message: &'a [u8],
    /// Family of the IP header.
    pub family: Family,
    /// Interface index.
    pub index: u32,
    /// Source address of the IP header.
    pub source: IpAddr,
    /// Peers, or the multicast group alone. TTL is 255.
    pub destinations: &'a [IpAddr],
}
