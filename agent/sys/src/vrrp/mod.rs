//! Raw sockets of IP protocol 112.

mod receive;
mod send;

use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::filter::{Start, VridSet, program};
use crate::{PROTOCOL_VRRP, check};

pub use receive::{Incoming, ReceiveBatch, ReceiveSocket};
pub use send::{SendBatch, SendSocket};

/// Room for the control messages of one packet.
const CONTROL_SIZE: usize = 128;

/// Room for control messages, aligned as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_SIZE]);

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
    pub(crate) fn when(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, source }
    }

    /// The socket can't be waited for.
    #[must_use]
    pub fn poll(source: io::Error) -> Self {
        Self { action: "wait for the socket", source }
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

/// Lets only adverts of `vrids` through.
fn attach(socket: &Socket, ipv6: bool, vrids: &VridSet) -> Result<(), SocketError> {
    let start = if ipv6 { Start::AtOnce } else { Start::BehindIpv4Header };
    let code = program(start, vrids);
    let count = u16::try_from(code.len()).expect("the program has at most 51 steps");
    let filter = libc::sock_fprog { len: count, filter: code.as_ptr().cast_mut() };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: `filter` points to `count` steps that live through the call;
    // the kernel copies them.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            length,
        )
    })
    .map_err(SocketError::when("attach the filter on virtual router ids"))?;
    Ok(())
}
