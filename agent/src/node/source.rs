//! Plans from files of this machine: a directory of manifests, compiled here
//! by the same code as on a controller, or a plan document.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ha_durable::atomic::{self, ReadError};
use ha_model::compile::compile;
use ha_model::diagnostic::{Style, render};
use ha_model::document::PlanDocument;
use ha_model::ids::NodeName;
use ha_model::manifest::{KnownSecrets, ManifestFile, ManifestSet, Mode, check};
use ha_model::secret::Secrets;

use super::message::{GivenSecret, OfflinePlan, Source};

/// Most bytes of one file.
const LIMIT: u64 = 16 << 20;

/// The files do not make a plan for this node.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file can't be read.
    #[error("can't read the plan of this machine")]
    Read(#[source] ReadError),
    /// A file is not there.
    #[error("there is no file {}", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// The directory can't be listed.
    #[error("can't list {}", path.display())]
    List {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not text.
    #[error("{} is not UTF-8", path.display())]
    Text {
        /// Which.
        path: PathBuf,
    },
    /// Manifests with mistakes, drawn for people.
    #[error("the manifests have mistakes:\n{0}")]
    Manifests(String),
    /// Good manifests that do not name this node.
    #[error("no cluster of the manifests has the node {node}; nodes there: {there}")]
    NotThere {
        /// This node.
        node: NodeName,
        /// The others, for a misspelt name.
        there: String,
    },
    /// A plan document that can't be run.
    #[error("{} can't be run: {code}", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// Stable code of the error.
        code: &'static str,
        /// What is wrong with it.
        #[source]
        source: ha_model::document::PlanError,
    },
    /// The secrets' file.
    #[error("{} is not a list of secrets", path.display())]
    Secrets {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// Where the plan of this machine comes from.
#[derive(Clone, Debug)]
pub enum Files {
    /// Manifests, of which this node is one.
    Manifest {
        /// Directory with `*.yaml`, `*.yml` and `*.json`.
        dir: PathBuf,
        /// This node.
        node: NodeName,
    },
    /// A plan document.
    Plan {
        /// The document.
        plan: PathBuf,
        /// Values of its secrets: a JSON list of `name`, `version`, `value`.
        secrets: Option<PathBuf>,
    },
}

/// Reads the files, as often as somebody asks. Blocks on the disk.
#[derive(Debug)]
pub struct OfflineSource {
    files: Files,
    /// So that a changed value gets another version than the one before.
    known: KnownSecrets,
}

impl OfflineSource {
    /// The plan in `files`, on a node that holds `secrets` already.
    #[must_use]
    pub fn new(files: Files, secrets: Secrets) -> Self {
        Self { files, known: KnownSecrets { values: secrets, ..KnownSecrets::default() } }
    }

    /// Reads the files anew.
    ///
    /// # Errors
    /// See [`SourceError`]; all mistakes of manifests at once.
    pub fn read(&mut self) -> Result<(NodeName, OfflinePlan), SourceError> {
        match &self.files {
            Files::Manifest { dir, node } => {
                let files = manifests(dir)?;
                let (plan, secrets) = from_manifests(&files, node, &self.known)?;
                self.known.values.extend(
                    secrets.iter().map(|given| (given.secret.clone(), given.value.clone())),
                );
                let source = Source::Manifest;
                Ok((node.clone(), OfflinePlan { source, document: plan, secrets }))
            }
            Files::Plan { plan: path, secrets } => {
                let document = read(path)?;
                let parsed = PlanDocument::parse(&document).map_err(|source| {
                    let code = source.code().as_str();
                    SourceError::Plan { path: path.clone(), code, source }
                })?;
                let secrets = secrets.as_deref().map_or(Ok(Vec::new()), read_secrets)?;
                let source = Source::Plan;
                Ok((parsed.plan.node, OfflinePlan { source, document, secrets }))
            }
        }
    }
}

fn from_manifests(
    files: &[ManifestFile],
    node: &NodeName,
    known: &KnownSecrets,
) -> Result<(Vec<u8>, Vec<GivenSecret>), SourceError> {
    let checked = check(&ManifestSet::default(), files, Mode::Replace, known)
        .map_err(|mistakes| SourceError::Manifests(render(&mistakes, Style::Plain)))?;
    if !checked.warnings.is_empty() {
        tracing::info!("remarks on the manifests:\n{}", render(&checked.warnings, Style::Plain));
    }
    let plans = compile(&checked.fleet);
    let plan = plans.get(node).ok_or_else(|| SourceError::NotThere {
        node: node.clone(),
        there: plans.keys().map(NodeName::as_str).collect::<Vec<_>>().join(", "),
    })?;
    let secrets = plan
        .secrets()
        .into_iter()
        .filter_map(|secret| {
            let value = checked.secrets.get(&secret).or_else(|| known.values.get(&secret))?;
            Some(GivenSecret { value: value.clone(), secret })
        })
        .collect();
    Ok((plan.to_document(), secrets))
}

/// The manifests in `dir`, in the order of their names.
fn manifests(dir: &Path) -> Result<Vec<ManifestFile>, SourceError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = list().map_err(|source| SourceError::List { path: dir.to_owned(), source })?;
    paths.retain(|path| {
        path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension == *known)
        })
    });
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.display().to_string();
            let text = String::from_utf8(read(&path)?).map_err(|_| SourceError::Text { path })?;
            Ok(ManifestFile { name, text })
        })
        .collect()
}

fn read_secrets(path: &Path) -> Result<Vec<GivenSecret>, SourceError> {
    let bytes = zeroize::Zeroizing::new(read(path)?);
    serde_json::from_slice(&bytes)
        .map_err(|source| SourceError::Secrets { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    atomic::read_limited(path, LIMIT)
        .map_err(SourceError::Read)?
        .ok_or_else(|| SourceError::Missing { path: path.to_owned() })
}

#[cfg(test)]
mod tests;
