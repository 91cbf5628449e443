//! A trace across programs: W3C trace context in gRPC metadata and messages.

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};
use tonic::metadata::{MetadataMap, MetadataValue};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Name of the W3C header, and of the field that carries it in messages.
const TRACEPARENT: &str = "traceparent";

/// Spans of the transport would trace the export of traces.
pub(crate) fn is_ours(metadata: &tracing::Metadata<'_>) -> bool {
    const TRANSPORT: [&str; 5] = ["h2", "hyper", "hyper_util", "tonic", "tower"];
    let target = metadata.target();
    let root = target.split("::").next().unwrap_or(target);
    !TRANSPORT.contains(&root)
}

/// Trace context of the current span as a `traceparent` text; `None` outside
/// any span.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    traceparent(&Span::current())
}

/// Trace context of `span` as a `traceparent` text.
#[must_use]
pub fn traceparent(span: &Span) -> Option<String> {
    let mut carrier = Carrier(None);
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&span.context(), &mut carrier);
    });
    carrier.0
}

/// Trace id of the current span, 32 hex digits, for people to search by.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    let context = Span::current().context();
    let id = context.span().span_context().trace_id();
    (id != opentelemetry::TraceId::INVALID).then(|| id.to_string())
}

/// Makes `span` a child of the span that `traceparent` names. A text that names
/// none is ignored: a broken trace must not break what it observes.
pub fn set_parent(span: &Span, traceparent: &str) {
    let context = remote(traceparent);
    if context.span().span_context().is_valid() && span.set_parent(context).is_err() {
        tracing::debug!("the span has begun, so its trace stays its own");
    }
}

/// Links `span` to the span that `traceparent` names: caused by it, not part
/// of it.
pub fn add_link(span: &Span, traceparent: &str) {
    let context = remote(traceparent);
    if context.span().span_context().is_valid() {
        span.add_link(context.span().span_context().clone());
    }
}

/// For a tonic client: sends the current trace context along.
///
/// # Errors
///
/// None; the signature is that of a tonic interceptor.
pub fn propagate(mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
    inject(request.metadata_mut());
    Ok(request)
}

/// Writes the current trace context into gRPC metadata.
pub fn inject(metadata: &mut MetadataMap) {
    if let Some(value) = current_traceparent()
        && let Ok(value) = MetadataValue::try_from(value)
    {
        metadata.insert(TRACEPARENT, value);
    }
}

/// For a tonic server: the span of one call, child of the caller's.
#[must_use]
pub fn server_span<B>(request: &http::Request<B>) -> Span {
    let method = request.uri().path();
    let span = tracing::info_span!("rpc", otel.name = method, otel.kind = "server", method);
    if let Some(parent) = header(request.headers()) {
        set_parent(&span, parent);
    }
    span
}

fn header(headers: &HeaderMap) -> Option<&str> {
    headers.get(TRACEPARENT)?.to_str().ok()
}

fn remote(traceparent: &str) -> Context {
    global::get_text_map_propagator(|propagator| {
        propagator.extract(&Carrier(Some(traceparent.to_owned())))
    })
}

/// Holds the one header that we carry.
struct Carrier(Option<String>);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0.as_deref()).flatten()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn with_tracing(test: impl FnOnce()) {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber =
            tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        tracing::subscriber::with_default(subscriber, test);
    }

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_child_has_the_trace_of_its_parent_and_a_span_of_its_own() {
        with_tracing(|| {
            let span = tracing::info_span!("child");
            set_parent(&span, CALLER);
            let _entered = span.enter();
            let ours = current_traceparent().unwrap();
            assert_eq!(ours[..36], CALLER[..36]);
            assert_ne!(ours, CALLER);
            assert_eq!(current_trace_id().unwrap(), "0af7651916cd43dd8448eb211c80319c");
        });
    }

    #[test]
    fn a_call_carries_the_trace_to_the_server_span() {
        with_tracing(|| {
            let client = tracing::info_span!("client");
            let request = client.in_scope(|| propagate(tonic::Request::new(())).unwrap());
            let header = request.metadata().get(TRACEPARENT).unwrap().to_str().unwrap().to_owned();
            let arrived = http::Request::builder()
                .uri("/ha.v1.Fleet/Status")
                .header(TRACEPARENT, &header)
                .body(())
                .unwrap();
            let server = server_span(&arrived);
            assert_eq!(traceparent(&server).unwrap()[..36], header[..36]);
        });
    }

    #[test]
    fn what_is_no_trace_context_is_ignored() {
        with_tracing(|| {
            let span = tracing::info_span!("alone");
            set_parent(&span, "00-zz");
            let _entered = span.enter();
            assert!(current_traceparent().is_some());
        });
    }

    #[test]
    fn outside_a_span_there_is_no_trace() {
        with_tracing(|| assert_eq!(current_traceparent(), None));
    }
}
