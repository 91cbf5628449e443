//! Requests to the kernel and its news, over rtnetlink.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;

use futures_util::stream::Stream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use ha_core::kernel::Operation;
use ipnet::IpNet;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinHandle;

/// Our mark on addresses (`IFA_PROTO`), the number of VRRP's IP protocol.
const MARK: u8 = 112;
/// `INFINITY_LIFE_TIME` of the kernel.
const FOREVER: u32 = u32::MAX;

/// The kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// A dump failed.
    #[error("cannot read {what} from the kernel")]
    Dump {
        /// Links or addresses.
        what: &'static str,
        /// Why.
        #[source]
        source: rtnetlink::Error,
    },
}

/// One thing that the kernel told.
#[derive(Debug)]
pub(super) enum Message {
    Link(LinkMessage),
    LinkGone(LinkMessage),
    Address(AddressMessage),
    AddressGone(AddressMessage),
    /// Something was lost: dump everything anew.
    Overrun,
}

/// What became of an operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The kernel did it, and will tell.
    Done,
    /// It was so already; no news follow.
    AlreadySo,
    /// The kernel refused; what it said.
    Refused(String),
}

type News = (netlink_packet_core::NetlinkMessage<RouteNetlinkMessage>, netlink_sys::SocketAddr);

/// Two connections: news have their own, so that a flood of them can't take
/// answers with it.
pub(super) struct Netlink {
    handle: Handle,
    /// Unbounded in rtnetlink; it is emptied on every turn of the kernel
    /// thread, which shares its thread with the task that fills it.
    events: Pin<Box<dyn Stream<Item = News> + Send>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Netlink {
    /// Connects, and hears news from now on.
    pub(super) fn connect() -> Result<Self, NetlinkError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (listener, _, events) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetlinkError::Open)?;
        let (requester, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Open)?;
        let tasks = [tokio::spawn(listener), tokio::spawn(requester)];
        Ok(Self { handle, events: Box::pin(events), tasks })
    }

    /// All links and addresses, now.
    pub(super) async fn dump(
        &self,
    ) -> Result<(Vec<LinkMessage>, Vec<AddressMessage>), NetlinkError> {
        let links = self.handle.link().get().execute().try_collect().await;
        let links = links.map_err(|source| NetlinkError::Dump { what: "links", source })?;
        let addresses = self.handle.address().get().execute().try_collect().await;
        let addresses =
            addresses.map_err(|source| NetlinkError::Dump { what: "addresses", source })?;
        Ok((links, addresses))
    }

    /// The next news; `None` if the connection is lost. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            let (message, _) = self.events.next().await?;
            if let Some(message) = sort(message.payload) {
                return Some(message);
            }
        }
    }

    /// News that are there already.
    pub(super) fn waiting(&mut self) -> Option<Message> {
        while let Some(Some((message, _))) = self.events.next().now_or_never() {
            if let Some(message) = sort(message.payload) {
                return Some(message);
            }
        }
        None
    }

    /// Carries out one operation on the interface with this index.
    pub(super) async fn carry_out(&self, index: u32, operation: &Operation) -> Outcome {
        match operation {
            Operation::Add((_, address)) => {
                let mut request =
                    self.handle.address().add(index, address.addr(), address.prefix_len());
                *request.message_mut() = message(index, *address);
                outcome(request.execute().await, libc_code::EEXIST)
            }
            Operation::Remove((_, address)) => {
                let request = self.handle.address().del(message(index, *address));
                outcome(request.execute().await, libc_code::EADDRNOTAVAIL)
            }
        }
    }
}

/// Error numbers of Linux that say "already so".
mod libc_code {
    pub(super) const EEXIST: i32 = 17;
    pub(super) const EADDRNOTAVAIL: i32 = 99;
}

fn outcome(result: Result<(), rtnetlink::Error>, already_so: i32) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -already_so => {
            Outcome::AlreadySo
        }
        Err(rtnetlink::Error::NetlinkError(error)) => Outcome::Refused(error.to_io().to_string()),
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

fn sort(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Message> {
    if let NetlinkPayload::Overrun(_) = payload {
        return Some(Message::Overrun);
    }
    let NetlinkPayload::InnerMessage(message) = payload else { return None };
    // News of a bridge about its ports look like links of their own.
    let real = |link: &LinkMessage| link.header.interface_family == AddressFamily::Unspec;
    if let RouteNetlinkMessage::NewLink(link) = message {
        real(&link).then_some(Message::Link(link))
    } else if let RouteNetlinkMessage::DelLink(link) = message {
        real(&link).then_some(Message::LinkGone(link))
    } else if let RouteNetlinkMessage::NewAddress(address) = message {
        Some(Message::Address(address))
    } else if let RouteNetlinkMessage::DelAddress(address) = message {
        Some(Message::AddressGone(address))
    } else {
        None
    }
}

/// The address as we put it there: marked, without duplicate address detection
/// (it moves between hosts), and never chosen as a source where it is a single
/// IPv6 address.
fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = address.prefix_len();
    message.attributes = vec![
        AddressAttribute::Local(address.addr()),
        AddressAttribute::Address(address.addr()),
        AddressAttribute::Protocol(AddressProtocol::Other(MARK)),
    ];
    match address.addr() {
        IpAddr::V4(_) => message.header.family = AddressFamily::Inet,
        IpAddr::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            if address.prefix_len() == 128 {
                let mut life = CacheInfo::default();
                life.ifa_preferred = 0;
                life.ifa_valid = FOREVER;
                message.attributes.push(AddressAttribute::CacheInfo(life));
            }
        }
    }
    message
}

/// Whether this kernel keeps `IFA_PROTO`: from Linux 5.18 on. What can't be
/// read counts as an old one.
pub(super) fn kernel_keeps_marks() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    is_at_least_5_18(&release)
}

fn is_at_least_5_18(release: &str) -> bool {
    let mut numbers = release.split(|it: char| !it.is_ascii_digit()).map(str::parse::<u32>);
    let (major, minor) = (numbers.next(), numbers.next());
    matches!((major, minor), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (5, 18))
}

/// Whether `message` carries our mark.
pub(super) fn is_marked(message: &AddressMessage) -> bool {
    message.attributes.contains(&AddressAttribute::Protocol(AddressProtocol::Other(MARK)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_from_linux_5_18_on() {
        for (release, keeps) in [
            ("5.18.0", true),
            ("6.1.0-18-amd64", true),
            ("10.0", true),
            ("5.17.15-arch1", false),
            ("4.19.0", false),
            ("", false),
        ] {
            assert_eq!(is_at_least_5_18(release), keeps, "{release}");
        }
    }

    #[test]
    fn addresses_are_marked_and_single_ipv6_ones_are_no_source() {
        let single = message(2, "2001:db8::9/128".parse().unwrap());
        assert!(is_marked(&single));
        let life = single
            .attributes
            .iter()
            .any(|it| matches!(it, AddressAttribute::CacheInfo(life) if life.ifa_preferred == 0));
        assert!(life, "{single:?}");
        let of_prefix = message(2, "2001:db8::9/64".parse().unwrap());
        assert!(
            !of_prefix.attributes.iter().any(|it| matches!(it, AddressAttribute::CacheInfo(_)))
        );
        assert!(is_marked(&message(2, "10.0.0.9/24".parse().unwrap())));
    }
}
