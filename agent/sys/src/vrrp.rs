//! Raw sockets of IP protocol 112.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::filter::{Start, VridSet, program};
use crate::packet::send_all;
use crate::{PROTOCOL_VRRP, check};

/// RFC 9568 §5.1.1.2 and §5.1.2.2.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Internetwork control (RFC 791), as every implementation sends it.
const TOS: u32 = 0xc0;
/// `TC_PRIO_CONTROL`: goes out before everything else of the host.
const PRIORITY: u32 = 6;
/// RFC 9568 §5.1.1.3 and §5.1.2.3.
const HOPS: u32 = 255;
/// Room for a burst of about 2000 adverts while the thread is held up.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;
/// Messages of one system call.
const BATCH: usize = 32;
/// Longest message: 255 IPv6 addresses behind an 8-byte header, and the IPv4
/// header where the socket delivers it.
const MESSAGE_SIZE: usize = 8 + 255 * 16 + 60;
/// Room for the control messages of one packet.
const CONTROL_SIZE: usize = 128;

/// A socket could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct SocketError {
    /// What was tried.
    action: &'static str,
    /// What the kernel said.
    source: io::Error,
}

impl SocketError {
    fn when(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, source }
    }
}

fn open_raw(ipv6: bool) -> Result<Socket, SocketError> {
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let kind = Type::RAW.nonblocking().cloexec();
    Socket::new(domain, kind, Some(Protocol::from(PROTOCOL_VRRP)))
        .map_err(SocketError::when("open a raw socket of protocol 112"))
}

/// Sets an integer option.
fn set_option(socket: &Socket, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is an int that lives through the call, of that length.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length)
    })?;
    Ok(())
}

/// A packet off the wire, IP header removed.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Source of the IP header.
    pub source: IpAddr,
    /// Destination of the IP header.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// What follows the IP header.
    pub message: &'a [u8],
}

/// Hears one family on one interface.
#[derive(Debug)]
pub struct ReceiveSocket {
    socket: Socket,
    ipv6: bool,
    index: u32,
    vrids: VridSet,
    joined: bool,
}

impl ReceiveSocket {
    /// Opens a socket for the interface with this index. It hears nothing
    /// until [`Self::listen`].
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or if the interface has gone.
    pub fn open(ipv6: bool, index: u32) -> Result<Self, SocketError> {
        let socket = open_raw(ipv6)?;
        let closed = Self { socket, ipv6, index, vrids: VridSet::default(), joined: false };
        // The filter comes first and what came before it is thrown away: a
        // packet of another interface must not count as one of this.
        closed.attach(&VridSet::default())?;
        closed.bind()?;
        closed.configure()?;
        let mut waste = [MaybeUninit::uninit(); 1];
        while closed.socket.recv(&mut waste).is_ok() {}
        Ok(closed)
    }

    fn bind(&self) -> Result<(), SocketError> {
        let failed = SocketError::when("bind the socket to the interface");
        let index = std::num::NonZeroU32::new(self.index);
        if self.ipv6 {
            self.socket.bind_device_by_index_v6(index).map_err(failed)
        } else {
            self.socket.bind_device_by_index_v4(index).map_err(failed)
        }
    }

