//! Waiting: epoll, one timer, and wake-ups between threads.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::check;

/// What a [`Poller`] reports for a registered descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token(pub u64);

/// Most reports of one wait. What does not fit comes with the next wait.
const REPORTS: usize = 64;

/// An epoll instance; level-triggered, readability only.
#[derive(Debug)]
pub struct Poller {
    fd: OwnedFd,
}

impl Poller {
    /// An empty one.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Reports `token` while `fd` can be read. A closed descriptor leaves by
    /// itself.
    ///
    /// # Errors
    /// If `fd` is there already, or can't be polled.
    pub fn add(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token.0 };
        let (poller, fd) = (self.fd.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` is valid and only read during the call.
        check(unsafe { libc::epoll_ctl(poller, libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits until something can be read and puts its tokens into `ready`.
    /// An interrupted wait reports nothing.
    ///
    /// # Errors
    /// Never in practice: the arguments are good by construction.
    pub fn wait(&self, ready: &mut Vec<Token>) -> io::Result<()> {
        ready.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; REPORTS];
        let limit = REPORTS as libc::c_int;
        // SAFETY: `events` has room for `limit` reports and lives through the call.
        let result =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), limit, -1) };
        match check(result) {
            Ok(count) => {
                let count = usize::try_from(count).unwrap_or(0);
                ready.extend(events.iter().take(count).map(|event| Token(event.u64)));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A timer on `CLOCK_BOOTTIME` with absolute times.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_BOOTTIME, flags) })?;
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Makes the timer readable from `nanos` after boot on (at once if that is
    /// past); `None`: never.
    ///
    /// # Errors
    /// Never in practice: the arguments are good by construction.
    pub fn set(&self, nanos: Option<u64>) -> io::Result<()> {
        // Zero would switch the timer off.
        let at = nanos.map_or(0, |nanos| nanos.max(1));
        let spec = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec {
                tv_sec: (at / 1_000_000_000).cast_signed(),
                tv_nsec: (at % 1_000_000_000).cast_signed(),
            },
        };
        let fd = self.fd.as_raw_fd();
        // SAFETY: `spec` is valid and only read; the old value is not asked for.
        check(unsafe {
            libc::timerfd_settime(
                fd,
                libc::TFD_TIMER_ABSTIME,
                &raw const spec,
                std::ptr::null_mut(),
            )
        })?;
        Ok(())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Wakes a [`Poller`] of another thread.
#[derive(Debug)]
pub struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// One that is not signalled.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe { libc::eventfd(0, flags) })?;
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Makes it readable. Never waits.
    pub fn signal(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` has eight bytes and lives through the call. The only
        // failure is a full counter, which is readable as it is.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable until the next signal.
    pub fn clear(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: `count` has room for eight bytes and lives through the call.
        // The only failure is that nothing was signalled.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sending end of a pipe that wakes an asynchronous task: unlike an eventfd, a
/// pipe can be read by tokio without unsafe code.
#[derive(Debug)]
pub struct WakePipe {
    fd: OwnedFd,
}

impl WakePipe {
    /// A pipe: the end to wake with, and the end to read from.
    ///
    /// # Errors
    /// If the process is out of descriptors.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for two descriptors.
        check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
        // SAFETY: both were just opened and are owned by nobody else.
        let [reader, writer] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        Ok((Self { fd: writer }, reader))
    }

    /// Wakes the reader. Never waits; a full pipe means that it is awake.
    pub fn signal(&self) {
        let byte = [1_u8];
        // SAFETY: one byte that lives through the call; SIGPIPE is ignored by
        // the Rust runtime, and a reader that has gone is no error here.
        unsafe { libc::write(self.fd.as_raw_fd(), byte.as_ptr().cast(), 1) };
    }
}
