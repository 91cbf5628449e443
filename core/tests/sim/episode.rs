//! What is done to a cluster, and what must be true afterwards.

use std::time::Duration;

use ha_core::Rules;
use ha_model::status::VrrpState;

use super::Violation;
use super::cluster::Cluster;

/// Faults in one story.
const EPISODES: usize = 6;
/// Story lines kept for a violation.
const HISTORY: usize = 60;

/// Something that is done to a cluster that has one master.
#[derive(Clone, Copy, Debug)]
enum Fault {
    CrashMaster,
    StopMaster,
    CrashAny,
    Restart,
    RestartInPlace,
    Partition,
    Storm,
    LossWithinLimits,
    Sleep,
    LinkCut,
    Quiet,
}

const FAULTS: [Fault; 11] = [
    Fault::CrashMaster,
    Fault::StopMaster,
    Fault::CrashAny,
    Fault::Restart,
    Fault::RestartInPlace,
    Fault::Partition,
    Fault::Storm,
    Fault::LossWithinLimits,
    Fault::Sleep,
    Fault::LinkCut,
    Fault::Quiet,
];

/// A cluster and its fate.
pub(crate) struct Story {
    seed: u64,
    cluster: Cluster,
}

impl Story {
    /// Runs the story of a seed.
    ///
    /// # Errors
    ///
    /// The first invariant that does not hold.
    pub(crate) fn run(seed: u64, rules: Rules) -> Result<(), Violation> {
        let mut story = Self { seed, cluster: Cluster::new(seed, rules) };
        story.tell().map_err(|what| Violation {
            seed: story.seed,
            setup: story.cluster.setup.clone(),
            history: {
                let history = &story.cluster.history;
                history[history.len().saturating_sub(HISTORY)..].to_vec()
            },
            what,
        })
    }

    fn tell(&mut self) -> Result<(), String> {
        let spread = self.cluster.interval * 5;
        for node in 0..self.cluster.nodes.len() {
            self.cluster.start(node, false);
            let pause = self.cluster.rng.span(spread);
            self.cluster.pass(pause);
        }
        self.settle(self.cluster.longest_down())?;
        for _ in 0..EPISODES {
            let fault = self.cluster.rng.pick(&FAULTS);
            self.cluster.note(format!("-- {fault:?}"));
            self.inject(fault)?;
            for node in 0..self.cluster.nodes.len() {
                if self.cluster.nodes[node].core.is_none() {
                    self.cluster.start(node, false);
                }
            }
            self.settle(self.cluster.longest_down())?;
        }
        Ok(())
    }

    fn inject(&mut self, fault: Fault) -> Result<(), String> {
        let down = self.cluster.longest_down();
        let interval = self.cluster.interval;
        let master = self.cluster.masters()[0];
        let any = self.cluster.rng.index(self.cluster.nodes.len());
        match fault {
            Fault::CrashMaster => {
                self.cluster.crash(master);
                self.settle(down)
            }
            Fault::StopMaster => {
                self.cluster.stop(master);
                // Priority 0: the skew is all that is waited for.
                self.settle(down - interval * 3)
            }
            Fault::CrashAny => {
                self.cluster.crash(any);
                self.settle(down)
            }
            Fault::Restart => {
                self.cluster.crash(any);
                let pause = self.cluster.rng.span(down * 2);
                self.cluster.pass(pause);
                self.cluster.start(any, false);
                self.settle(down)
            }
            Fault::RestartInPlace => self.restart_in_place(master),
            Fault::Partition => self.partition(),
            Fault::Storm => self.storm(),
            Fault::LossWithinLimits => self.loss_within_limits(),
            Fault::Sleep => {
                let span = self.cluster.rng.span(down * 3);
                self.cluster.sleep(any, span);
                self.cluster.pass(span);
                // A master that slept lets go first, and may come back after
                // its master-down interval.
                self.settle(down * 2)
            }
            Fault::LinkCut => {
                self.cluster.set_link(any, false);
                let span = self.cluster.rng.span(down * 2);
                self.cluster.pass(span);
                self.cluster.set_link(any, true);
                self.settle(down)
            }
            Fault::Quiet => self.nothing_changes(down * 3, "nothing was done"),
        }
    }

    /// One more advert and addresses that stay: nobody else moves.
    fn restart_in_place(&mut self, master: usize) -> Result<(), String> {
        self.cluster.stop_for_restart(master);
        if self.cluster.interval < Duration::from_secs(1) {
            // Too fast for a process to start in: it has stopped for good.
            self.cluster.nodes[master].holds = false;
            return self.settle(self.cluster.longest_down() - self.cluster.interval * 3);
        }
        let before = self.cluster.transitions;
        let pause = self.cluster.rng.span(self.cluster.interval * 29 / 10);
        self.cluster.pass(pause);
        self.cluster.start(master, true);
        self.cluster.pass(self.cluster.longest_down());
        // The new process reports that it goes on.
        if self.cluster.transitions != before + 1 || self.cluster.masters() != [master] {
            return Err("a restart in place moved the address".to_owned());
        }
        if !self.cluster.nodes[master].holds {
            return Err("a restart in place lost the address".to_owned());
        }
        Ok(())
    }

