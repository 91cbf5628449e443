//! One document: `apiVersion`, `kind`, `metadata`, `spec`.

use super::cluster;
use super::decode::{Decoder, Spanned};
use super::emit::emit;
use super::set::{Body, Kind, Object, ObjectKey};
use super::spec::SecretSpec;
use super::yaml::{Key, Node, Value};
use crate::diagnostic::{Diagnostic, Span};
use crate::explain::codes;
use crate::ids::{ClusterName, SecretName};
use crate::secret::SecretValue;

/// Largest canonical text of an object; the store takes less than 1 MiB.
pub(crate) const MAX_OBJECT: usize = (1 << 20) - 1;
/// Longest value of a secret, in bytes.
const MAX_SECRET: usize = 4096;

/// An object as one document gave it.
pub(super) struct Parsed {
    pub(super) object: Object,
    /// Where its name stands.
    pub(super) at: Span,
    /// The value of a Secret.
    pub(super) value: Option<SecretValue>,
}

/// The object in `root`, as far as it is good.
pub(super) fn decode(decoder: &mut Decoder<'_>, root: &Node) -> Option<Parsed> {
    if !matches!(root.value, Value::Map(_)) {
        let span = decoder.span(&root.range);
        decoder.report(Diagnostic::error(
            codes::NOT_AN_OBJECT,
            &span,
            "a document must be a mapping with apiVersion, kind, metadata and spec",
        ));
        return None;
    }
    let fields = decoder.fields(root, "an object", &["apiVersion", "kind", "metadata", "spec"])?;
    if let Some(node) = decoder.required(&fields, "apiVersion") {
        api_version(decoder, node);
    }
    let kind = decoder.required(&fields, "kind").and_then(|node| kind(decoder, node));
    let metadata = decoder.required(&fields, "metadata");
    let spec = decoder.required(&fields, "spec");
    match kind? {
        Kind::Cluster => {
            let (name, labels) = self::metadata::<ClusterName>(decoder, metadata?, "a cluster");
            // Without a name the spec is still worth reading: all its mistakes
            // are shown at once.
            let nameless = name.is_none();
            let name = name.or_else(|| placeholder(decoder, root))?;
            let spec = cluster::decode(decoder, name.clone(), labels, spec?)?;
            if nameless {
                return None;
            }
            let key = ObjectKey::new(Kind::Cluster, name.value.as_str());
            let text = emit(root);
            check_size(decoder, &name.span, &text);
            let object = Object::new(key, text, Body::Cluster(spec));
            Some(Parsed { object, at: name.span, value: None })
        }
        Kind::Secret => secret(decoder, metadata?, spec?),
    }
}

fn placeholder(decoder: &Decoder<'_>, root: &Node) -> Option<Spanned<ClusterName>> {
    "unnamed".parse().ok().map(|name| decoder.spanned(name, root))
}

fn check_size(decoder: &mut Decoder<'_>, at: &Span, text: &str) {
    if text.len() > MAX_OBJECT {
        let message = format!("the object has {} bytes, at most {MAX_OBJECT}", text.len());
        decoder.report(Diagnostic::error(codes::OBJECT_TOO_LARGE, at, message));
    }
}

fn api_version(decoder: &mut Decoder<'_>, node: &Node) {
    if let Some(text) = decoder.text(node)
        && text != "ha/v1"
    {
        let span = decoder.span(&node.range);
        let message = format!("the apiVersion `{text}` is not known");
        decoder.report(Diagnostic::error(codes::API_VERSION, &span, message).hint("ha/v1"));
    }
}

fn kind(decoder: &mut Decoder<'_>, node: &Node) -> Option<Kind> {
    let text = decoder.text(node)?;
    if let Ok(kind) = text.parse() {
        return Some(kind);
    }
    let span = decoder.span(&node.range);
    let message = format!("the kind `{text}` is not known");
    let hint = match super::suggest::suggest(text, &["Cluster", "Secret"]) {
        Some(guess) => guess.hint,
        None => "Cluster or Secret".to_owned(),
    };
    decoder.report(Diagnostic::error(codes::UNKNOWN_KIND, &span, message).hint(hint));
    None
}

