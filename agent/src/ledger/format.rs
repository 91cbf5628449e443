//! A sealed file: one line that says what follows and its digest, then the
//! content.

use ha_model::ids::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of this form; another one is not read.
const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
struct Seal {
    version: u32,
    sha256: Digest,
}

/// Why a sealed file can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("the first line is not a seal")]
    NoSeal,
    #[error("the seal can't be read")]
    Seal(#[source] serde_json::Error),
    #[error("the file is of version {0}, this build reads version {VERSION}")]
    Version(u32),
    #[error("the content does not match its digest")]
    Digest,
    #[error("the content can't be read")]
    Content(#[source] serde_json::Error),
}

/// `content` with its seal.
pub(super) fn seal<T: Serialize>(content: &T) -> Vec<u8> {
    let mut body = serde_json::to_vec(content)
        .expect("ledger and secrets have text keys only, so they are valid JSON");
    body.push(b'\n');
    let seal = Seal { version: VERSION, sha256: Digest::of(&body) };
    let mut bytes = serde_json::to_vec(&seal).expect("a seal has text keys only");
    bytes.push(b'\n');
    bytes.append(&mut body);
    bytes
}

/// The content of a sealed file.
pub(super) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, OpenError> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(OpenError::NoSeal)?;
    let (line, body) = (&bytes[..end], &bytes[end + 1..]);
    let seal: Seal = serde_json::from_slice(line).map_err(OpenError::Seal)?;
    if seal.version != VERSION {
        return Err(OpenError::Version(seal.version));
    }
    if Digest::of(body) != seal.sha256 {
        return Err(OpenError::Digest);
    }
    serde_json::from_slice(body).map_err(OpenError::Content)
}
