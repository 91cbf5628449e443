//! Manifests: strict YAML in, checked objects out, every mistake at once.

mod cluster;
mod decode;
mod emit;
mod mask;
mod object;
mod set;
pub(crate) mod spec;
mod suggest;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;

pub(crate) use decode::Spanned;
pub(crate) use set::Body;
pub use set::{Kind, ManifestSet, Object, ObjectKey, ObjectKeyError};
pub(crate) use suggest::suggest;

use crate::diagnostic::{Collector, Diagnostic, Source, Span};
use crate::explain::codes;
use crate::fleet::Fleet;
use crate::ids::SecretName;
use crate::secret::{SecretRef, SecretValue, Secrets};
use decode::Decoder;
use object::Parsed;

/// A file of manifests, as a user gave it.
#[derive(Clone, Eq, PartialEq)]
pub struct ManifestFile {
    /// How the user knows it, usually a path.
    pub name: String,
    /// Its text: documents of YAML or JSON. May hold the values of secrets.
    pub text: String,
}

impl fmt::Debug for ManifestFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManifestFile").field(&self.name).finish()
    }
}

/// What happens to objects that the files do not name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// They stay as they are.
    Merge,
    /// They go: the files are the whole wish.
    Replace,
}

/// What is known of secrets before a change.
#[derive(Clone, Debug, Default)]
pub struct KnownSecrets {
    /// Values, by name and version.
    pub values: Secrets,
    /// Highest version ever given to a name, also where the value is erased by
    /// now: a version never means two values.
    pub highest: BTreeMap<SecretName, u64>,
}

impl KnownSecrets {
    /// The version of `value`: that of the newest known value if it is the
    /// same, else the next one. `stored` is the version that the fleet has now,
    /// 0 for none.
    fn version_of(&self, name: &SecretName, value: &SecretValue, stored: u64) -> u64 {
        let newest = self.values.iter().rfind(|(known, _)| known.name == *name);
        let known = newest.map_or(0, |(known, _)| known.version);
        let highest = self.highest.get(name).copied().unwrap_or(0).max(stored);
        match newest {
            Some((_, newest)) if newest == value && known >= highest => known,
            Some(_) | None => known.max(highest) + 1,
        }
    }
}

/// The result of a good change.
#[derive(Clone, Debug)]
pub struct Checked {
    /// All objects as they are to be from now on.
    pub set: ManifestSet,
    /// The fleet that they describe.
    pub fleet: Fleet,
    /// The values of secrets that the files held, with their versions.
    pub secrets: Secrets,
    /// Remarks; nothing that must be mended.
    pub warnings: Vec<Diagnostic>,
}

/// Reads `files`, joins them with `base` and checks the whole.
///
/// # Errors
/// Every mistake of every file, in the order of files and places, then the
/// remarks. Nothing else has happened.
pub fn check(
    base: &ManifestSet,
    files: &[ManifestFile],
    mode: Mode,
    known: &KnownSecrets,
) -> Result<Checked, Vec<Diagnostic>> {
    let mut out = Collector::default();
    let mut set = match mode {
        Mode::Merge => base.clone(),
        Mode::Replace => ManifestSet::default(),
    };
    let mut secrets = Secrets::new();
    let mut places: BTreeMap<ObjectKey, Span> = BTreeMap::new();
    let mut given = Vec::new();
    for file in files {
        for parsed in parse_text(&file.name, &file.text, &mut out) {
            let key = parsed.object.key().clone();
            if let Some(first) = places.get(&key) {
                let message = format!("{key} is given twice");
                let diagnostic = Diagnostic::error(codes::OBJECT_TWICE, &parsed.at, message);
                out.push(diagnostic.related(first));
                continue;
            }
            given.push(key.clone());
            places.insert(key, parsed.at.clone());
            set.insert(settle(parsed, base, known, &mut secrets, &mut out));
        }
    }
    if places.is_empty() && out.is_empty() {
        out.push(Diagnostic::whole(codes::NO_OBJECT, "the files hold no object"));
    }
    let mut values = known.values.clone();
    values.extend(secrets.clone());
    // Where two objects do not fit, the mistake is in the one that is new.
    let stays = set.iter().filter(|object| !places.contains_key(object.key()));
    let new = given.iter().filter_map(|key| set.get(key));
    let fleet = crate::fleet::build(stays.chain(new), &values, &mut out);
    let ((mut set, fleet, secrets), warnings) = out.finish((set, fleet, secrets))?;
    for key in &given {
        set.forget_source(key);
    }
    Ok(Checked { set, fleet, secrets, warnings })
}

/// Gives a Secret its version, and takes its value aside.
fn settle(
    parsed: Parsed,
    base: &ManifestSet,
    known: &KnownSecrets,
    secrets: &mut Secrets,
    out: &mut Collector,
) -> Object {
    let Parsed { object, value, .. } = parsed;
    let spec = match &object.body {
        Body::Secret(spec) => spec,
        Body::Cluster(_) => return object,
    };
    let stored = base.get(object.key()).and_then(|stored| match &stored.body {
        Body::Secret(spec) => spec.version.as_ref().map(|version| version.value),
        Body::Cluster(_) => None,
    });
    if let Some(given) = &spec.version {
        if stored != Some(given.value) {
            let message =
                format!("version {} of {} is not the present one", given.value, object.key());
            out.error(codes::SECRET_VERSION, &given.span, message);
        }
        return object;
    }
    let Some(value) = value else { return object };
    let name = spec.name.value.clone();
    let version = known.version_of(&name, &value, stored.unwrap_or(0));
    secrets.insert(SecretRef { name, version }, value);
    let mut spec = spec.clone();
    spec.version = Some(Spanned { value: version, span: spec.at.clone() });
    Object::secret(object.key().clone(), spec)
}

/// How an object is named that was read from its canonical text.
fn stored_name(key: &ObjectKey) -> String {
    format!("stored/{key}")
}

/// The objects of one text; what is not good goes to `out`.
fn parse_text(name: &str, text: &str, out: &mut Collector) -> Vec<Parsed> {
    let documents = yaml::read(text);
    let source = Source::new(name, mask::mask(text, &documents.roots));
    for problem in documents.problems {
        let span = Span::new(source.clone(), problem.range);
        let mut diagnostic = Diagnostic::error(problem.code, &span, problem.message);
        if let Some(related) = problem.related {
            diagnostic = diagnostic.related(&Span::new(source.clone(), related));
        }
        out.push(diagnostic);
    }
    let mut decoder = Decoder { source: &source, out, mistakes: 0 };
    documents.roots.iter().filter_map(|root| object::decode(&mut decoder, root)).collect()
}

#[cfg(test)]
mod tests;
