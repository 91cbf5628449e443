//! The kernel thread's loop: hear, compare, change, tell.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::join_all;
use ha_core::event::Link;
use ha_core::kernel::{Converger, Loss, Operation, Place};
use ha_core::{Desired, Timestamp};
use ha_model::ids::InterfaceName;
use ha_sys::{EventFd, WakePipe};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::ledger::LedgerFile;
use super::mirror::Mirror;
use super::netlink::{self, Message, Netlink, NetlinkError, Outcome};
use super::port::{DutyEnded, Failure, KernelNews, KernelPort, NEWS, NewsSender};

/// Name of the list of own addresses in the run directory.
const LEDGER: &str = "addresses.json";
/// Operations on their way at once. Between two such groups a newer desired
/// state is looked for.
const GROUP: usize = 64;
/// What failed is tried again this often, and everything is compared anew.
const SLOW_TICK: Duration = Duration::from_secs(5);
/// Passes of one convergence. One is enough unless the wish changes meanwhile.
const PASSES: usize = 8;

/// The kernel thread could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread, no pipe, no runtime.
    #[error("cannot start the kernel thread")]
    Thread(#[source] io::Error),
    /// The kernel could not be asked.
    #[error("cannot reach the kernel's routing tables")]
    Netlink(#[source] NetlinkError),
}

/// A kernel thread that runs.
#[derive(Debug)]
pub(crate) struct KernelThread {
    pub(crate) port: KernelPort,
    pub(crate) news: Receiver<KernelNews>,
    pub(crate) thread: JoinHandle<()>,
}

/// Starts the kernel thread. It tells of every interface, then of what changes,
/// and signals `wake` with each of its news.
///
/// # Errors
/// [`StartError::Thread`].
pub(crate) fn start(run_dir: &Path, wake: Arc<EventFd>) -> Result<KernelThread, StartError> {
    let (ring, news) = sync_channel(NEWS);
    let (pipe, woken) = WakePipe::new().map_err(StartError::Thread)?;
    let desired = Arc::new(ArcSwapOption::empty());
    let runtime = runtime()?;
    let mut task = Task::new(run_dir, Arc::clone(&desired), NewsSender { ring, wake });
    let body = move || {
        let run = async {
            match pipe::Receiver::from_owned_fd(woken) {
                Ok(woken) => task.run(woken).await,
                Err(error) => tracing::error!(%error, "the kernel thread can't be woken"),
            }
        };
        runtime.block_on(run);
    };
    let thread = std::thread::Builder::new().name("kernel".to_owned()).spawn(body);
    let thread = thread.map_err(StartError::Thread)?;
    Ok(KernelThread { port: KernelPort { desired, wake: pipe }, news, thread })
}

fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)
}

/// Removes every address that an agent with this run directory left, found by
/// mark and by list. Gives back how many.
///
/// # Errors
/// If the kernel can't be asked. What the kernel refuses to remove is logged.
pub async fn release(run_dir: &Path) -> Result<usize, StartError> {
    let netlink = Netlink::connect().map_err(StartError::Netlink)?;
    let (links, addresses) = netlink.dump().await.map_err(StartError::Netlink)?;
    let mut mirror = Mirror::default();
    mirror.reset(&links, &addresses);
    let ledger = LedgerFile::open(run_dir.join(LEDGER));
    let mut converger = Converger::new(ledger.places().clone());
    let (nothing, observed) = (Desired::default(), mirror.observed());
    let operations = converger.operations(&nothing, &observed, &BTreeSet::new(), now());
    let mut removed = 0;
    for operation in &operations {
        let Operation::Remove(place) = operation else { continue };
        let Some(index) = mirror.index(&place.0) else { continue };
        match netlink.carry_out(index, operation).await {
            Outcome::Done => removed += 1,
            Outcome::AlreadySo => {}
            Outcome::Refused(reason) => {
                tracing::warn!(interface = %place.0, address = %place.1, reason, "not removed");
            }
        }
    }
    if let Err(error) = ledger.remove() {
        tracing::warn!(%error, "the list of own addresses was not removed");
    }
    Ok(removed)
}

fn now() -> Timestamp {
    Timestamp::from_nanos(ha_sys::boot_nanos())
}

/// Why a turn of the loop began.
enum Turn {
    Wake,
    News(Option<Message>),
    Tick,
}

