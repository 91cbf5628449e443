//! Every error and warning code of the product, with what it means and what to
//! do. A code keeps its meaning for ever; a code that is no longer used is not
//! given to something else.
//!
//! | codes | about |
//! |---|---|
//! | E10xx | the form of a manifest file |
//! | E11xx | fields and values of one object |
//! | E12xx | how values and objects fit together |
//! | W13xx | remarks on a good manifest |
//! | E2xxx | a plan on a node |
//! | E3xxx | the controller |
//! | E4xxx | sessions and identity |
//! | E5xxx | `hactl` |

mod fleet;
mod manifest;
mod runtime;

use std::fmt;

/// A stable error or warning code, such as `E1207`.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Code(&'static str);

impl Code {
    /// The code as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a code means.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it is not taken, in one sentence.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// An input that gets it, or what is seen then; may be empty.
    pub example: &'static str,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n\nwhy: {}\ntry: {}\n", self.code, self.title, self.why, self.remedy)?;
        if !self.example.is_empty() {
            f.write_str("\nexample:\n")?;
            for line in self.example.lines() {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

/// Declares codes and their explanations in one place, so that none exists
/// without.
macro_rules! declare {
    ($($name:ident = $code:literal {
        title: $title:literal,
        why: $why:literal,
        remedy: $remedy:literal,
        example: $example:literal $(,)?
    })*) => {
        $(
            #[doc = $title]
            pub const $name: $crate::explain::Code = $crate::explain::Code($code);
        )*

        pub(super) const ENTRIES: &[$crate::explain::Explanation] = &[$(
            $crate::explain::Explanation {
                code: $name,
                title: $title,
                why: $why,
                remedy: $remedy,
                example: $example,
            },
        )*];
    };
}
use declare;

/// The codes by name.
pub mod codes {
    pub use super::fleet::*;
    pub use super::manifest::*;
    pub use super::runtime::*;
}

/// What `code` means, if there is such a code. Upper or lower case.
#[must_use]
pub fn explain(code: &str) -> Option<&'static Explanation> {
    all().find(|entry| entry.code.as_str().eq_ignore_ascii_case(code))
}

/// Every code, grouped as in the table above.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    [manifest::ENTRIES, fleet::ENTRIES, runtime::ENTRIES].into_iter().flatten()
}

#[cfg(test)]
mod tests;
