//! Diagnostics as people see them: the source line, a caret, why, and what to
//! try next.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    AnnotationKind, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use super::{Diagnostic, Severity, Span, floor_boundary};
use crate::explain;

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Style {
    /// No escape sequence.
    #[default]
    Plain,
    /// Colours, as ANSI escape sequences.
    Coloured,
}

/// Width to which long source lines are cut, in columns.
const WIDTH: usize = 120;
/// Bytes of a line that are shown on each side of a mistake, at most. A line
/// can be megabytes long.
const MARGIN: usize = 256;

/// Draws `diagnostics` in the order given, a blank line between two. Ends with
/// a line feed unless there is none.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii)
    .term_width(WIDTH);
    let mut out = String::new();
    for diagnostic in diagnostics {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&render_one(&renderer, diagnostic));
        out.push_str(&format!("\n   hactl explain {}\n", diagnostic.code));
    }
    out
}

fn render_one(renderer: &Renderer, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code.as_str());
    let label = diagnostic.related.as_ref().map(|span| format!("also at {span}"));
    let window = diagnostic.span.as_ref().map(Window::around);
    let mut group = match &window {
        Some(window) if window.cut => {
            title.element(window.origin()).element(window.snippet(label.as_deref()))
        }
        Some(window) => {
            title.element(window.snippet(label.as_deref()).path(window.span.source().name()))
        }
        None => annotate_snippets::Group::with_title(title),
    };
    let entry = explain::explain(diagnostic.code.as_str());
    if let Some(entry) = entry {
        group = group.element(Level::NOTE.with_name("why").message(entry.why));
    }
    // A hint may quote the input; the remedy is ours.
    let hint = diagnostic.hint.as_deref().map(normalize_untrusted_str);
    if let Some(hint) = hint.or_else(|| entry.map(|entry| entry.remedy.to_owned())) {
        group = group.element(Level::HELP.with_name("try").message(hint));
    }
    renderer.render(&[group])
}

/// The part of the one line that is shown: a source may be megabytes long and
/// hold hundreds of mistakes.
struct Window<'a> {
    span: &'a Span,
    line: &'a str,
    start: usize,
    end: usize,
    /// The beginning of the line is missing.
    cut: bool,
}

impl<'a> Window<'a> {
    fn around(span: &'a Span) -> Self {
        let text = span.source().text();
        let bytes = span.bytes();
        let from = text[..bytes.start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[bytes.start..].find('\n').map_or(text.len(), |at| bytes.start + at);
        let end = bytes.end.min(to);
        let line = from;
        let from = floor_boundary(text, line.max(bytes.start.saturating_sub(MARGIN)));
        let to = floor_boundary(text, to.min(end.saturating_add(MARGIN)));
        Self {
            span,
            line: &text[from..to],
            start: bytes.start - from,
            end: end - from,
            cut: from > line,
        }
    }

    /// The place, where the line alone would give another column.
    fn origin(&self) -> Origin<'a> {
        Origin::path(self.span.source().name())
            .line(self.span.line())
            .char_column(self.span.column())
    }

    fn snippet(&self, label: Option<&'a str>) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        Snippet::source(self.line)
            .line_start(self.span.line())
            .annotation(AnnotationKind::Primary.span(self.start..self.end).label(label))
    }
}