/// Owner of all that the kernel thread knows.
struct Task {
    slot: Arc<ArcSwapOption<Desired>>,
    news: NewsSender,
    desired: Option<Arc<Desired>>,
    mirror: Mirror,
    converger: Converger,
    ledger: LedgerFile,
    /// Wanted addresses that were there at the end of the last turn.
    held: BTreeSet<Place>,
    /// Addresses that somebody removed and that are to be put back.
    to_put_back: BTreeSet<Place>,
    refused: BTreeMap<Place, String>,
    told_links: BTreeMap<InterfaceName, Link>,
    told: Option<(u64, Vec<Failure>)>,
    told_ready: bool,
    /// The kernel keeps marks on addresses.
    marks: bool,
}

impl Task {
    fn new(run_dir: &Path, slot: Arc<ArcSwapOption<Desired>>, news: NewsSender) -> Self {
        let path: PathBuf = run_dir.join(LEDGER);
        let ledger = LedgerFile::open(path);
        Self {
            slot,
            news,
            desired: None,
            mirror: Mirror::default(),
            converger: Converger::new(ledger.places().clone()),
            ledger,
            held: BTreeSet::new(),
            to_put_back: BTreeSet::new(),
            refused: BTreeMap::new(),
            told_links: BTreeMap::new(),
            told: None,
            told_ready: false,
            marks: netlink::kernel_keeps_marks(),
        }
    }

