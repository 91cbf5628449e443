//! A batch of events on its way to the history.

use std::sync::Arc;
use std::time::Duration;

use ha_model::event::{EventKind, NodeEvent, SpoolPosition};
use ha_model::ids::NodeName;
use ha_proto::v1;

use super::Shared;
use crate::error_chain;

/// Between two tries when events can't be stored.
const RETRY: Duration = Duration::from_secs(1);

/// Stores a batch, however long it takes: the agent keeps its events until
/// they are acknowledged.
pub(super) async fn store(
    shared: Arc<Shared>,
    node: NodeName,
    batch: v1::EventBatch,
) -> v1::EventAck {
    let spool_epoch = batch.spool_epoch;
    let events: Vec<_> = batch
        .events
        .into_iter()
        .map(|spooled| {
            let position = SpoolPosition { spool_epoch, sequence: spooled.sequence };
            (position, event(spooled.event.unwrap_or_default()))
        })
        .collect();
    let mut told = false;
    loop {
        match shared.history.append(node.clone(), events.clone()).await {
            Ok(sequence) => return v1::EventAck { spool_epoch, sequence },
            Err(error) => {
                if !told {
                    let error = error_chain(&*error);
                    tracing::error!(%node, error, "events not stored; they wait on the node");
                }
                told = true;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// An event of a kind that this build does not know is kept as a gap that
/// holds its text: an older controller loses nothing.
fn event(event: v1::NodeEvent) -> NodeEvent {
    let (at_us, boot_us) = (event.at_us, event.boot_us);
    let text = event.kind_json.clone();
    NodeEvent::try_from(event).unwrap_or_else(|_| NodeEvent {
        at_us,
        boot_us,
        kind: EventKind::Gap {
            lost: 1,
            reason: format!("an event of a kind that this controller does not know: {text}"),
        },
        traceparent: None,
    })
}
