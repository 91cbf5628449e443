//! Names and numbers that identify things. Each is parsed once and then known
//! to be good.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than `limit` bytes.
    #[error("is {length} characters long, at most {limit} are allowed")]
    TooLong {
        /// Bytes in the text.
        length: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A character that this kind of name may not have.
    #[error("has the character {character:?} at position {position}")]
    Character {
        /// The offending character.
        character: char,
        /// Its position, from 1.
        position: usize,
    },
}

/// RFC 1123 label: lower-case letters, digits and inner hyphens, at most 63.
fn check_label(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 63 {
        return Err(NameError::TooLong { length: text.len(), limit: 63 });
    }
    let last = text.len() - 1;
    for (index, character) in text.char_indices() {
        let inner = index != 0 && index != last;
        let good = character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || (inner && (character == '-' || character == '.'));
        if !good {
            return Err(NameError::Character { character, position: index + 1 });
        }
    }
    Ok(())
}

/// Interface name as Linux takes it (`dev_valid_name`): 1 to 15 bytes, no
/// slash, colon, white space or control character, not `.` or `..`.
fn check_interface(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 15 {
        return Err(NameError::TooLong { length: text.len(), limit: 15 });
    }
    if text == "." || text == ".." {
        return Err(NameError::Character { character: '.', position: 1 });
    }
    for (index, character) in text.char_indices() {
        if !character.is_ascii_graphic() || character == '/' || character == ':' {
            return Err(NameError::Character { character, position: index + 1 });
        }
    }
    Ok(())
}

/// Name of a virtual router: what keepalived users write (`VI_1`), so letters
/// of both cases, digits, `_`, `-` and `.`, at most 63.
fn check_instance(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 63 {
        return Err(NameError::TooLong { length: text.len(), limit: 63 });
    }
    for (index, character) in text.char_indices() {
        if !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')) {
            return Err(NameError::Character { character, position: index + 1 });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A node of the fleet. Unique in the fleet.
    NodeName,
    check_label
);
name!(
    /// The nodes that share virtual addresses. Unique in the fleet.
    ClusterName,
    check_label
);
name!(
    /// A virtual router. Unique in its cluster.
    InstanceName,
    check_instance
);
name!(
    /// A secret. Unique in the fleet.
    SecretName,
    check_label
);
name!(
    /// A layer 2 network that clusters may share. Virtual router ids are unique
    /// in it.
    SegmentName,
    check_label
);
name!(
    /// A network interface of a node.
    InterfaceName,
    check_interface
);

/// A number is outside its range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} is {value}, allowed are {low} to {high}")]
pub struct RangeError {
    /// What the number is.
    pub what: &'static str,
    /// The number given.
    pub value: i128,
    /// Lowest allowed.
    pub low: i128,
    /// Highest allowed.
    pub high: i128,
}

/// Virtual router identifier, 1 to 255 (RFC 9568 §5.2.3).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u64", into = "u8")]
pub struct Vrid(u8);

impl Vrid {
    /// The number on the wire.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u64> for Vrid {
    type Error = RangeError;

    fn try_from(value: u64) -> Result<Self, RangeError> {
        match u8::try_from(value) {
            Ok(id @ 1..) => Ok(Self(id)),
            Ok(0) | Err(_) => Err(RangeError {
                what: "virtual router id",
                value: value.into(),
                low: 1,
                high: 255,
            }),
        }
    }
}

impl From<Vrid> for u8 {
    fn from(vrid: Vrid) -> Self {
        vrid.0
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Configured priority of a virtual router, 1 to 255 (RFC 9568 §5.2.4). 255 is
/// the owner of the addresses; 0 exists on the wire only and is never a wish.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u64", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The owner of the addresses (RFC 9568 §5.2.4).
    pub const OWNER: Self = Self(255);
    /// The default of a backup (RFC 9568 §5.2.4).
    pub const DEFAULT: Self = Self(100);

    /// The number on the wire.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u64> for Priority {
    type Error = RangeError;

    fn try_from(value: u64) -> Result<Self, RangeError> {
        match u8::try_from(value) {
            Ok(priority @ 1..) => Ok(Self(priority)),
            Ok(0) | Err(_) => {
                Err(RangeError { what: "priority", value: value.into(), low: 1, high: 255 })
            }
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// SHA-256 of a document's bytes, as received. Text form: 64 hex digits.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// A text is not 64 hex digits.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not a sha256 digest (64 hexadecimal digits)")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(DigestError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| DigestError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Life of a controller's store. A restored store is a new epoch, drawn at
/// random, so that its numbers can't be mistaken for those of the old one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Number of a node's plan; rises with every changed plan of that node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of one plan of one node. Agents order plans by generation alone.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct PlanId {
    /// Life of the store that the generation was drawn from.
    pub epoch: Epoch,
    /// Order among the plans of this node.
    pub generation: Generation,
    /// Digest of the document's bytes.
    pub digest: Digest,
}

/// One state of the fleet's wish. Information only where it meets an agent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct RevisionId {
    /// Life of the store.
    pub epoch: Epoch,
    /// Order of the revisions of one epoch, from 1.
    pub number: u64,
    /// Digest of the wish.
    pub digest: Digest,
}