    /// Runs until the duty thread has ended. A lost connection is made anew.
    async fn run(&mut self, mut woken: pipe::Receiver) {
        loop {
            match Netlink::connect() {
                Ok(mut netlink) => match self.serve(&mut netlink, &mut woken).await {
                    Ok(()) => tracing::error!("the connection to the kernel was lost"),
                    Err(DutyEnded) => return,
                },
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the kernel can't be asked"
                ),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn serve(
        &mut self,
        netlink: &mut Netlink,
        woken: &mut pipe::Receiver,
    ) -> Result<(), DutyEnded> {
        if !self.resync(netlink).await {
            return Ok(());
        }
        let mut bytes = [0_u8; 64];
        let mut tick = tokio::time::interval(SLOW_TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.turn(netlink).await?;
            // Reading a pipe, the next message and a tick are all cancel-safe.
            let turn = tokio::select! {
                read = woken.read(&mut bytes) => match read {
                    Ok(1..) => Turn::Wake,
                    Ok(0) | Err(_) => return Err(DutyEnded),
                },
                message = netlink.next() => Turn::News(message),
                _ = tick.tick() => Turn::Tick,
            };
            let in_step = match turn {
                Turn::Wake => true,
                Turn::News(None) => return Ok(()),
                Turn::News(Some(message)) => self.take_in(&message),
                Turn::Tick => false,
            };
            if !in_step && !self.resync(netlink).await {
                return Ok(());
            }
        }
    }

    /// Takes in a message; says whether the mirror is still whole.
    fn take_in(&mut self, message: &Message) -> bool {
        self.mirror.take_in(message);
        !matches!(message, Message::Overrun)
    }

    /// Reads everything anew; says whether that worked.
    async fn resync(&mut self, netlink: &mut Netlink) -> bool {
        // What happened before the dump is in the dump.
        while netlink.waiting().is_some() {}
        match netlink.dump().await {
            Ok((links, addresses)) => {
                self.mirror.reset(&links, &addresses);
                true
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the kernel's state can't be read");
                false
            }
        }
    }

    /// Hears all that waits, converges, and tells what changed.
    async fn turn(&mut self, netlink: &mut Netlink) -> Result<(), DutyEnded> {
        // The task that reads the socket gets a chance to fill the channel.
        tokio::task::yield_now().await;
        self.hear(netlink).await;
        self.tell_links().await?;
        if !self.told_ready {
            self.news.send(KernelNews::Ready).await?;
            self.told_ready = true;
        }
        if let Some(newer) = self.slot.swap(None) {
            self.desired = Some(newer);
        }
        let Some(desired) = self.desired.clone() else { return Ok(()) };
        self.count_losses(&desired);
        let desired = self.converge(netlink, desired).await;
        self.tell(&desired).await?;
        self.tell_links().await
    }

    async fn hear(&mut self, netlink: &mut Netlink) {
        while let Some(message) = netlink.waiting() {
            if !self.take_in(&message) {
                self.resync(netlink).await;
            }
        }
    }

    fn count_losses(&mut self, desired: &Desired) {
        let (observed, up) = (self.mirror.observed(), self.mirror.up());
        let lost = self.held.iter().filter(|place| !observed.contains_key(*place));
        // With its interface an address goes by itself.
        for place in lost.filter(|place| up.contains(&place.0)) {
            match self.converger.lost(desired, place, now()) {
                Loss::Expected => {}
                Loss::PutBack => {
                    self.to_put_back.insert(place.clone());
                }
                Loss::GivenUp => tracing::warn!(
                    interface = %place.0,
                    address = %place.1,
                    "the address was removed too often and is left alone"
                ),
            }
        }
    }

    /// Carries out what is to be done, and takes over newer wishes meanwhile.
    async fn converge(&mut self, netlink: &mut Netlink, mut desired: Arc<Desired>) -> Arc<Desired> {
        self.refused.clear();
        for _ in 0..PASSES {
            let (observed, up) = (self.mirror.observed(), self.mirror.up());
            let mut operations = self.converger.operations(&desired, &observed, &up, now());
            operations.retain(|operation| !self.refused.contains_key(place(operation)));
            self.ledger.write(self.converger.ledger());
            let mut newer = None;
            for group in operations.chunks(GROUP) {
                self.carry_out(netlink, group).await;
                newer = self.slot.swap(None);
                if newer.is_some() {
                    break;
                }
            }
            match newer.or_else(|| self.slot.swap(None)) {
                Some(newer) => {
                    self.desired = Some(Arc::clone(&newer));
                    desired = newer;
                }
                None => break,
            }
        }
        desired
    }

    async fn carry_out(&mut self, netlink: &Netlink, group: &[Operation]) {
        let index = |operation: &Operation| self.mirror.index(&place(operation).0);
        let known = group.iter().filter_map(|it| Some((index(it)?, it)));
        let requests =
            known.map(|(index, it)| async move { (index, it, netlink.carry_out(index, it).await) });
        let outcomes = join_all(requests).await;
        for (index, operation, outcome) in outcomes {
            match outcome {
                Outcome::Done => self.mirror.carried_out(index, operation, true),
                Outcome::AlreadySo => self.mirror.carried_out(index, operation, false),
                Outcome::Refused(reason) => self.refuse(place(operation), reason),
            }
        }
    }

    fn refuse(&mut self, place: &Place, reason: String) {
        tracing::warn!(interface = %place.0, address = %place.1, reason, "the kernel refused");
        self.refused.insert(place.clone(), reason);
    }

    async fn tell(&mut self, desired: &Desired) -> Result<(), DutyEnded> {
        let observed = self.mirror.observed();
        let wanted = desired.addresses.iter().filter(|(_, wanted)| **wanted);
        self.held = wanted
            .map(|(place, _)| place)
            .filter(|place| observed.contains_key(*place))
            .cloned()
            .collect();
        for (interface, address) in std::mem::take(&mut self.to_put_back) {
            let place = (interface, address);
            if self.held.contains(&place) {
                let (interface, address) = place;
                self.news.send(KernelNews::PutBack { interface, address }).await?;
            }
        }
        let missing = self.converger.missing(desired, &observed).into_iter();
        let failed: Vec<Failure> = missing.map(|place| self.failure(place)).collect();
        let state = (desired.generation, failed);
        if self.told.as_ref() != Some(&state) {
            let (generation, failed) = state.clone();
            self.told = Some(state);
            self.news.send(KernelNews::Converged { generation, failed }).await?;
        }
        Ok(())
    }

    fn failure(&self, place: Place) -> Failure {
        let given_up = || "it was removed by others too often".to_owned();
        let reason = self.refused.get(&place).cloned();
        let reason = reason.or_else(|| self.converger.has_given_up(&place).then(given_up));
        Failure { place, reason }
    }

    async fn tell_links(&mut self) -> Result<(), DutyEnded> {
        // Where there are marks they tell, so that an owner's own address, which
        // is a virtual one too, stays a source.
        let listed = |place: &Place| !self.marks && self.converger.ledger().contains(place);
        let links = self.mirror.links(listed);
        let gone: Vec<InterfaceName> =
            self.told_links.keys().filter(|name| !links.contains_key(*name)).cloned().collect();
        for name in gone {
            self.told_links.remove(&name);
            self.news.send(KernelNews::LinkGone(name)).await?;
        }
        for (name, link) in links {
            if self.told_links.get(&name) != Some(&link) {
                self.told_links.insert(name, link.clone());
                self.news.send(KernelNews::Link(link)).await?;
            }
        }
        Ok(())
    }
}

fn place(operation: &Operation) -> &Place {
    match operation {
        Operation::Add(place) | Operation::Remove(place) => place,
    }
}
