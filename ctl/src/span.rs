//! The trace of this command: one root span, carried to the controller in the
//! metadata of every request.

use std::future::Future;

use ha_telemetry::{LogFormat, Settings, Telemetry};
use tonic::metadata::MetadataMap;
use tracing::Instrument as _;

/// The tracing of a command, until [`Tracing::end`].
pub(crate) struct Tracing {
    telemetry: Option<Telemetry>,
    exported: bool,
}

/// Begins tracing. A collector that can't be used must not keep a command from
/// its work, and a second subscriber in one process is a test's.
pub(crate) fn start(otlp: Option<&str>) -> Tracing {
    let telemetry = ha_telemetry::init(&Settings {
        service: "hactl",
        version: env!("CARGO_PKG_VERSION"),
        instance: None,
        log_format: LogFormat::Text,
        // What goes wrong is shown as an error of hactl, not as a log line.
        log_level: "off",
        otlp: otlp.map(str::to_owned),
    });
    match telemetry {
        Ok(telemetry) => Tracing { telemetry: Some(telemetry), exported: otlp.is_some() },
        Err(_) => Tracing { telemetry: None, exported: false },
    }
}

impl Tracing {
    /// Trace ids can be looked up in a collector.
    pub(crate) fn is_exported(&self) -> bool {
        self.exported
    }

    /// Sends the last spans.
    pub(crate) async fn end(self) {
        if let Some(telemetry) = self.telemetry {
            telemetry.shutdown().await;
        }
    }
}

/// Runs a command in its root span.
pub(crate) async fn in_root<F: Future>(command: F) -> F::Output {
    command.instrument(tracing::info_span!("hactl")).await
}

/// Puts the context of the current span into `metadata`.
pub(crate) fn inject(metadata: &mut MetadataMap) {
    ha_telemetry::trace::inject(metadata);
}

/// Identity of the current trace, 32 hex digits.
pub(crate) fn trace_id() -> Option<String> {
    ha_telemetry::trace::current_trace_id()
}
