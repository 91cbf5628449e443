//! What lies between the nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ha_core::Timestamp;

use super::rng::Rng;

/// How the wire treats datagrams now.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) delay: (Duration, Duration),
    /// Lost, in percent.
    pub(crate) loss: u64,
    /// Most datagrams lost in a row from one node to another.
    pub(crate) loss_in_a_row: u32,
    /// Delivered twice, in percent.
    pub(crate) doubled: u64,
    /// Datagrams from one node to another may pass each other.
    pub(crate) reorders: bool,
    /// Side of each node; datagrams stay on one side.
    pub(crate) sides: Vec<u8>,
}

/// A datagram on its way, or something else that comes at its time.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    Datagram {
        to: usize,
        source: IpAddr,
        destination: IpAddr,
        message: Vec<u8>,
    },
    /// The kernel of a node shows a generation. `life` is the process that
    /// asked for it.
    Converged {
        node: usize,
        life: u32,
        generation: u64,
    },
}

/// The wire and what is on it.
pub(crate) struct Wire {
    pub(crate) weather: Weather,
    queue: BTreeMap<(Timestamp, u64), Arrival>,
    sent: u64,
    lost_in_a_row: BTreeMap<(usize, usize), u32>,
    last_at: BTreeMap<(usize, usize), Timestamp>,
}

impl Wire {
    pub(crate) fn new(weather: Weather) -> Self {
        Self {
            weather,
            queue: BTreeMap::new(),
            sent: 0,
            lost_in_a_row: BTreeMap::new(),
            last_at: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, at: Timestamp, arrival: Arrival) {
        self.sent += 1;
        self.queue.insert((at, self.sent), arrival);
    }

    /// When the next one arrives.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        self.queue.pop_first().map(|(_, arrival)| arrival)
    }

    /// Sends one datagram from node `from` to node `to`.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        rng: &mut Rng,
        (from, to): (usize, usize),
        (source, destination): (IpAddr, IpAddr),
        message: &[u8],
    ) {
        if self.weather.sides[from] != self.weather.sides[to] {
            return;
        }
        let lost = self.lost_in_a_row.entry((from, to)).or_default();
        if rng.percent(self.weather.loss) && *lost < self.weather.loss_in_a_row {
            *lost += 1;
            return;
        }
        *lost = 0;
        let copies = if rng.percent(self.weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let (low, high) = self.weather.delay;
            let mut at = now + low + rng.span(high - low);
            let last = self.last_at.entry((from, to)).or_default();
            if !self.weather.reorders {
                at = at.max(*last);
            }
            *last = at.max(*last);
            let message = message.to_vec();
            self.push(at, Arrival::Datagram { to, source, destination, message });
        }
    }
}
