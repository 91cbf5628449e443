//! Events.

use ha_model::event::{FleetEvent, NodeEvent, SpoolPosition};

use super::{ConvertError, non_empty, parse};
use crate::v1;

impl From<SpoolPosition> for v1::SpoolPosition {
    fn from(position: SpoolPosition) -> Self {
        let SpoolPosition { spool_epoch, sequence } = position;
        Self { spool_epoch, sequence }
    }
}

impl From<v1::SpoolPosition> for SpoolPosition {
    fn from(message: v1::SpoolPosition) -> Self {
        let v1::SpoolPosition { spool_epoch, sequence } = message;
        Self { spool_epoch, sequence }
    }
}

impl From<NodeEvent> for v1::NodeEvent {
    fn from(event: NodeEvent) -> Self {
        let NodeEvent { at_us, boot_us, kind, traceparent } = event;
        let kind_json = serde_json::to_string(&kind)
            .expect("every kind of event has text keys only, so it is valid JSON");
        Self { at_us, boot_us, kind_json, traceparent: traceparent.unwrap_or_default() }
    }
}

impl TryFrom<v1::NodeEvent> for NodeEvent {
    type Error = ConvertError;

    fn try_from(message: v1::NodeEvent) -> Result<Self, ConvertError> {
        let v1::NodeEvent { at_us, boot_us, kind_json, traceparent } = message;
        let kind = serde_json::from_str(&kind_json)
            .map_err(|error| ConvertError::invalid("NodeEvent.kind_json")(Box::new(error)))?;
        Ok(Self { at_us, boot_us, kind, traceparent: non_empty(traceparent) })
    }
}

impl From<FleetEvent> for v1::FleetEvent {
    fn from(event: FleetEvent) -> Self {
        let FleetEvent { index, stored_at_us, node, position, event } = event;
        Self {
            index,
            stored_at_us,
            node: node.into(),
            position: Some(position.into()),
            event: Some(event.into()),
        }
    }
}

impl TryFrom<v1::FleetEvent> for FleetEvent {
    type Error = ConvertError;

    fn try_from(message: v1::FleetEvent) -> Result<Self, ConvertError> {
        let v1::FleetEvent { index, stored_at_us, node, position, event } = message;
        Ok(Self {
            index,
            stored_at_us,
            node: parse("FleetEvent.node", &node)?,
            position: position.ok_or(ConvertError::Missing("FleetEvent.position"))?.into(),
            event: event.ok_or(ConvertError::Missing("FleetEvent.event"))?.try_into()?,
        })
    }
}
