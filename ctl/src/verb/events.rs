//! `hactl events`.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};

use super::get::missing;
use crate::app::{App, only};
use crate::cli::Events;
use crate::client::{Controller, EventFilter, is_lost};
use crate::error::{Failure, Outcome, Stop};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::view::Event;

/// How many are shown unless somebody says.
const DEFAULT_LIMIT: u32 = 50;
/// Between two attempts to reach a controller that went away.
const RETRY: Duration = Duration::from_secs(1);

/// Shows events of the fleet, or with `--local` those in this node's spool.
pub(super) async fn run(args: Events, app: &mut App) -> Outcome {
    only(app, "events", &[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    match app.global.local.clone() {
        Some(_) if !args.names.is_empty() || args.since.is_some() => {
            Err(Failure::usage("an agent's spool has its own events only; --limit narrows it")
                .into())
        }
        Some(socket) => {
            let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
            let stream = app.agent(&socket).events(limit, args.follow).await?;
            match print_all(stream, args.follow, app).await? {
                End::Done(_) | End::Interrupted => Ok(Exit::Ok),
                End::Lost(_, failure) => Err(failure.into()),
            }
        }
        None => fleet(args, app).await,
    }
}

/// How a stream of events ended, with the last index that was printed.
enum End {
    Done(u64),
    Lost(u64, Failure),
    Interrupted,
}

async fn fleet(args: Events, app: &mut App) -> Outcome {
    let mut controller = app.controller()?;
    let mut filter = filter(&args, &mut controller, app.now_us()).await?;
    loop {
        let end = match controller.events(filter.clone()).await {
            Ok(stream) => print_all(stream, args.follow, app).await?,
            // What was never reached is an error; what was, comes back.
            Err(failure) if filter.after_index == 0 => return Err(failure.into()),
            Err(failure) => End::Lost(filter.after_index, failure),
        };
        let (last, why) = match end {
            End::Interrupted => return Ok(Exit::Ok),
            End::Done(_) if !args.follow => return Ok(Exit::Ok),
            End::Done(last) => (last, "the controller closed the connection".to_owned()),
            End::Lost(last, failure) if args.follow && is_lost(&failure) => (last, failure.what),
            End::Lost(_, failure) => return Err(failure.into()),
        };
        // No event twice, none left out: the history has an order.
        filter.after_index = filter.after_index.max(last);
        filter.limit = 0;
        app.out.note(&format!("{why}; trying again"))?;
        let interrupt = app.interrupt.clone();
        // Cancel-safe: nothing is held by either side.
        tokio::select! {
            () = interrupt.wait() => return Ok(Exit::Ok),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn filter(
    args: &Events,
    controller: &mut Controller,
    now_us: u64,
) -> Result<EventFilter, Failure> {
    let default = if args.since.is_some() { 0 } else { DEFAULT_LIMIT };
    let mut filter = EventFilter {
        since_us: args.since.map_or(0, |since| since.wall_clock_us(now_us)),
        limit: args.limit.unwrap_or(default),
        follow: args.follow,
        ..EventFilter::default()
    };
    if args.names.is_empty() {
        return Ok(filter);
    }
    let list = controller.nodes().await?;
    let nodes: BTreeSet<&str> = list.iter().map(|node| node.name.as_str()).collect();
    let clusters: BTreeSet<&str> = list.iter().map(|node| node.cluster.as_str()).collect();
    for name in &args.names {
        let (as_cluster, as_node) = (name.strip_prefix("cluster/"), name.strip_prefix("node/"));
        let cluster = if as_node.is_some() { None } else { Some(as_cluster.unwrap_or(name)) };
        let node = if as_cluster.is_some() { None } else { Some(as_node.unwrap_or(name)) };
        let cluster = cluster.filter(|cluster| clusters.contains(cluster));
        let node = node.filter(|node| nodes.contains(node));
        if cluster.is_none() && node.is_none() {
            let known = clusters.iter().chain(&nodes).copied();
            return Err(missing("cluster or node", name, known).then("hactl get nodes"));
        }
        filter.clusters.extend(cluster.map(str::to_owned));
        filter.nodes.extend(node.map(str::to_owned));
    }
    Ok(filter)
}

/// Prints events as they come; or, if they end by themselves, in the order in
/// which they happened, because nodes that were away deliver theirs later.
async fn print_all(
    stream: impl Stream<Item = Result<Event, Failure>>,
    follow: bool,
    app: &mut App,
) -> Result<End, Stop> {
    let mut held = Vec::new();
    let end = receive(stream, app, |event, app| {
        if follow {
            return print(&event, app);
        }
        held.push(event);
        Ok(())
    })
    .await?;
    for event in as_it_happened(held) {
        print(&event, app)?;
    }
    Ok(end)
}

/// By the nodes' clocks; but the order of one node's events is never changed,
/// even if its clock was stepped back between them.
fn as_it_happened(events: Vec<Event>) -> Vec<Event> {
    let mut latest: BTreeMap<String, u64> = BTreeMap::new();
    let mut timed: Vec<_> = events
        .into_iter()
        .map(|event| {
            let at = latest.entry(event.node.clone()).or_default();
            *at = event.at_us.max(*at);
            (*at, event)
        })
        .collect();
    timed.sort_by_key(|(at, _)| *at);
    timed.into_iter().map(|(_, event)| event).collect()
}

async fn receive(
    stream: impl Stream<Item = Result<Event, Failure>>,
    app: &mut App,
    mut take: impl FnMut(Event, &mut App) -> std::io::Result<()>,
) -> Result<End, Stop> {
    let mut stream = pin!(stream);
    let interrupt = app.interrupt.clone();
    let mut interrupted = pin!(interrupt.wait());
    let mut last = 0;
    loop {
        // Cancel-safe: a stream keeps what was not taken.
        let event = tokio::select! {
            () = &mut interrupted => return Ok(End::Interrupted),
            event = stream.next() => event,
        };
        match event {
            Some(Ok(event)) => {
                last = event.index.unwrap_or(last);
                take(event, app)?;
            }
            Some(Err(failure)) => return Ok(End::Lost(last, failure)),
            None => return Ok(End::Done(last)),
        }
    }
}

fn print(event: &Event, app: &mut App) -> std::io::Result<()> {
    match app.out.format {
        Format::Json | Format::Yaml => app.out.streamed("Event", event),
        Format::Table | Format::Wide | Format::Name => {
            app.out.line(&output::event_line(event, app.out.symbols))?;
            app.out.flush()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(node: &str, sequence: u64, at_us: u64) -> Event {
        Event {
            index: None,
            stored_at_us: None,
            node: node.to_owned(),
            spool_epoch: 1,
            sequence,
            at_us,
            boot_us: at_us,
            what: serde_json::Value::Null,
            traceparent: None,
        }
    }

    #[test]
    fn late_news_stands_where_it_happened_and_no_node_is_put_out_of_order() {
        // b delivers late; the clock of a was stepped back before its third.
        let stored = vec![
            event("a", 1, 10),
            event("a", 2, 30),
            event("a", 3, 5),
            event("b", 1, 20),
            event("b", 2, 40),
        ];
        let shown: Vec<_> = as_it_happened(stored)
            .into_iter()
            .map(|event| format!("{}{}", event.node, event.sequence))
            .collect();
        assert_eq!(shown, ["a1", "b1", "a2", "a3", "b2"]);
    }
}
