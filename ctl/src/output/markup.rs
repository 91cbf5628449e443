//! Marked-up text. Tones stand in the text as invisible characters of no
//! width, so that tables measure right, and become colours, or nothing, when
//! the text is printed. A tone only repeats what a symbol and a word say.

use anstyle::{AnsiColor, Style};

use crate::view::Health;

/// Deprecated format characters (Unicode §23.3): of no width, and not in any
/// text that people write.
const MARKS: [(char, Tone); 5] = [
    ('\u{206a}', Tone::Good),
    ('\u{206b}', Tone::Warn),
    ('\u{206c}', Tone::Bad),
    ('\u{206d}', Tone::Dim),
    ('\u{206e}', Tone::Bold),
];
const END: char = '\u{206f}';

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Wants a look.
    Warn,
    /// Is wrong.
    Bad,
    /// Not important.
    Dim,
    /// A heading.
    Bold,
}

impl Tone {
    /// `text` in this tone.
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        let mark = MARKS.iter().find(|(_, tone)| *tone == self).map_or(END, |(mark, _)| *mark);
        format!("{mark}{text}{END}")
    }

    fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Bold => Style::new().bold(),
        }
    }
}

/// Turns marks into colours, or takes them out. Control characters that came
/// in with data are shown as a replacement: nobody's event moves our cursor.
pub(super) fn resolve(text: &str, colour: bool) -> String {
    let mut resolved = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            END if colour => resolved.push_str("\x1b[0m"),
            END => {}
            '\n' | '\t' => resolved.push(character),
            _ if character.is_control() => resolved.push('\u{fffd}'),
            _ => match MARKS.iter().find(|(mark, _)| *mark == character) {
                Some((_, tone)) if colour => resolved.push_str(&tone.style().render().to_string()),
                Some(_) => {}
                None => resolved.push(character),
            },
        }
    }
    resolved
}

/// Symbols, as the terminal can show them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symbols {
    /// Beyond ASCII.
    pub unicode: bool,
}

impl Symbols {
    fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// Between things on one line.
    #[must_use]
    pub fn dot(self) -> &'static str {
        self.pick("·", "-")
    }

    /// Nothing is known or there is nothing.
    #[must_use]
    pub fn none(self) -> &'static str {
        self.pick("–", "-")
    }

    /// From before to after.
    #[must_use]
    pub fn arrow(self) -> &'static str {
        self.pick("→", "->")
    }

    /// A health, as one character.
    #[must_use]
    pub fn health(self, health: Health) -> &'static str {
        match health {
            Health::Ok => self.pick("●", "o"),
            Health::Unknown => "?",
            Health::Degraded => self.pick("▲", "^"),
            Health::Down => self.pick("✖", "x"),
            Health::Split => "!",
        }
    }

    /// A symbol with its word, in its tone.
    #[must_use]
    pub fn labelled(self, health: Health, word: &str) -> String {
        tone_of(health).paint(&format!("{} {word}", self.health(health)))
    }
}

/// The tone of a health.
pub(super) fn tone_of(health: Health) -> Tone {
    match health {
        Health::Ok => Tone::Good,
        Health::Unknown | Health::Degraded => Tone::Warn,
        Health::Down | Health::Split => Tone::Bad,
    }
}

/// The word of a health.
pub(super) fn word_of(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Unknown => "unknown",
        Health::Degraded => "degraded",
        Health::Down => "no master",
        Health::Split => "SPLIT BRAIN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_all_or_nothing() {
        let text = Tone::Bad.paint("x down");
        assert_eq!(resolve(&text, false), "x down");
        assert_eq!(resolve(&text, true), "\x1b[1m\x1b[31mx down\x1b[0m");
    }

    #[test]
    fn data_cannot_steer_the_terminal() {
        assert_eq!(resolve("a\x1b[2Jb\rc\td", true), "a\u{fffd}[2Jb\u{fffd}c\td");
    }

    #[test]
    fn ascii_means_ascii() {
        let symbols = Symbols { unicode: false };
        for health in [Health::Ok, Health::Unknown, Health::Degraded, Health::Down, Health::Split] {
            assert!(resolve(&symbols.labelled(health, word_of(health)), false).is_ascii());
        }
        assert!(
            symbols.dot().is_ascii() && symbols.none().is_ascii() && symbols.arrow().is_ascii()
        );
    }
}
