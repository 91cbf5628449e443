//! Several hosts on one machine: network namespaces, joined by bridges.
//!
//! Everything carries this process's id in its name, is removed when the [`Lab`]
//! is dropped, and is swept up by the next lab if a test was killed before that.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

/// Prefix of every namespace that a lab makes.
const PREFIX: &str = "halab";

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// A set of hosts and networks that live and end together.
#[derive(Debug)]
pub struct Lab {
    /// `halab-PID-SERIAL`.
    name: String,
    namespaces: std::sync::Mutex<Vec<String>>,
    directory: tempfile::TempDir,
}

/// A host: a network namespace.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    namespace: String,
}

/// A network: a bridge in a namespace of its own.
#[derive(Clone, Debug)]
pub struct Network {
    namespace: String,
}

/// A process of a host. Killed and waited for when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Lab {
    /// An empty lab.
    ///
    /// # Errors
    ///
    /// No directory for its files could be made.
    pub fn new() -> Result<Self> {
        sweep()?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{serial}", std::process::id());
        let directory = tempfile::Builder::new().prefix(&name).tempdir()?;
        Ok(Self { name, namespaces: std::sync::Mutex::default(), directory })
    }

    /// Directory for files of this lab; removed with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a host with its loopback up.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn host(&self, name: &str) -> Result<Host> {
        let namespace = self.namespace(name)?;
        let host = Host { name: name.to_owned(), namespace };
        // Without duplicate address detection an address is usable at once.
        host.run(&["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])?;
        host.run(&["sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0"])?;
        Ok(host)
    }

    /// Makes a network.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn network(&self, name: &str) -> Result<Network> {
        let namespace = self.namespace(name)?;
        ip(&[
            "-n",
            &namespace,
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "forward_delay",
            "0",
            "mcast_snooping",
            "0",
        ])?;
        ip(&["-n", &namespace, "link", "set", "br0", "up"])?;
        Ok(Network { namespace })
    }

    fn namespace(&self, name: &str) -> Result<String> {
        let namespace = format!("{}-{name}", self.name);
        ip(&["netns", "add", &namespace])?;
        self.namespaces.lock().expect("no lab method panics with the lock").push(namespace.clone());
        ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let namespaces = self.namespaces.get_mut().expect("no lab method panics with the lock");
        for namespace in namespaces.iter() {
            remove(namespace);
        }
    }
}

