//! Contexts: which controller, and who we are to it. They lie in one JSON
//! file that only its owner can read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Failure, nearest};
use crate::exit::Exit;

/// One controller and how to be known to it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Name of the fleet.
    pub fleet: String,
    /// Address of the controller, `HOST:PORT`.
    pub controller: String,
    /// Certificate of the fleet's CA, PEM.
    pub ca: PathBuf,
    /// The user's certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// The file of contexts.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the context that is used when none is named.
    #[serde(default)]
    pub current: String,
    /// All contexts, by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

impl Config {
    /// Reads the file; one that is not there holds no contexts.
    ///
    /// # Errors
    /// It can't be read, or is not what hactl writes.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::new("E5003", Exit::Error, "can't read the file of contexts")
                    .at(path.display())
                    .caused_by(&error));
            }
        };
        // By way of an object: serde takes a list for a struct as well.
        let object = serde_json::from_str(&text).map(serde_json::Value::Object);
        object.and_then(serde_json::from_value).map_err(|error| {
            Failure::new("E5003", Exit::Error, "the file of contexts is damaged")
                .at(path.display())
                .caused_by(&error)
                .then("mend it, or move it away and type hactl context add")
        })
    }

    /// Writes the file, whole or not at all, mode 0600.
    ///
    /// # Errors
    /// The disk says no.
    pub fn save(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other);
        text.and_then(|text| write_private(path, format!("{text}\n").as_bytes())).map_err(|error| {
            Failure::new("E5013", Exit::Error, "can't write the file of contexts")
                .at(path.display())
                .caused_by(&error)
        })
    }

    /// The context called `name`, or the current one.
    ///
    /// # Errors
    /// There is none.
    pub fn pick(&self, name: Option<&str>) -> Result<(&str, &Context), Failure> {
        let Some(name) = name.or(Some(self.current.as_str()).filter(|name| !name.is_empty()))
        else {
            return Err(Failure::new("E5002", Exit::Usage, "no context is chosen").then(
                if self.contexts.is_empty() {
                    "hactl context add NAME …, or hactl init on the controller's machine"
                } else {
                    "hactl context use NAME; hactl context list shows them"
                },
            ));
        };
        match self.contexts.get_key_value(name) {
            Some((name, context)) => Ok((name, context)),
            None => Err(self.unknown(name)),
        }
    }

    /// That there is no context called `name`.
    #[must_use]
    pub fn unknown(&self, name: &str) -> Failure {
        let failure =
            Failure::new("E5002", Exit::Usage, format!("there is no context called {name:?}"));
        match nearest(name, self.contexts.keys().map(String::as_str)) {
            Some(near) => failure.then(format!("did you mean {near:?}?")),
            None => failure.then("hactl context list"),
        }
    }
}

/// Replaces the file at `path`; nobody but the owner can read it.
///
/// # Errors
/// The disk says no; what was there stays.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let fresh = path.with_extension(format!("new.{}", std::process::id()));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let replaced = written.and_then(|()| fs::rename(&fresh, path));
    if replaced.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&fresh);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn lab() -> Context {
        Context {
            fleet: "lab".into(),
            controller: "127.0.0.1:7443".into(),
            ca: "ca.pem".into(),
            cert: "me.pem".into(),
            key: "me.key".into(),
        }
    }

    #[test]
    fn survives_a_round_and_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deep/config.json");
        let mut config = Config { current: "lab".into(), ..Config::default() };
        config.contexts.insert("lab".into(), lab());
        config.save(&path).expect("saves");
        assert_eq!(Config::load(&path).expect("loads"), config);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().expect("a parent")).expect("lists").count(), 1);
    }

    #[test]
    fn no_file_is_no_context() {
        let config = Config::load(Path::new("/nonexistent/hactl.json")).expect("empty");
        let failure = config.pick(None).expect_err("none is there");
        assert_eq!((&*failure.code, failure.exit), ("E5002", Exit::Usage));
    }

    #[test]
    fn a_damaged_file_is_not_overwritten_by_defaults() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.json");
        for text in ["{", "[]", r#"{"contexts":{"a":{"fleet":"x"}}}"#, r#"{"curent":"a"}"#] {
            fs::write(&path, text).expect("writes");
            assert_eq!(&*Config::load(&path).expect_err(text).code, "E5003");
        }
    }

    #[test]
    fn suggests_the_nearest_context() {
        let config = Config { current: String::new(), contexts: [("prod".into(), lab())].into() };
        let failure = config.pick(Some("prdo")).expect_err("no such context");
        assert_eq!(failure.next.as_deref(), Some("did you mean \"prod\"?"));
    }
}