fn metadata<T: std::str::FromStr<Err = crate::ids::NameError>>(
    decoder: &mut Decoder<'_>,
    node: &Node,
    what: &str,
) -> (Option<Spanned<T>>, Vec<(String, String)>) {
    let Some(fields) = decoder.fields(node, "metadata", &["name", "labels"]) else {
        return (None, Vec::new());
    };
    let name = decoder.required(&fields, "name").and_then(|node| decoder.name(node, what));
    let mut labels = Vec::new();
    if let Some(node) = fields.get("labels") {
        for (key, value) in decoder.entries(node, "labels").unwrap_or_default() {
            labels.extend(label(decoder, key, value));
        }
    }
    labels.sort();
    (name, labels)
}

/// A label: both sides plain words of at most 63 characters, as selectors of
/// the command line need them.
fn label(decoder: &mut Decoder<'_>, key: &Key, node: &Node) -> Option<(String, String)> {
    let value = decoder.text(node)?;
    let good = |text: &str| {
        text.len() <= 63
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
    };
    for (text, range) in [(key.text.as_str(), &key.range), (value, &node.range)] {
        if !good(text) {
            let span = decoder.span(range);
            let message = format!("`{text}` is not a label: letters, digits and ._/- only");
            decoder.report(Diagnostic::error(codes::BAD_NAME, &span, message));
            return None;
        }
    }
    Some((key.text.clone(), value.to_owned()))
}

fn secret(decoder: &mut Decoder<'_>, metadata: &Node, spec: &Node) -> Option<Parsed> {
    let (name, labels) = self::metadata::<SecretName>(decoder, metadata, "a secret");
    let entries = decoder.entries(spec, "the spec of a Secret").unwrap_or_default();
    let mut value = None;
    let mut version = None;
    let mut at = decoder.span(&spec.range);
    for (key, node) in entries {
        match key.text.as_str() {
            "value" => {
                at = decoder.span(&node.range);
                value = secret_value(decoder, node);
            }
            "version" => {
                let number = decoder.number(node, 1, u64::MAX);
                version = number.map(|number| decoder.spanned(number, node));
            }
            // The name of the field may be a part of the value: it is not told.
            _ => {
                let span = decoder.span(&key.range);
                let message = "unknown field in the spec of a Secret";
                decoder.report(
                    Diagnostic::error(codes::UNKNOWN_FIELD, &span, message)
                        .hint("value, with a blank after the colon"),
                );
            }
        }
    }
    let has = |name| entries.iter().any(|(key, _)| key.text == name);
    if has("value") && has("version") {
        let message = "`value` and `version` in one Secret";
        decoder.report(
            Diagnostic::error(codes::EXCLUSIVE_FIELDS, &at, message)
                .hint("keep value; the version is given by the controller"),
        );
    } else if !has("value") && !has("version") && entries.is_empty() {
        let span = decoder.span(&spec.range);
        let message = "the field `value` is missing";
        decoder.report(Diagnostic::error(codes::MISSING_FIELD, &span, message));
    }
    if let Some(version) = &version {
        at = version.span.clone();
    }
    let name = name?;
    let key = ObjectKey::new(Kind::Secret, name.value.as_str());
    let span = name.span.clone();
    let spec = SecretSpec { name, labels, version, at };
    let object = Object::secret(key, spec);
    Some(Parsed { object, at: span, value })
}

fn secret_value(decoder: &mut Decoder<'_>, node: &Node) -> Option<SecretValue> {
    let text = decoder.text(node)?;
    if text.is_empty() || text.len() > MAX_SECRET {
        let span = decoder.span(&node.range);
        let message = format!("the value has {} bytes, allowed are 1 to {MAX_SECRET}", text.len());
        decoder.report(Diagnostic::error(codes::BAD_LENGTH, &span, message));
        return None;
    }
    Some(SecretValue::new(text.as_bytes().to_vec()))
}