    fn configure(&self) -> Result<(), SocketError> {
        let failed = SocketError::when("set up the receive socket");
        let buffer =
            set_option(&self.socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER);
        let family = if self.ipv6 {
            set_option(&self.socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
                .and_then(|()| self.socket.set_recv_hoplimit_v6(true))
                .and_then(|()| self.socket.set_multicast_all_v6(false))
        } else {
            self.socket.set_multicast_all_v4(false)
        };
        buffer.and(family).map_err(failed)
    }

    fn attach(&self, vrids: &VridSet) -> Result<(), SocketError> {
        let start = if self.ipv6 { Start::AtOnce } else { Start::BehindIpv4Header };
        let code = program(start, vrids);
        let count = u16::try_from(code.len()).expect("the program has at most 51 steps");
        let filter = libc::sock_fprog { len: count, filter: code.as_ptr().cast_mut() };
        let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
        // SAFETY: `filter` points to `count` steps that live through the call;
        // the kernel copies them.
        check(unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const filter).cast(),
                length,
            )
        })
        .map_err(SocketError::when("attach the filter on virtual router ids"))?;
        Ok(())
    }

    /// Hears these virtual router ids from now on, and the multicast group if
    /// `multicast`.
    ///
    /// # Errors
    /// If the kernel refuses, mostly because the interface has gone.
    pub fn listen(&mut self, vrids: VridSet, multicast: bool) -> Result<(), SocketError> {
        if vrids != self.vrids {
            self.attach(&vrids)?;
            self.vrids = vrids;
        }
        if multicast == self.joined {
            return Ok(());
        }
        let interface = InterfaceIndexOrAddress::Index(self.index);
        match (self.ipv6, multicast) {
            (false, true) => self.socket.join_multicast_v4_n(&GROUP_V4, &interface),
            (false, false) => self.socket.leave_multicast_v4_n(&GROUP_V4, &interface),
            (true, true) => self.socket.join_multicast_v6(&GROUP_V6, self.index),
            (true, false) => self.socket.leave_multicast_v6(&GROUP_V6, self.index),
        }
        .map_err(SocketError::when("join or leave the multicast group"))?;
        self.joined = multicast;
        Ok(())
    }

    /// Index of the interface.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Takes up to 32 packets; an empty batch means that none waits.
    ///
    /// # Errors
    /// What the kernel said, such as `ENETDOWN` once after the link went down.
    pub fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        batch.ipv6 = self.ipv6;
        batch.receive(self.socket.as_raw_fd())
    }
}

impl AsFd for ReceiveSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Room for control messages, aligned as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_SIZE]);

/// Room for packets of one system call, used again and again.
pub struct ReceiveBatch {
    ipv6: bool,
    count: usize,
    buffers: Vec<[u8; MESSAGE_SIZE]>,
    controls: Vec<Control>,
    names: Vec<libc::sockaddr_in6>,
    parts: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        // SAFETY: all-zero is a valid value of these three types.
        let (name, part, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        Self {
            ipv6: false,
            count: 0,
            buffers: vec![[0; MESSAGE_SIZE]; BATCH],
            controls: vec![Control([0; CONTROL_SIZE]); BATCH],
            names: vec![name; BATCH],
            parts: vec![part; BATCH],
            headers: vec![header; BATCH],
        }
    }
}

impl std::fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiveBatch").field("count", &self.count).finish_non_exhaustive()
    }
}

