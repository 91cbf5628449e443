//! A collector of traces: takes OTLP over gRPC and writes a line for each span.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

/// A span as it arrived.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Span {
    /// `service.name` of the program.
    pub service: String,
    /// Name of the span.
    pub name: String,
    /// Trace, as hex digits.
    pub trace: String,
    /// The span, as hex digits.
    pub id: String,
    /// Its parent; empty: none.
    pub parent: String,
}

struct Collector(Mutex<File>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(spans);
        let mut file = self.0.lock().expect("nobody panics with the file");
        for span in spans {
            let line = serde_json::to_string(&span).map_err(|error| fail(&error))?;
            writeln!(file, "{line}").map_err(|error| fail(&error))?;
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn fail(error: &dyn std::error::Error) -> Status {
    Status::internal(error.to_string())
}

fn spans(resource: ResourceSpans) -> Vec<Span> {
    let attributes = resource.resource.unwrap_or_default().attributes;
    let service = attributes
        .iter()
        .find(|attribute| attribute.key == "service.name")
        .and_then(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(name) => Some(name.clone()),
            Value::BoolValue(_)
            | Value::IntValue(_)
            | Value::DoubleValue(_)
            | Value::ArrayValue(_)
            | Value::KvlistValue(_)
            | Value::BytesValue(_)
            | Value::StringValueStrindex(_) => None,
        })
        .unwrap_or_default();
    let of_scopes = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
    of_scopes
        .map(|span| Span {
            service: service.clone(),
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Collects into `file` until the process ends.
///
/// # Errors
///
/// The address or the file can't be had.
pub async fn collect(listen: SocketAddr, file: &Path) -> Result<()> {
    let file = File::create(file).with_context(|| format!("can't make {}", file.display()))?;
    tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(Mutex::new(file))))
        .serve(listen)
        .await?;
    Ok(())
}

/// The spans that a collector wrote so far.
///
/// # Errors
///
/// The file is not one of [`collect`].
pub fn read(file: &Path) -> Result<Vec<Span>> {
    let text = std::fs::read_to_string(file)?;
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
