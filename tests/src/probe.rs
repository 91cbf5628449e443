//! What a client sees: one datagram a millisecond to the virtual address, and
//! who answers.
//!
//! Each node runs [`echo`], which answers with the node's name. A datagram's
//! answer may come from any address of the node, so the answer's path needs no
//! virtual address and only the way to the service is measured.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Port of [`echo`].
pub const PORT: u16 = 7007;

/// What a client saw.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seen {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams without an answer.
    pub lost: u64,
    /// Longest run of sends without an answer, in microseconds: from the last
    /// answered send before it to the first one after it.
    pub outage_us: u64,
    /// Nodes that answered, each time another one did.
    pub served_by: Vec<String>,
}

/// Answers every datagram with `name`, until the process ends.
///
/// # Errors
///
/// The socket can't be had or fails.
pub fn echo(listen: SocketAddr, name: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(listen)?;
    let mut buffer = [0; 64];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let mut answer = buffer[..length].to_vec();
        answer.extend_from_slice(name.as_bytes());
        // The way back may be cut: the client then counts a loss.
        let _ = socket.send_to(&answer, from);
    }
}

/// Sends a datagram to `target` every `period` for `span`, and tells what
/// became of them.
///
/// # Errors
///
/// The socket can't be had.
pub fn probe(target: SocketAddr, period: Duration, span: Duration) -> io::Result<Seen> {
    probe_while(target, period, |elapsed| elapsed < span)
}

/// The same for as long as `more` says so, which is asked before each datagram
/// with the time since the first.
///
/// # Errors
///
/// The socket can't be had.
pub fn probe_while(
    target: SocketAddr,
    period: Duration,
    more: impl Fn(Duration) -> bool,
) -> io::Result<Seen> {
    let any: SocketAddr = if target.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (socket, done) = (socket.try_clone()?, Arc::clone(&done));
        std::thread::spawn(move || answers(&socket, &done))
    };
    let begin = Instant::now();
    let mut sent_at = Vec::new();
    while more(begin.elapsed()) {
        let next = period * u32::try_from(sent_at.len()).unwrap_or(u32::MAX);
        std::thread::sleep(next.saturating_sub(begin.elapsed()));
        let sequence = u64::try_from(sent_at.len()).unwrap_or(u64::MAX);
        sent_at.push(begin.elapsed());
        // No route while the link is away: the datagram is lost, as it is for
        // any client.
        let _ = socket.send_to(&sequence.to_be_bytes(), target);
    }
    std::thread::sleep(Duration::from_millis(200));
    done.store(true, Ordering::Relaxed);
    let answers = reader.join().expect("the reader does not panic");
    Ok(judge(&sent_at, &answers))
}

/// Sequence numbers and names, in the order of arrival.
fn answers(socket: &UdpSocket, done: &AtomicBool) -> Vec<(u64, String)> {
    let mut answers = Vec::new();
    let mut buffer = [0; 128];
    while !done.load(Ordering::Relaxed) {
        let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
        let Some((sequence, name)) = buffer[..length].split_first_chunk::<8>() else { continue };
        let name = String::from_utf8_lossy(name).into_owned();
        answers.push((u64::from_be_bytes(*sequence), name));
    }
    answers
}

fn judge(sent_at: &[Duration], answers: &[(u64, String)]) -> Seen {
    let mut by: Vec<Option<&str>> = vec![None; sent_at.len()];
    for (sequence, name) in answers {
        let slot = usize::try_from(*sequence).ok().and_then(|index| by.get_mut(index));
        if let Some(slot) = slot {
            *slot = Some(name);
        }
    }
    let mut seen = Seen { sent: u64::try_from(by.len()).unwrap_or(u64::MAX), ..Seen::default() };
    let mut last_answered = Duration::ZERO;
    for (answer, at) in by.iter().zip(sent_at) {
        let Some(name) = answer else {
            seen.lost += 1;
            continue;
        };
        let gap = at.saturating_sub(last_answered);
        seen.outage_us = seen.outage_us.max(u64::try_from(gap.as_micros()).unwrap_or(u64::MAX));
        last_answered = *at;
        if seen.served_by.last().is_none_or(|last| last != name) {
            seen.served_by.push((*name).to_owned());
        }
    }
    let end = sent_at.last().copied().unwrap_or_default();
    let tail = end.saturating_sub(last_answered);
    seen.outage_us = seen.outage_us.max(u64::try_from(tail.as_micros()).unwrap_or(u64::MAX));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: &[u64]) -> Vec<Duration> {
        millis.iter().copied().map(Duration::from_millis).collect()
    }

    fn by(answers: &[(u64, &str)]) -> Vec<(u64, String)> {
        answers.iter().map(|(sequence, name)| (*sequence, (*name).to_owned())).collect()
    }

    #[test]
    fn the_longest_gap_between_answered_sends_is_the_outage() {
        let seen = judge(&at(&[0, 1, 2, 3, 4, 5]), &by(&[(0, "a"), (1, "a"), (4, "b"), (5, "b")]));
        assert_eq!(seen.outage_us, 3_000);
        assert_eq!(seen.lost, 2);
        assert_eq!(seen.served_by, ["a", "b"]);
    }

    #[test]
    fn silence_to_the_end_counts() {
        let seen = judge(&at(&[0, 1, 2, 3]), &by(&[(0, "a")]));
        assert_eq!((seen.outage_us, seen.lost), (3_000, 3));
    }

    #[test]
    fn late_answers_count_where_they_were_asked() {
        let seen = judge(&at(&[0, 1, 2]), &by(&[(2, "a"), (0, "a"), (1, "a")]));
        assert_eq!((seen.outage_us, seen.lost), (1_000, 0));
    }
}