/// Ends what still runs in a namespace and removes it.
fn remove(namespace: &str) {
    if let Ok(output) = ip(&["netns", "pids", namespace]) {
        for pid in String::from_utf8_lossy(&output.stdout).split_whitespace() {
            if let Ok(pid) = pid.parse() {
                let pid = nix::unistd::Pid::from_raw(pid);
                // It may have ended by itself meanwhile.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
    drop(ip(&["netns", "del", namespace]));
}

/// Removes what labs of ended processes left.
fn sweep() -> Result<()> {
    let listed = ip(&["netns", "list"])?;
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let Some(namespace) = line.split_whitespace().next() else { continue };
        let mut parts = namespace.split('-');
        if parts.next() != Some(PREFIX) {
            continue;
        }
        let alive = parts.next().is_some_and(|pid| Path::new("/proc").join(pid).exists());
        if !alive {
            remove(namespace);
        }
    }
    Ok(())
}

impl Network {
    /// Takes the carrier from a host's interface on this network.
    ///
    /// # Errors
    ///
    /// The host is not attached.
    pub fn cut(&self, host: &Host) -> Result<()> {
        ip(&["-n", &self.namespace, "link", "set", &port(host), "down"]).map(drop)
    }

    /// Gives the carrier back.
    ///
    /// # Errors
    ///
    /// The host is not attached.
    pub fn heal(&self, host: &Host) -> Result<()> {
        ip(&["-n", &self.namespace, "link", "set", &port(host), "up"]).map(drop)
    }

    /// Drops every frame of a host while its carrier stays.
    ///
    /// # Errors
    ///
    /// nftables refused.
    pub fn silence(&self, host: &Host) -> Result<()> {
        let port = port(host);
        let rules = format!(
            "add table bridge lab; add chain bridge lab {port} {{ type filter hook forward priority 0; }}; \
             add rule bridge lab {port} iifname {port} drop; add rule bridge lab {port} oifname {port} drop"
        );
        ip(&["netns", "exec", &self.namespace, "nft", &rules]).map(drop)
    }

    /// Ends [`Network::silence`].
    ///
    /// # Errors
    ///
    /// The host was not silenced.
    pub fn unsilence(&self, host: &Host) -> Result<()> {
        let rules = format!("delete chain bridge lab {}", port(host));
        ip(&["netns", "exec", &self.namespace, "nft", &rules]).map(drop)
    }
}

/// The bridge's side of a host's cable.
fn port(host: &Host) -> String {
    format!("p-{}", host.name)
}

impl Host {
    /// Name given to [`Lab::host`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of the network namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Joins the host to a network by an interface with these addresses.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn attach(&self, network: &Network, interface: &str, addresses: &[&str]) -> Result<()> {
        let port = port(self);
        let (inside, outside) = (&self.namespace, &network.namespace);
        ip(&[
            "-n", outside, "link", "add", &port, "type", "veth", "peer", "name", interface,
            "netns", inside,
        ])?;
        ip(&["-n", outside, "link", "set", &port, "master", "br0"])?;
        ip(&["-n", outside, "link", "set", &port, "up"])?;
        ip(&["-n", inside, "link", "set", interface, "up"])?;
        for address in addresses {
            ip(&["-n", inside, "addr", "add", address, "dev", interface])?;
        }
        Ok(())
    }

    /// Takes an interface away; the network's side goes with it.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn detach(&self, interface: &str) -> Result<()> {
        ip(&["-n", &self.namespace, "link", "del", interface]).map(drop)
    }

    /// A command that will run on this host. The process is the program's own:
    /// its id is that of the [`Process`].
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program.as_ref());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    ///
    /// It could not be started or failed; its output is in the error.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let (program, rest) = arguments.split_first().context("an empty command")?;
        finish(self.command(program).args(rest))
    }

    /// Does something on this host, in a thread of this process.
    ///
    /// # Errors
    ///
    /// The namespace can't be entered, or the error of `act`.
    pub fn within<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let namespace = format!("/run/netns/{}", self.namespace);
        let inside = move || -> Result<T> {
            // The namespace is that of this thread alone, which ends here.
            let file = std::fs::File::open(namespace)?;
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET)?;
            act()
        };
        match std::thread::spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Whether an address is on an interface.
    ///
    /// # Errors
    ///
    /// The interface does not exist.
    pub fn holds(&self, interface: &str, address: &str) -> Result<bool> {
        let shown = ip(&["-n", &self.namespace, "-o", "addr", "show", "dev", interface])?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        Ok(shown.split_whitespace().any(|word| word.split('/').next() == Some(address)))
    }
}

impl Process {
    /// Starts `command` with its output in `log`.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't start {command:?}"))?;
        Ok(Self { child })
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id fits")?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal)?;
        Ok(())
    }

    /// Asks the process to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// It has ended before.
    pub fn terminate(mut self) -> Result<std::process::ExitStatus> {
        self.signal(nix::sys::signal::Signal::SIGTERM)?;
        Ok(self.child.wait()?)
    }

    /// Ends the process at once.
    ///
    /// # Errors
    ///
    /// It can't be waited for.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    ///
    /// It can't be waited for.
    pub fn wait(mut self) -> io::Result<std::process::ExitStatus> {
        self.child.wait()
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    ///
    /// It can't be asked.
    pub fn is_running(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already: both calls then have nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs `ip` to its end.
fn ip(arguments: &[&str]) -> Result<Output> {
    finish(Command::new("ip").args(arguments))
}

/// Runs a command to its end, and makes an error of a failure.
///
/// # Errors
///
/// It could not be started or failed; its output is in the error.
pub fn finish(command: &mut Command) -> Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}

/// Asks `condition` again and again until it holds or `limit` has passed;
/// whether it held. For what only an outside look can tell.
///
/// # Errors
///
/// The first error of `condition`.
pub fn eventually(
    limit: std::time::Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<bool> {
    let end = std::time::Instant::now() + limit;
    loop {
        if condition()? {
            return Ok(true);
        }
        if std::time::Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Where a log of this name lies in the lab.
#[must_use]
pub fn log_path(lab: &Lab, name: &str) -> PathBuf {
    lab.directory().join(format!("{name}.log"))
}
