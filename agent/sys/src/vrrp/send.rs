//! Sending adverts.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use socket2::Socket;

use super::{CONTROL_SIZE, Control, SocketError, attach, open_raw, set_option};
use crate::filter::VridSet;
use crate::packet::send_all;

/// Internetwork control (RFC 791), as every implementation sends it.
const TOS: u32 = 0xc0;
/// `TC_PRIO_CONTROL`: goes out before everything else of the host.
const PRIORITY: u32 = 6;
/// RFC 9568 §5.1.1.3 and §5.1.2.3.
const HOPS: u32 = 255;

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

// SAFETY: its pointers are set anew by each call that uses them, and lead to
// memory that the value itself owns.
unsafe impl Send for SendBatch {}

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

    /// Adds `message` to `destination`, from `source` on the interface with
    /// this index. `tag` comes back if it can't be sent.
    pub fn push(
        &mut self,
        tag: u32,
        index: u32,
        source: IpAddr,
        destination: IpAddr,
        message: &[u8],
    ) {
        let (start, length) = (self.arena.len(), message.len());
        self.arena.extend_from_slice(message);
        self.adverts.push(Outgoing { tag, index, source, destination, start, length });
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
    socket: Socket,
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
        // It hears nothing: else every advert would queue here too.
        attach(&socket, ipv6, &VridSet::default())?;
        Ok(Self { socket })
    }

    /// Sends all adverts and empties the batch. Never waits. `failed` is
    /// called with the tag of each message that the kernel did not take.
    pub fn send(&self, batch: &mut SendBatch, mut failed: impl FnMut(u32, io::Error)) {
        batch.prepare();
        let adverts = &batch.adverts;
        send_all(self.socket.as_raw_fd(), &mut batch.headers, |at, error| {
            failed(adverts[at].tag, error);
        });
        batch.adverts.clear();
        batch.arena.clear();
    }
}
