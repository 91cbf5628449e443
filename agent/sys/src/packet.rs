//! Ethernet frames out, as they are: gratuitous ARP and neighbour
//! advertisements.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{SocketError, check};

/// Frames of one call.
const FRAMES: usize = 64;
/// Longest frame: Ethernet, IPv6 and a neighbour advertisement have 86 bytes.
const FRAME_SIZE: usize = 96;

/// Frames that wait to be sent together.
#[derive(Debug)]
pub struct FrameBatch {
    frames: Vec<Frame>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    index: u32,
    length: usize,
    bytes: [u8; FRAME_SIZE],
}

impl Default for FrameBatch {
    fn default() -> Self {
        Self { frames: Vec::with_capacity(FRAMES) }
    }
}

impl FrameBatch {
    /// Whether the batch has to be sent before the next frame.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frames.len() == FRAMES
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds a whole Ethernet frame, at most 96 bytes, for the interface with
    /// this index. A frame that does not fit is left out; says whether it was
    /// taken.
    pub fn push(&mut self, index: u32, frame: &[u8]) -> bool {
        if self.is_full() || frame.len() > FRAME_SIZE || frame.len() < 14 {
            return false;
        }
        let mut bytes = [0; FRAME_SIZE];
        bytes[..frame.len()].copy_from_slice(frame);
        self.frames.push(Frame { index, length: frame.len(), bytes });
        true
    }
}

/// Socket that sends on every interface and receives nothing.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens one.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> Result<Self, SocketError> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers; the result is checked. Protocol 0 receives
        // nothing.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })
            .map_err(SocketError::when("open a packet socket"))?;
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Sends all frames and empties the batch. Never waits. Gives back how
    /// many the kernel did not take.
    pub fn send(&self, batch: &mut FrameBatch) -> usize {
        let mut addresses: Vec<libc::sockaddr_ll> = batch.frames.iter().map(address).collect();
        let mut parts: Vec<libc::iovec> = batch
            .frames
            .iter_mut()
            .map(|frame| libc::iovec {
                iov_base: frame.bytes.as_mut_ptr().cast(),
                iov_len: frame.length,
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = addresses
            .iter_mut()
            .zip(parts.iter_mut())
            .map(|(address, part)| {
                // SAFETY: all-zero is a valid mmsghdr: null pointers, no lengths.
                let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
                header.msg_hdr.msg_name = (&raw mut *address).cast();
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
                header.msg_hdr.msg_iov = part;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        let refused = send_all(self.fd.as_raw_fd(), &mut headers, |_, _| ());
        batch.frames.clear();
        refused
    }
}

fn address(frame: &Frame) -> libc::sockaddr_ll {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = u16::from_ne_bytes([frame.bytes[12], frame.bytes[13]]);
    address.sll_ifindex = frame.index.cast_signed();
    address.sll_halen = 6;
    address.sll_addr[..6].copy_from_slice(&frame.bytes[..6]);
    address
}

/// Sends every message, skips those that the kernel refuses, calls `failed`
/// with their position, and gives back their number.
///
/// Every pointer in `headers` must be good for the length of the call.
pub(crate) fn send_all(
    fd: libc::c_int,
    headers: &mut [libc::mmsghdr],
    mut failed: impl FnMut(usize, io::Error),
) -> usize {
    let (mut at, mut refused) = (0, 0);
    while at < headers.len() {
        let rest = &mut headers[at..];
        let count = libc::c_uint::try_from(rest.len()).unwrap_or(libc::c_uint::MAX);
        // SAFETY: `rest` has `count` headers; what they point to lives through
        // the call, as the callers in this crate see to.
        let result = unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        match check(result) {
            Ok(sent) => at += usize::try_from(sent).unwrap_or(1).max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failed(at, error);
                at += 1;
                refused += 1;
            }
        }
    }
    refused
}
