//! What several tests need: plans, offers, a duty that is none.

pub(crate) mod fleet;

use std::path::Path;
use std::sync::{Arc, Mutex};

use ha_model::ids::{Digest, Epoch, Generation, NodeName, PlanId};
use ha_model::plan::NodePlan;
use ha_model::secret::{SecretRef, SecretValue, Secrets};
use ha_model::status::{InstanceStatus, NodeStatus, PlanPhase, PlanStatus, VrrpState};
use tokio::sync::watch;

use crate::duty::{DutyGone, DutyStatus};
use crate::ledger::Ledger;
use crate::node::{Duty, GivenSecret, NodeConfig, NodeHandle, NodeTask, Offer};
use crate::spool::{Reporter, SpoolHandle, SpoolTask};

pub(crate) const NODE: &str = "fra-lb1";

/// A plan of one instance; `priority` makes one document differ from another.
pub(crate) fn document(priority: u8) -> Vec<u8> {
    format!(
        r#"{{"schema":1,"cluster":"fra","node":"{NODE}","instances":[{{"name":"web","interface":"eth0","family":"ipv4","vrid":51,"version":3,"priority":{priority},"interval_us":1000000,"addresses":[{{"address":"192.0.2.9/24"}}],"transport":{{"unicast":{{"source":"192.0.2.1","peers":[{{"address":"192.0.2.2"}}]}}}}}}]}}"#
    )
    .into_bytes()
}

/// The same with a secret.
pub(crate) fn document_with_secret(version: u64) -> Vec<u8> {
    let text = String::from_utf8(document(100)).unwrap().replace("\"version\":3", "\"version\":2");
    let open = text.strip_suffix("}]}").unwrap();
    let auth = r#","auth":{"pass":{"secret":{"name":"vrrp","version":"#;
    format!("{open}{auth}{version}}}}}}}}}]}}").into_bytes()
}

pub(crate) fn secret(version: u64, value: &str) -> GivenSecret {
    GivenSecret {
        secret: SecretRef { name: "vrrp".parse().unwrap(), version },
        value: SecretValue::new(value.as_bytes().to_vec()),
    }
}

pub(crate) fn plan_id(generation: u64, document: &[u8]) -> PlanId {
    PlanId { epoch: Epoch(7), generation: Generation(generation), digest: Digest::of(document) }
}

pub(crate) fn offer(generation: u64, document: Vec<u8>) -> Offer {
    Offer { plan: plan_id(generation, &document), revision: None, document, traceparent: None }
}

/// A duty that runs nothing and says what it was told.
#[derive(Clone, Debug)]
pub(crate) struct FakeDuty {
    pub(crate) runs: Arc<Mutex<Vec<(NodePlan, Secrets)>>>,
    status: watch::Sender<Arc<DutyStatus>>,
}

impl FakeDuty {
    pub(crate) fn new() -> Self {
        Self { runs: Arc::default(), status: watch::channel(Arc::default()).0 }
    }

    /// Priorities of the plans that ran, in order.
    pub(crate) fn priorities(&self) -> Vec<u8> {
        let runs = self.runs.lock().unwrap();
        runs.iter().map(|(plan, _)| plan.instances[0].priority.get()).collect()
    }

    /// The instance is in this state, and the kernel shows it.
    pub(crate) fn show(&self, state: VrrpState) {
        let status = DutyStatus {
            instances: vec![instance(state)],
            settled: true,
            at_us: 1,
            ..DutyStatus::default()
        };
        self.status.send_replace(Arc::new(status));
    }
}

impl Duty for FakeDuty {
    async fn run_plan(&self, plan: Arc<NodePlan>, secrets: Arc<Secrets>) -> Result<(), DutyGone> {
        self.runs.lock().unwrap().push((NodePlan::clone(&plan), Secrets::clone(&secrets)));
        Ok(())
    }

    fn status(&self) -> watch::Receiver<Arc<DutyStatus>> {
        self.status.subscribe()
    }
}

pub(crate) fn instance(state: VrrpState) -> InstanceStatus {
    InstanceStatus {
        name: "web".parse().unwrap(),
        interface: "eth0".parse().unwrap(),
        family: ha_model::plan::Family::Ipv4,
        vrid: 51,
        state,
        since_us: 1,
        effective_priority: 100,
        faults: Vec::new(),
        masters_seen: Vec::new(),
        addresses_held: Vec::new(),
        addresses_failed: Vec::new(),
        counters: Default::default(),
    }
}

/// A node on a fake duty, with its ledger and spool in `dir`.
pub(crate) struct TestNode {
    pub(crate) duty: FakeDuty,
    pub(crate) node: NodeHandle,
    pub(crate) reporter: Reporter,
    pub(crate) spool: SpoolHandle,
    task: tokio::task::JoinHandle<Result<(), DutyGone>>,
    spool_task: tokio::task::JoinHandle<()>,
}

impl TestNode {
    pub(crate) fn start(dir: &Path) -> Self {
        let (reporter, spool, spool_task) = SpoolTask::new(&dir.join("spool"));
        let duty = FakeDuty::new();
        let ledger = Ledger::new(dir);
        let loaded = ledger.load();
        let config = NodeConfig {
            node: NODE.parse::<NodeName>().unwrap(),
            agent_version: "0.0.0".into(),
            boot_id: "boot".into(),
        };
        let (node, task) = NodeTask::new(config, duty.clone(), ledger, loaded, reporter.clone());
        let spool_task = tokio::spawn(spool_task.run());
        Self { duty, node, reporter, spool, task: tokio::spawn(task.run()), spool_task }
    }

    /// The status of the offer `generation`, once it is `phase`.
    pub(crate) async fn reaches(&self, generation: u64, phase: PlanPhase) -> PlanStatus {
        let offered = |status: &NodeStatus| {
            status
                .offered
                .clone()
                .filter(|offered| offered.plan.generation.0 == generation && offered.phase == phase)
        };
        let mut view = self.node.view();
        let found = view.wait_for(|view| offered(&view.status).is_some()).await.unwrap();
        offered(&found.status).unwrap()
    }

    /// Ends it as a process ends; what is on the disk stays.
    pub(crate) async fn stop(self) {
        let Self { node, reporter, spool, task, spool_task, .. } = self;
        drop((node, spool));
        task.await.unwrap().unwrap();
        drop(reporter);
        spool_task.await.unwrap();
    }
}

/// A file system of `size` bytes, gone when dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, said aloud, without the right to mount.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        eprintln!("skipped, because a tmpfs can't be mounted here");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that is left, until the file is removed.
    pub(crate) fn fill(&self) -> std::path::PathBuf {
        let filler = self.path().join("filler");
        // Ends with an error, as it shall.
        let _ = std::fs::write(&filler, vec![0; 1 << 20]);
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}
