//! A file of 64-bit words, mapped into memory.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::AtomicU64;

/// Words that outlive the process: writing one is a store to memory, never a
/// wait. Put the file on a tmpfs; on a disk a store may wait for write-back.
#[derive(Debug)]
pub struct MappedWords {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to this value alone, is not tied to a thread,
// and is accessed through atomics only.
unsafe impl Send for MappedWords {}
// SAFETY: as above; atomics may be shared.
unsafe impl Sync for MappedWords {}

impl MappedWords {
    /// Opens or makes the file at `path` (mode 0600) with room for `words`
    /// words. New words are 0; a file of another size is cut or lengthened.
    ///
    /// # Errors
    /// What the file system said, or if `words` is zero or too many.
    pub fn open(path: &Path, words: usize) -> io::Result<Self> {
        let bytes = words.checked_mul(8).filter(|bytes| *bytes > 0);
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        file.set_len(bytes as u64)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new shared mapping of `bytes` bytes at a place that the
        // kernel chooses; it overlaps nothing of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { start, words })
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, has `words` words, is valid
        // until `drop`, and all access to it is atomic, here and in any other
        // process of this program.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for MappedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `open` with this size, and no
        // reference to it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * 8) };
    }
}
