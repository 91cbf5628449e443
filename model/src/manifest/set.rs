//! The objects of a fleet in their canonical form: what a revision holds.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::emit::emit;
use super::spec::{ClusterSpec, SecretSpec};
use super::yaml::{Key, Node, Value};
use crate::diagnostic::{Collector, Diagnostic};
use crate::fleet::Fleet;
use crate::ids::Digest;
use crate::secret::Secrets;

/// What an object is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Nodes that share virtual addresses.
    Cluster,
    /// A value that no document holds.
    Secret,
}

impl Kind {
    /// As manifests write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Secret => "Secret",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not the name of an object, such as `Cluster/fra-web`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not KIND/NAME, with a kind of Cluster or Secret")]
pub struct ObjectKeyError;

impl FromStr for Kind {
    type Err = ObjectKeyError;

    fn from_str(text: &str) -> Result<Self, ObjectKeyError> {
        [Self::Cluster, Self::Secret]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(ObjectKeyError)
    }
}

/// Identity of an object. Text form: `Cluster/fra-web`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    /// What it is.
    pub kind: Kind,
    /// Its name, unique among its kind.
    pub name: String,
}

impl ObjectKey {
    /// The object of this kind and name.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for ObjectKey {
    type Err = ObjectKeyError;

    fn from_str(text: &str) -> Result<Self, ObjectKeyError> {
        let (kind, name) = text.split_once('/').ok_or(ObjectKeyError)?;
        Ok(Self::new(kind.parse()?, name))
    }
}

/// What an object says.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Cluster(ClusterSpec),
    Secret(SecretSpec),
}

/// An object in its canonical form, without the values of secrets.
#[derive(Clone, Debug)]
pub struct Object {
    key: ObjectKey,
    text: String,
    digest: Digest,
    pub(crate) body: Body,
}

impl Object {
    pub(super) fn new(key: ObjectKey, text: String, body: Body) -> Self {
        let digest = Digest::of(text.as_bytes());
        Self { key, text, digest, body }
    }

    /// The Secret `spec`; without a version its text is not final.
    pub(super) fn secret(key: ObjectKey, spec: SecretSpec) -> Self {
        let text = secret_text(&spec);
        Self::new(key, text, Body::Secret(spec))
    }

    /// Kind and name.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Canonical YAML, under 1 MiB. Equal objects have equal texts; the value
    /// of a secret is not in it, its version is.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Digest of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

fn secret_text(spec: &SecretSpec) -> String {
    let node = |value| Node { value, range: 0..0 };
    let text = |text: &str| node(Value::Text(text.to_owned()));
    let map = |entries: Vec<(&str, Node)>| {
        let key = |name: &str| Key { text: name.to_owned(), range: 0..0 };
        node(Value::Map(entries.into_iter().map(|(name, node)| (key(name), node)).collect()))
    };
    let mut metadata = vec![("name", text(spec.name.value.as_str()))];
    if !spec.labels.is_empty() {
        let labels = spec.labels.iter().map(|(key, value)| (key.as_str(), text(value)));
        metadata.push(("labels", map(labels.collect())));
    }
    let version = spec.version.as_ref().map_or(0, |version| version.value);
    emit(&map(vec![
        ("apiVersion", text("ha/v1")),
        ("kind", text(Kind::Secret.as_str())),
        ("metadata", map(metadata)),
        ("spec", map(vec![("version", node(Value::Int(version.into())))])),
    ]))
}

/// The objects of a fleet, by kind and name. A revision is such a set.
#[derive(Clone, Debug, Default)]
pub struct ManifestSet {
    objects: BTreeMap<ObjectKey, Arc<Object>>,
}

impl PartialEq for ManifestSet {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for ManifestSet {}

impl ManifestSet {
    /// The objects whose canonical texts are `texts`, as [`Object::text`] gave
    /// them.
    ///
    /// # Errors
    /// The mistakes, if a text is not that of a good object: the store is
    /// damaged, or was written by a newer build. Whether the objects fit
    /// together is not looked at; [`ManifestSet::fleet`] does that.
    pub fn from_texts<T: AsRef<str>>(
        texts: impl IntoIterator<Item = (ObjectKey, T)>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut out = Collector::default();
        let mut set = Self::default();
        for (key, text) in texts {
            for parsed in super::parse_text(&super::stored_name(&key), text.as_ref(), &mut out) {
                set.insert(parsed.object);
            }
        }
        out.finish(set).map(|(set, _)| set)
    }

    pub(super) fn insert(&mut self, object: Object) {
        self.objects.insert(object.key.clone(), Arc::new(object));
    }

    /// Ties an object to its canonical text, in place of the user's file: that
    /// is gone, or another one, when the object is looked at again.
    pub(super) fn forget_source(&mut self, key: &ObjectKey) {
        let Some(object) = self.objects.get(key) else { return };
        let mut out = Collector::default();
        let again = super::parse_text(&super::stored_name(key), &object.text, &mut out);
        for parsed in again {
            self.insert(parsed.object);
        }
    }

    /// The object of this key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key).map(Arc::as_ref)
    }

    /// Every object, clusters first, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Object> {
        self.objects.values().map(Arc::as_ref)
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Removes an object; false if there is none of this key. Whether the
    /// others can do without is for [`ManifestSet::fleet`] to say.
    pub fn delete(&mut self, key: &ObjectKey) -> bool {
        self.objects.remove(key).is_some()
    }

    /// Digest of the wish: over the keys and digests of all objects in order.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let lines: String =
            self.iter().map(|object| format!("{} {}\n", object.key, object.digest)).collect();
        Digest::of(lines.as_bytes())
    }

    /// The fleet that the objects describe, and remarks on it. `secrets` holds
    /// the values that are known; one that is not known is not checked.
    ///
    /// # Errors
    /// Every way in which the objects do not fit together.
    pub fn fleet(&self, secrets: &Secrets) -> Result<(Fleet, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut out = Collector::default();
        let fleet = crate::fleet::build(self.iter(), secrets, &mut out);
        out.finish(fleet)
    }
}
