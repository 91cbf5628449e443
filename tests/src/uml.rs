//! A machine inside this one: user-mode Linux on the machine's own root file
//! system, with a disk of its own whose power can be cut.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Memory of the machine inside.
const MEMORY: &str = "mem=512M";
/// A tmpfs: where the memory of the machine inside lies.
const MEMORY_DIR: &str = "/dev/shm";

/// A disk with an ext4 file system, in a directory of its own.
#[derive(Debug)]
pub struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// A new, empty one with so many MiB.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(mebibytes: u64) -> anyhow::Result<Self> {
        let disk = Self { dir: tempfile::tempdir()? };
        fs::create_dir(disk.mount())?;
        fs::File::create(disk.image())?.set_len(mebibytes << 20)?;
        run(Command::new("/sbin/mkfs.ext4").arg("-q").arg(disk.image()))?;
        Ok(disk)
    }

    /// A place beside the disk, on the machine outside; the machine inside sees
    /// it under the same path.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the machine inside has the disk.
    #[must_use]
    pub fn mount(&self) -> PathBuf {
        self.beside("mount")
    }

    fn image(&self) -> PathBuf {
        self.beside("image")
    }

    /// Checks the file system as the machine's next start would: the journal is
    /// replayed first.
    ///
    /// # Errors
    /// When it is damaged beyond that.
    pub fn fsck(&self) -> anyhow::Result<()> {
        run(Command::new("/sbin/e2fsck").arg("-p").arg(self.image()))?;
        run(Command::new("/sbin/e2fsck").args(["-f", "-n"]).arg(self.image()))
    }

    /// Starts a machine that mounts the disk and carries out `command` (a line
    /// of shell).
    ///
    /// # Errors
    /// When it can't be started.
    pub fn boot(&self, program: &Path, command: &str) -> anyhow::Result<Machine> {
        let init = self.beside("init");
        let mount = self.mount();
        let script = format!(
            "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
             mount -t proc proc /proc\nmount -t tmpfs tmpfs /run\n\
             mount -t ext4 /dev/ubda {}\n{command}\necho \"status $?\"\n\
             umount {}\necho o > /proc/sysrq-trigger\nsleep 60\n",
            mount.display(),
            mount.display(),
        );
        fs::write(&init, script)?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o700))?;
        Machine::start(program, &init, &self.image())
    }
}

/// A running machine. Dropped, its power is cut.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    output: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Machine {
    fn start(program: &Path, init: &Path, image: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args([MEMORY, "rootfstype=hostfs", "rootflags=/", "rw", "quiet"])
            .args(["con=null", "con0=fd:0,fd:1"])
            .arg(format!("init={}", init.display()))
            .arg(format!("ubd0={}", image.display()))
            .env("TMPDIR", MEMORY_DIR)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // It consists of many processes; together they can be killed at once.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut stdout = child.stdout.take().context("the output is a pipe")?;
        let output = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&output);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                lock(&collected).push_str(&text);
            }
        });
        Ok(Self { child, output, reader: Some(reader) })
    }

    /// All that it has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        lock(&self.output).clone()
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    /// When it ends before, or takes longer than `limit`.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        while !lock(&self.output).contains(text) {
            let ended = self.child.try_wait()?.is_some();
            if ended || Instant::now() > end {
                // What it printed last may still be on its way.
                std::thread::sleep(Duration::from_millis(100));
                ensure!(self.output().contains(text), "no {text:?} in:\n{}", self.output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Cuts its power, and returns all that it printed.
    ///
    /// # Errors
    /// When it can't be killed.
    pub fn cut(mut self) -> anyhow::Result<String> {
        self.kill()?;
        Ok(self.output())
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        let group = Pid::from_raw(i32::try_from(self.child.id())?);
        match killpg(group, Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => bail!("killing the machine: {error}"),
        }
        self.child.wait()?;
        if let Some(reader) = self.reader.take()
            && reader.join().is_err()
        {
            bail!("the reader of the output panicked");
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            drop(writeln!(std::io::stderr(), "{error:#}"));
        }
    }
}

fn lock(output: &Mutex<String>) -> MutexGuard<'_, String> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    // e2fsck: 1 is that it repaired something.
    let good = output.status.code().is_some_and(|code| code <= 1);
    ensure!(good, "{command:?}: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
