//! A controller on loopback, without namespaces: for tests that need no VRRP.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::lab::{Process, eventually, finish};
use crate::programs::program;

/// A fleet's files and the address of its controller.
#[derive(Debug)]
pub struct Loopback {
    home: tempfile::TempDir,
    address: String,
}

impl Loopback {
    /// Makes a fleet's CA and a context of `hactl`.
    ///
    /// # Errors
    ///
    /// `hactl init` failed.
    pub fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let bed = Self { home, address: format!("127.0.0.1:{port}") };
        std::fs::create_dir(bed.manifests())?;
        let mut init = bed.hactl(&["init", "--fleet", "loopback", "--pki"])?;
        init.arg(bed.pki()).args(["--controller-address", &bed.address]);
        finish(&mut init)?;
        Ok(bed)
    }

    /// `HOST:PORT` of the controller.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Directory of the fleet's CA.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.home.path().join("pki")
    }

    /// Directory of the controller's state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Directory for manifests.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.home.path().join("manifests")
    }

    /// Starts the controller and waits until it answers.
    ///
    /// # Errors
    ///
    /// It does not; its log is in the error.
    pub fn start(&self) -> Result<Process> {
        self.start_with(&[])
    }

    /// The same, with further arguments.
    ///
    /// # Errors
    ///
    /// As [`Loopback::start`].
    pub fn start_with(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(program("ha-controller")?);
        command.args(["run", "--listen", &self.address, "--pki"]).arg(self.pki());
        command.arg("--state-dir").arg(self.state()).args(arguments);
        let log = self.home.path().join("controller.log");
        let process = Process::start(&mut command, &log)?;
        let answers = eventually(Duration::from_secs(20), || {
            Ok(self.output(&["node", "list"])?.status.success())
        })?;
        ensure!(answers, "no answer: {}", std::fs::read_to_string(log)?);
        Ok(process)
    }

    /// `hactl` with this fleet's context.
    ///
    /// # Errors
    ///
    /// It is not built.
    pub fn hactl(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("hactl")?);
        command.args(arguments).env("HACTL_CONFIG", self.home.path().join("hactl.toml"));
        Ok(command)
    }

    /// Runs `hactl`, however it ends.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.hactl(arguments)?.output()?)
    }

    /// Runs `hactl` and reads the JSON that it prints.
    ///
    /// # Errors
    ///
    /// It failed, or printed something else.
    pub fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let output = finish(&mut self.hactl(arguments)?)?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Writes a manifest of a cluster with two nodes, `NAME-a` and `NAME-b`.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn write_cluster(&self, name: &str, number: usize, interval_ms: u64) -> Result<()> {
        let network = format!("10.{}.{}", 1 + number / 256, number % 256);
        let text = format!(
            "apiVersion: ha/v1\nkind: Cluster\nmetadata: {{name: {name}}}\nspec:\n  \
             nodes:\n    - {{name: {name}-a, address: {network}.1}}\n    \
             - {{name: {name}-b, address: {network}.2}}\n  \
             vrrp: {{version: 3, transport: unicast, advertInterval: {interval_ms}ms}}\n  \
             instances:\n    - {{name: web, interface: eth0, vrid: 51, vips: [{network}.50/24]}}\n"
        );
        std::fs::write(self.manifests().join(format!("{name}.yaml")), text)?;
        Ok(())
    }
}
