//! Diagnostics as people see them: the source line, a caret, why, and what to
//! try next.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, normalize_untrusted_str};

use super::{Diagnostic, Severity, Span};
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
        Some(window) => title.element(window.snippet(label.as_deref())),
        None => annotate_snippets::Group::with_title(title),
    };
    if let Some(entry) = explain::explain(diagnostic.code.as_str()) {
        group = group.element(Level::NOTE.with_name("why").message(entry.why));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.with_name("try").message(normalize_untrusted_str(hint)));
    }
    renderer.render(&[group])
}

/// The one line that is shown: a source may be megabytes long and hold
/// hundreds of mistakes.
struct Window<'a> {
    name: &'a str,
    line: &'a str,
    number: usize,
    start: usize,
    end: usize,
}

impl<'a> Window<'a> {
    fn around(span: &'a Span) -> Self {
        let text = span.source().text();
        let bytes = span.bytes();
        let from = text[..bytes.start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[bytes.start..].find('\n').map_or(text.len(), |at| bytes.start + at);
        Self {
            name: span.source().name(),
            line: &text[from..to],
            number: span.line(),
            start: bytes.start - from,
            end: bytes.end.min(to) - from,
        }
    }

    fn snippet(&self, label: Option<&'a str>) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        Snippet::source(self.line)
            .line_start(self.number)
            .path(self.name)
            .annotation(AnnotationKind::Primary.span(self.start..self.end).label(label))
    }
}