    fn partition(&mut self) -> Result<(), String> {
        let size = self.cluster.nodes.len();
        for node in 0..size {
            let side = self.cluster.rng.range(0, 3);
            self.cluster.wire.weather.sides[node] = u8::try_from(side).expect("a small number");
        }
        let sides = self.cluster.wire.weather.sides.clone();
        self.cluster.note(format!("sides {sides:?}"));
        self.cluster.pass(self.cluster.longest_down() * 2);
        for side in 0..3 {
            let members: Vec<_> = (0..size).filter(|node| sides[*node] == side).collect();
            let masters = self.cluster.masters();
            let here = masters.iter().filter(|master| members.contains(master)).count();
            if here != usize::from(!members.is_empty()) {
                return Err(format!("side {side} has {here} masters"));
            }
        }
        self.cluster.wire.weather.sides = vec![0; size];
        self.heal()
    }

    /// Anything may happen, then the wire is good again.
    fn storm(&mut self) -> Result<(), String> {
        let calm = self.cluster.wire.weather.clone();
        let weather = &mut self.cluster.wire.weather;
        weather.loss = self.cluster.rng.range(10, 95);
        weather.loss_in_a_row = u32::MAX;
        weather.doubled = 20;
        weather.reorders = true;
        weather.delay.1 = self.cluster.interval * 2;
        self.cluster.pass(self.cluster.longest_down() * 5);
        self.cluster.wire.weather = calm;
        // What is on its way still arrives late.
        self.cluster.pass(self.cluster.interval * 2);
        // A last word that was lost leaves wrong caches until the next
        // announcement; that much loss can do.
        self.cluster.announced_by = None;
        self.heal()
    }

    /// All sides see each other from now on.
    fn heal(&mut self) -> Result<(), String> {
        self.cluster.note("healed".to_owned());
        let before = self.cluster.masters();
        let rank = |story: &Self, node: &usize| story.cluster.nodes[*node].rank();
        let best = before.iter().map(|node| rank(self, node)).max();
        self.cluster.noticed = 0;
        self.settle(self.cluster.longest_down())?;
        let left = self.cluster.masters()[0];
        if best.is_some_and(|best| rank(self, &left) < best) {
            return Err(format!("{left} is left, and is not the best of {before:?}"));
        }
        if before.len() > 1 && self.cluster.noticed == 0 {
            return Err("nobody told of two masters".to_owned());
        }
        Ok(())
    }

    /// Two adverts lost in a row, doubled ones, and less jitter than the
    /// shortest skew are nothing that a backup may act on.
    fn loss_within_limits(&mut self) -> Result<(), String> {
        let calm = self.cluster.wire.weather.clone();
        self.cluster.wire.weather.delay = (self.cluster.interval / 100, self.cluster.interval / 90);
        // The last advert before the first loss has to be of that jitter too.
        self.cluster.pass(self.cluster.interval * 2);
        let weather = &mut self.cluster.wire.weather;
        weather.loss = 60;
        weather.loss_in_a_row = 2;
        weather.doubled = 20;
        self.nothing_changes(self.cluster.interval * 40, "two adverts in a row were lost")?;
        self.cluster.wire.weather = calm;
        Ok(())
    }

    fn nothing_changes(&mut self, span: Duration, why: &str) -> Result<(), String> {
        let before = self.cluster.transitions;
        self.cluster.pass(span);
        if self.cluster.transitions == before {
            Ok(())
        } else {
            Err(format!("a change of state because {why}"))
        }
    }

    /// After `bound`, an interval and what the wire takes there is one master
    /// among the running nodes, and no more change after that.
    fn settle(&mut self, bound: Duration) -> Result<(), String> {
        let slack = self.cluster.interval + self.cluster.max_delay * 8;
        self.cluster.pass(bound + slack);
        self.one_master()?;
        self.nothing_changes(self.cluster.longest_down() * 2, "nothing was done")?;
        self.one_master()?;
        let master = self.cluster.masters()[0];
        match self.cluster.announced_by {
            Some(node) if node != master => {
                Err(format!("{master} is master, and the last to announce was {node}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn one_master(&self) -> Result<(), String> {
        let masters = self.cluster.masters();
        let [master] = masters[..] else {
            return Err(format!("masters are {masters:?}"));
        };
        for node in self.cluster.running() {
            let holds = self.cluster.nodes[node].holds;
            if holds != (node == master) {
                return Err(format!("{master} is master, and {node} holds the address: {holds}"));
            }
            let status = self.cluster.status(node);
            if node != master && status.state != VrrpState::Backup {
                return Err(format!("{node} is {:?}", status.state));
            }
        }
        Ok(())
    }
}
