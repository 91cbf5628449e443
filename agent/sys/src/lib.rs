//! System calls of the agent that safe crates do not offer. The only crate of
//! the workspace with `unsafe` code: everything it exports is safe to call.

#![expect(unsafe_code, reason = "system calls; every block says why it is sound")]

mod clock;
mod filter;
mod map;
mod packet;
mod poll;
mod process;
mod vrrp;

pub use clock::{boot_id, boot_nanos, wall_micros};
pub use filter::VridSet;
pub use map::MappedWords;
pub use packet::{FrameBatch, PacketSocket};
pub use poll::{EventFd, Poller, Timer, Token, WakePipe};
pub use process::{MemoryLock, block_new_privileges, lock_memory, run_in_real_time, set_umask};
pub use vrrp::{Incoming, ReceiveBatch, ReceiveSocket, SendBatch, SendSocket, SocketError};

/// IP protocol number of VRRP (RFC 9568 §5.1.1.4).
pub const PROTOCOL_VRRP: i32 = 112;

/// The result of a system call that says -1 on failure.
fn check(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