impl ReceiveBatch {
    fn receive(&mut self, fd: libc::c_int) -> io::Result<()> {
        self.count = 0;
        for slot in 0..BATCH {
            self.parts[slot] = libc::iovec {
                iov_base: self.buffers[slot].as_mut_ptr().cast(),
                iov_len: MESSAGE_SIZE,
            };
            let header = &mut self.headers[slot].msg_hdr;
            header.msg_name = (&raw mut self.names[slot]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_iov = &raw mut self.parts[slot];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[slot].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_SIZE;
            header.msg_flags = 0;
        }
        let headers = self.headers.as_mut_ptr();
        // SAFETY: there are BATCH headers, and all that they point to was set
        // just now, belongs to `self`, and has the lengths given.
        let result = unsafe {
            libc::recvmmsg(fd, headers, BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        match check(result) {
            Ok(count) => {
                self.count = usize::try_from(count).unwrap_or(0);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How many packets came, those included that [`Self::packets`] leaves out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether more may wait: the batch was full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// The packets, in the order of their arrival.
    pub fn packets(&self) -> impl Iterator<Item = Incoming<'_>> {
        (0..self.count).filter_map(|slot| if self.ipv6 { self.ipv6(slot) } else { self.ipv4(slot) })
    }

    fn bytes(&self, slot: usize) -> &[u8] {
        let length = usize::try_from(self.headers[slot].msg_len).unwrap_or(MESSAGE_SIZE);
        &self.buffers[slot][..length.min(MESSAGE_SIZE)]
    }

    fn ipv4(&self, slot: usize) -> Option<Incoming<'_>> {
        let packet = self.bytes(slot);
        let header = packet.first_chunk::<20>()?;
        let length = usize::from(header[0] & 15) * 4;
        let address =
            |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        Some(Incoming {
            source: address(12).into(),
            destination: address(16).into(),
            ttl: Some(header[8]),
            message: packet.get(length..)?,
        })
    }

    fn ipv6(&self, slot: usize) -> Option<Incoming<'_>> {
        let (mut destination, mut ttl) = (None, None);
        let header = &self.headers[slot].msg_hdr;
        // SAFETY: the kernel filled the control buffer of this slot and set its
        // length; nothing has changed it since.
        let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
        while !message.is_null() {
            // SAFETY: not null, so it points to a whole header in the buffer.
            let kind = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
            // SAFETY: as above; the data follows the header.
            let data = unsafe { libc::CMSG_DATA(message) };
            if kind == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
                // SAFETY: the data of this kind is an in6_pktinfo.
                let info: libc::in6_pktinfo =
                    unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
            } else if kind == (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) {
                // SAFETY: the data of this kind is an int.
                let hops = unsafe { data.cast::<libc::c_int>().read_unaligned() };
                ttl = u8::try_from(hops).ok();
            }
            // SAFETY: `header` and `message` are as they were above.
            message = unsafe { libc::CMSG_NXTHDR(header, message) };
        }
        Some(Incoming {
            source: Ipv6Addr::from(self.names[slot].sin6_addr.s6_addr).into(),
            destination: destination?.into(),
            ttl,
            message: self.bytes(slot),
        })
    }
}

/// Adverts that wait to be sent together, all of one family.
pub struct SendBatch {
    adverts: Vec<Outgoing>,
    arena: Vec<u8>,
    controls: Vec<Control>,
    names: Vec<libc::sockaddr_storage>,
    parts: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

#[derive(Clone, Copy, Debug)]
struct Outgoing {
    tag: u32,
    index: u32,
    source: IpAddr,
    destination: IpAddr,
    start: usize,
    length: usize,
}

impl Default for SendBatch {
    fn default() -> Self {
        Self {
            adverts: Vec::with_capacity(Self::LIMIT),
            arena: Vec::with_capacity(Self::LIMIT * 64),
            controls: Vec::with_capacity(Self::LIMIT),
            names: Vec::with_capacity(Self::LIMIT),
            parts: Vec::with_capacity(Self::LIMIT),
            headers: Vec::with_capacity(Self::LIMIT),
        }
    }
}

impl std::fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendBatch").field("adverts", &self.adverts).finish_non_exhaustive()
    }
}

impl SendBatch {
    /// Adverts of one system call.
    const LIMIT: usize = 64;

    /// Whether the batch has to be sent before the next advert.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.adverts.len() >= Self::LIMIT
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.adverts.is_empty()
    }

    /// Adds `message` to each of `destinations`, from `source` on the
    /// interface with this index. `tag` comes back if it can't be sent.
    pub fn push(
        &mut self,
        tag: u32,
        index: u32,
        source: IpAddr,
        destinations: &[IpAddr],
        message: &[u8],
    ) {
        let (start, length) = (self.arena.len(), message.len());
        self.arena.extend_from_slice(message);
        self.adverts.extend(destinations.iter().map(|destination| Outgoing {
            tag,
            index,
            source,
            destination: *destination,
            start,
            length,
        }));
    }

    fn prepare(&mut self) {
        self.controls.clear();
        self.names.clear();
        self.parts.clear();
        self.headers.clear();
        for advert in &self.adverts {
            self.controls.push(Control([0; CONTROL_SIZE]));
            self.names.push(name(advert));
            let bytes = &mut self.arena[advert.start..advert.start + advert.length];
            self.parts
                .push(libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() });
        }
        // Pointers are taken last: nothing grows from here on.
        for (slot, advert) in self.adverts.iter().enumerate() {
            // SAFETY: all-zero is a valid mmsghdr.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            let message = &mut header.msg_hdr;
            message.msg_name = (&raw mut self.names[slot]).cast();
            message.msg_namelen = match advert.destination {
                IpAddr::V4(_) => size_of::<libc::sockaddr_in>() as libc::socklen_t,
                IpAddr::V6(_) => size_of::<libc::sockaddr_in6>() as libc::socklen_t,
            };
            message.msg_iov = &raw mut self.parts[slot];
            message.msg_iovlen = 1;
            message.msg_control = self.controls[slot].0.as_mut_ptr().cast();
            message.msg_controllen = CONTROL_SIZE;
            message.msg_controllen = write_source(message, advert);
            self.headers.push(header);
        }
    }
}

