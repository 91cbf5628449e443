//! Logs and traces of every program: one set-up, one way to carry a trace
//! across gRPC.
//!
//! Logs go to standard error. Spans are exported over OTLP where a collector is
//! configured; without one they still carry identities, so that a trace that
//! begins at `hactl apply` can be followed from log to log.

mod logs;
pub mod trace;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use logs::{LogFormat, UnknownLogFormat};

/// How a program wants to be observed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the program: `service.name` of its spans.
    pub service: &'static str,
    /// Version of the program: `service.version` of its spans.
    pub version: &'static str,
    /// Which run of the program, such as the node's name: `service.instance.id`.
    pub instance: Option<String>,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// What is logged unless `RUST_LOG` says otherwise, such as `info`.
    pub log_level: &'static str,
    /// Collector (`http://host:4317`) that spans go to; none: not exported.
    pub otlp: Option<String>,
}

/// Why observation could not begin.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The collector's address, or what the exporter makes of it.
    #[error("can't export traces to {endpoint}")]
    Exporter {
        /// As configured.
        endpoint: String,
        /// Why.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// A process has one subscriber, and this one has it already.
    #[error("logging is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Keeps the exporter; call [`Telemetry::shutdown`] before the program ends, or
/// the last spans are lost.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

/// Sets up logs and traces of this process. Call it once, inside the runtime
/// that the exporter's connection shall live in.
///
/// # Errors
///
/// See [`InitError`]. A collector that does not answer is none: spans are
/// dropped until it does.
pub fn init(settings: &Settings) -> Result<Telemetry, InitError> {
    opentelemetry::global::set_text_map_propagator(
        opentelemetry_sdk::propagation::TraceContextPropagator::new(),
    );
    let provider = provider(settings)?;
    let tracer = provider.tracer(settings.service);
    tracing_subscriber::registry()
        .with(logs::layer(settings.log_format).with_filter(logs::filter(settings.log_level)))
        .with(
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_filter(tracing_subscriber::filter::filter_fn(trace::is_ours)),
        )
        .try_init()
        .map_err(InitError::Twice)?;
    Ok(Telemetry { provider })
}

fn provider(settings: &Settings) -> Result<SdkTracerProvider, InitError> {
    let mut attributes = vec![opentelemetry::KeyValue::new("service.version", settings.version)];
    if let Some(instance) = &settings.instance {
        attributes.push(opentelemetry::KeyValue::new("service.instance.id", instance.clone()));
    }
    let resource =
        Resource::builder().with_service_name(settings.service).with_attributes(attributes).build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = &settings.otlp else { return Ok(builder.build()) };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| InitError::Exporter { endpoint: endpoint.clone(), source })?;
    Ok(builder.with_batch_exporter(exporter).build())
}

impl Telemetry {
    /// Exports what is left and ends the exporter. Blocks up to its time limit
    /// on a thread of its own, so the runtime goes on.
    pub async fn shutdown(self) {
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown()).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the last spans were not exported"),
            Err(error) => tracing::debug!(%error, "the exporter's end did not finish"),
        }
    }
}
