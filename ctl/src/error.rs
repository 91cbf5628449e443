//! Errors as people read them: what, where, why, what next, and a code that
//! `hactl explain` knows.

use std::error::Error;
use std::io;

use serde::Serialize;

use crate::exit::Exit;

/// An error of a verb, ready to be shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// Stable code, such as `E5005`.
    pub code: Box<str>,
    /// What went wrong, in one line.
    pub what: String,
    /// Where: a file, an address, a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Why, one cause a line, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// What to do or to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How the command ends.
    #[serde(skip)]
    pub exit: Exit,
}

impl Failure {
    /// An error with a code that ends the command with `exit`.
    pub fn new(code: &str, exit: Exit, what: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            what: what.into(),
            place: None,
            why: Vec::new(),
            next: None,
            exit,
        }
    }

    /// With the place.
    #[must_use]
    pub fn at(mut self, place: impl ToString) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// With one more cause.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// With an error and all its sources as causes.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Transport errors say that they are, or repeat their source.
            let known = self.why.iter().any(|known| known.contains(&text));
            if !known && text != "transport error" {
                self.why.push(text);
            }
            next = error.source();
        }
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn then(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A wrong command line that clap can't see.
    #[must_use]
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new("E5001", Exit::Usage, what)
    }
}

/// Why a verb ended early.
#[derive(Debug)]
pub enum Stop {
    /// It failed.
    Failure(Box<Failure>),
    /// It could not print. A closed pipe is nobody's fault.
    Output(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// What a verb returns.
pub type Outcome = Result<Exit, Stop>;

/// The name among `known` that is nearest to `name`, if one is near.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["fra-web", "fra-dns", "ams-web"];
        assert_eq!(nearest("fra-wbe", known), Some("fra-web"));
        assert_eq!(nearest("zzzzzzz", known), None);
    }
}
