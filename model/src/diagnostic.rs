//! Mistakes and remarks as data: what, where, why, and what to try.

mod render;

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use crate::explain::Code;
pub use render::{Style, render};

/// One text that manifests were read from.
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// `name` is how people know the text, usually a path. `text` must not
    /// hold the values of secrets: it is shown in messages.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// How people know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, without the values of secrets.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

/// A place in a [`Source`].
#[derive(Clone)]
pub struct Span {
    source: Arc<Source>,
    bytes: Range<usize>,
}

impl Span {
    /// The bytes `bytes` of `source`. A range that does not lie within the
    /// text, or cuts a character, is narrowed until it does not.
    #[must_use]
    pub fn new(source: Arc<Source>, bytes: Range<usize>) -> Self {
        let text = source.text();
        let start = floor_boundary(text, bytes.start);
        let end = floor_boundary(text, bytes.end).max(start);
        Self { source, bytes: start..end }
    }

    /// The text that it lies in.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Its bytes in that text.
    #[must_use]
    pub fn bytes(&self) -> Range<usize> {
        self.bytes.clone()
    }

    /// Line of its first character, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.before().bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// Column of its first character, in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        let before = self.before();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        before[line_start..].chars().count() + 1
    }

    fn before(&self) -> &str {
        &self.source.text()[..self.bytes.start]
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.name(), self.line(), self.column())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({self})")
    }
}

/// Whether something must be mended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Nothing happens until it is.
    Error,
    /// It is taken as it is.
    Warning,
}

/// One mistake or remark.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether it must be mended.
    pub severity: Severity,
    /// Stable code; `hactl explain CODE` tells more.
    pub code: Code,
    /// Where. None where it concerns the input as a whole.
    pub span: Option<Span>,
    /// What, in one line.
    pub message: String,
    /// Another place that it has to do with.
    pub related: Option<Span>,
    /// What to try, in one line.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    #[must_use]
    pub fn error(code: Code, span: &Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, Some(span.clone()), message.into())
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(code: Code, span: &Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, Some(span.clone()), message.into())
    }

    /// An error in the input as a whole.
    #[must_use]
    pub fn whole(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, None, message.into())
    }

    fn new(severity: Severity, code: Code, span: Option<Span>, message: String) -> Self {
        Self { severity, code, span, message, related: None, hint: None }
    }

    /// With another place that it has to do with.
    #[must_use]
    pub fn related(mut self, span: &Span) -> Self {
        self.related = Some(span.clone());
        self
    }

    /// With something to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Name of the text that it is in; empty where it has no place.
    #[must_use]
    pub fn file(&self) -> &str {
        self.span.as_ref().map_or("", |span| span.source().name())
    }

    /// Its line, from 1; 0 where it has no place.
    #[must_use]
    pub fn line(&self) -> usize {
        self.span.as_ref().map_or(0, Span::line)
    }

    /// Its column in characters, from 1; 0 where it has no place.
    #[must_use]
    pub fn column(&self) -> usize {
        self.span.as_ref().map_or(0, Span::column)
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |one: &Self| one.span.as_ref().map(|span| (span.bytes.start, span.bytes.end));
        (self.file(), key(self), self.code).cmp(&(other.file(), key(other), other.code))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{span}: ")?;
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Most errors, and most warnings, of one check. A broken generator makes the
/// same mistake a hundred thousand times; nobody reads more than the first.
pub const MAX_DIAGNOSTICS: usize = 200;

/// Collects what is found, in any order.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    dropped: usize,
}

impl Collector {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let list = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() < MAX_DIAGNOSTICS {
            list.push(diagnostic);
        } else if diagnostic.severity == Severity::Error {
            self.dropped += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub(crate) fn error(&mut self, code: Code, span: &Span, message: impl Into<String>) {
        self.push(Diagnostic::error(code, span, message));
    }

    /// `value`, unless an error was found: then errors and warnings, each list
    /// in the order of files and places.
    pub(crate) fn finish<T>(self, value: T) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
        let Self { mut errors, mut warnings, dropped } = self;
        warnings.sort_by(Diagnostic::order);
        warnings.dedup_by(|a, b| a.order(b) == Ordering::Equal && a.message == b.message);
        if errors.is_empty() {
            return Ok((value, warnings));
        }
        errors.sort_by(Diagnostic::order);
        errors.dedup_by(|a, b| a.order(b) == Ordering::Equal && a.message == b.message);
        if dropped > 0 {
            let message = format!("{dropped} more mistakes are not shown");
            errors.push(Diagnostic::whole(crate::explain::codes::TOO_MANY_MISTAKES, message));
        }
        errors.extend(warnings);
        Err(errors)
    }
}