fn name(advert: &Outgoing) -> libc::sockaddr_storage {
    // SAFETY: all-zero is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let place = &raw mut storage;
    match advert.destination {
        IpAddr::V4(address) => {
            // SAFETY: a sockaddr_storage has room and alignment for every
            // kind of socket address, and all-zero is a valid sockaddr_in.
            let name = unsafe { &mut *place.cast::<libc::sockaddr_in>() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
        }
        IpAddr::V6(address) => {
            // SAFETY: as above, for sockaddr_in6.
            let name = unsafe { &mut *place.cast::<libc::sockaddr_in6>() };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_addr.s6_addr = address.octets();
            if (address.segments()[0] & 0xffc0) == 0xfe80 || address.is_multicast() {
                name.sin6_scope_id = advert.index;
            }
        }
    }
    storage
}

/// Writes the control message that binds source and interface; gives back the
/// length of the control buffer in use.
fn write_source(message: &libc::msghdr, advert: &Outgoing) -> usize {
    match advert.source {
        IpAddr::V4(address) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: advert.index.cast_signed(),
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(message, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        IpAddr::V6(address) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                ipi6_ifindex: advert.index,
            };
            write_control(message, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

fn write_control<T>(message: &libc::msghdr, level: i32, kind: i32, value: T) -> usize {
    let size = u32::try_from(size_of::<T>()).expect("control values have a few bytes");
    // SAFETY: computes a length from a length.
    let (length, space) = unsafe { (libc::CMSG_LEN(size), libc::CMSG_SPACE(size)) };
    debug_assert!(space as usize <= CONTROL_SIZE);
    // SAFETY: the control buffer has CONTROL_SIZE bytes, so a first header and
    // a value of at most 20 bytes fit.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = length as usize;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
    }
    space as usize
}

/// Sends adverts of one family on every interface. TTL 255, TOS 0xC0, highest
/// priority of the host's own queues, no loop back.
#[derive(Debug)]
pub struct SendSocket {
    fd: OwnedFd,
}

impl SendSocket {
    /// Opens one.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, or without that family.
    pub fn open(ipv6: bool) -> Result<Self, SocketError> {
        let socket = open_raw(ipv6)?;
        let failed = SocketError::when("set up the send socket");
        let options = if ipv6 {
            socket
                .set_unicast_hops_v6(HOPS)
                .and_then(|()| socket.set_multicast_hops_v6(HOPS))
                .and_then(|()| socket.set_multicast_loop_v6(false))
                .and_then(|()| {
                    let tos = libc::c_int::try_from(TOS).expect("TOS has 8 bits");
                    set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, tos)
                })
        } else {
            socket
                .set_ttl_v4(HOPS)
                .and_then(|()| socket.set_multicast_ttl_v4(HOPS))
                .and_then(|()| socket.set_multicast_loop_v4(false))
                .and_then(|()| socket.set_tos_v4(TOS))
        };
        // IP_TOS sets the priority as well, so ours comes after it.
        options.and_then(|()| socket.set_priority(PRIORITY)).map_err(failed)?;
        let sender = Self { fd: socket.into() };
        sender.hear_nothing(ipv6)?;
        Ok(sender)
    }

    /// A filter that accepts nothing: else every advert would queue here too.
    fn hear_nothing(&self, ipv6: bool) -> Result<(), SocketError> {
        let socket = self.fd.try_clone().map(Socket::from);
        let socket = socket.map_err(SocketError::when("copy a descriptor"))?;
        let deaf =
            ReceiveSocket { socket, ipv6, index: 0, vrids: VridSet::default(), joined: false };
        deaf.attach(&VridSet::default())
    }

    /// Sends all adverts and empties the batch. Never waits. `failed` is
    /// called with the tag of each message that the kernel did not take.
    pub fn send(&self, batch: &mut SendBatch, mut failed: impl FnMut(u32, io::Error)) {
        batch.prepare();
        let adverts = &batch.adverts;
        send_all(self.fd.as_raw_fd(), &mut batch.headers, |at, error| {
            failed(adverts[at].tag, error);
        });
        batch.adverts.clear();
        batch.arena.clear();
    }
}
