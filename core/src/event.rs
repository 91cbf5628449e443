//! Inputs of the machines.

use std::net::IpAddr;

use ha_model::ids::InterfaceName;
use ha_model::plan::NodePlan;
use ha_model::secret::Secrets;
use ipnet::IpNet;

/// Something happened, or somebody wants something.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Run this plan from now on. A diff: what did not change is not touched,
    /// no timer restarts. The plan has been checked for this node before.
    Plan {
        /// The plan.
        plan: &'a NodePlan,
        /// Values of the secrets that it names.
        secrets: &'a Secrets,
    },
    /// Present state of an interface. Sent for every interface at start and
    /// after each change.
    Link(&'a Link),
    /// The interface is gone.
    LinkGone(&'a InterfaceName),
    /// A VRRP message arrived. Serves no deadline, so that after a late
    /// wake-up everything that is in the queue is heard before a timer acts:
    /// the shell drains the queue, then says [`Event::Tick`].
    Packet(Received<'a>),
    /// The kernel shows the desired state of this generation, but for
    /// `failed`.
    Converged {
        /// Generation of [`crate::Desired`].
        generation: u64,
        /// Addresses that are wanted and not there.
        failed: &'a [(InterfaceName, IpNet)],
    },
    /// Somebody else removed an address of ours and the kernel thread put it
    /// back.
    AddressPutBack {
        /// Where.
        interface: &'a InterfaceName,
        /// Which.
        address: IpNet,
    },
    /// The kernel did not take an advert of this instance.
    SendFailed(crate::InstanceId),
    /// Serve every deadline up to now. No other event does, so a deadline in
    /// the past asks for a tick at once.
    Tick,
    /// Stop for good: priority 0 as master, let go of all addresses.
    Stop,
    /// Stop so that the next process of this node can go on as master: one
    /// more advert, addresses stay. An instance that advertises faster than
    /// once a second stops for good: no process starts within three intervals.
    StopForRestart,
    /// First event of a process that follows a [`Event::StopForRestart`]
    /// within three intervals of the instance: go on as master. `masters`
    /// names the instances that were. Then come the links, then the plan: an
    /// instance that finds its interface when it starts goes on as master in
    /// that very step, so its addresses are wanted without a break.
    Resume {
        /// Names of the instances that were master.
        masters: &'a [ha_model::ids::InstanceName],
    },
}

/// An interface as the kernel shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Name.
    pub interface: InterfaceName,
    /// Index; another one after the interface was made anew.
    pub index: u32,
    /// `IFF_UP` and `IFF_RUNNING`.
    pub running: bool,
    /// Hardware address, where it has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// Addresses that can be a source: not tentative, not ours to move.
    pub addresses: Vec<IpNet>,
}

/// A VRRP message off the wire, IP header removed.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Index of the interface it came in on.
    pub index: u32,
    /// Source address of the IP header.
    pub source: IpAddr,
    /// Destination address of the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit, where the socket tells.
    pub ttl: Option<u8>,
    /// The message: VRRP header, addresses, authentication.
    pub message: &'a [u8],
}
