//! Hearing adverts.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use socket2::{InterfaceIndexOrAddress, Socket};

use super::{CONTROL_SIZE, Control, SocketError, attach, open_raw, set_option};
use crate::check;
use crate::filter::VridSet;

/// RFC 9568 §5.1.1.2 and §5.1.2.2.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Room for a burst of about 2000 adverts while the thread is held up.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;
/// Messages of one system call.
const BATCH: usize = 32;
/// Longest message: 255 IPv6 addresses behind an 8-byte header, and the IPv4
/// header where the socket delivers it.
const MESSAGE_SIZE: usize = 8 + 255 * 16 + 60;

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
        attach(&closed.socket, ipv6, &VridSet::default())?;
        closed.bind()?;
        closed.configure()?;
        let mut waste = [MaybeUninit::uninit(); 1];
        while closed.socket.recv(&mut waste).is_ok() {}
        Ok(closed)
    }

    fn bind(&self) -> Result<(), SocketError> {
        let failed = SocketError::when("bind the socket to the interface");
        let index = NonZeroU32::new(self.index);
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

    /// Hears these virtual router ids from now on, and the multicast group if
    /// `multicast`.
    ///
    /// # Errors
    /// If the kernel refuses, mostly because the interface has gone.
    pub fn listen(&mut self, vrids: VridSet, multicast: bool) -> Result<(), SocketError> {
        if vrids != self.vrids {
            attach(&self.socket, self.ipv6, &vrids)?;
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

// SAFETY: its pointers are set anew by each call that uses them, and lead to
// memory that the value itself owns.
unsafe impl Send for ReceiveBatch {}

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
