//! Join tokens: 256 random bits, shown once, stored as their SHA-256.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Tells people, and programs that look for leaked secrets, what it is.
const PREFIX: &str = "hajoin-";

/// A text is not a join token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not a join token ({PREFIX} and 64 hexadecimal digits)")]
pub struct TokenError;

/// A join token. Redacted in Debug; wiped when dropped.
#[derive(Clone)]
pub struct JoinToken(Zeroizing<[u8; 32]>);

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl JoinToken {
    pub(super) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// The token as text, for the one who asked for it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 64));
        text.push_str(PREFIX);
        for byte in self.0.iter() {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Where the store keeps it: under its hash. Nobody can make the token
    /// from that, and looking it up compares nothing byte by byte.
    pub(super) fn key(&self) -> String {
        let mut key = String::from(super::records::TOKENS);
        for byte in Sha256::digest(*self.0) {
            // Writing to a String can't fail.
            let _ = write!(key, "{byte:02x}");
        }
        key
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(TokenError)?;
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(TokenError);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| TokenError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| TokenError)?;
        }
        Ok(Self(bytes))
    }
}
