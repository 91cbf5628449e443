//! All printing. A verb hands over views; what becomes of them is decided
//! here: form, colour, width, and what a closed pipe means.

mod change;
mod describe;
mod document;
mod events;
mod failure;
mod list;
mod local;
mod markup;
mod progress;
mod status;
mod table;
mod when;

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::Failure;
use crate::host::Stream;

pub use change::{changes, fields, manifest_diff};
pub use describe::{describe_cluster, describe_instance, describe_node};
pub use events::event_line;
pub use list::{
    clusters, codes, context, contexts, exit_codes, fleet_made, instances, join_token, nodes,
    revisions, secrets,
};
pub use local::local_status;
pub use markup::{Symbols, Tone};
pub use progress::{Board, Live, describe_outcome, manifest_errors, mistakes};
pub use status::{Shown, fleet_status};
pub use table::Table;
pub use when::{age, age_of, clock, span};

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people; may change with every release.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// One JSON document of a versioned schema.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names alone, one a line.
    Name,
}

/// Where a command prints.
pub struct Out {
    stdout: Stream,
    stderr: Stream,
    /// Form that was asked for.
    pub format: Format,
    /// Symbols that can be shown.
    pub symbols: Symbols,
    /// Tables have a header line.
    pub headers: bool,
}

impl Out {
    /// Prints in `format` to these streams.
    #[must_use]
    pub fn new(stdout: Stream, stderr: Stream, format: Format, symbols: Symbols) -> Self {
        Self { stdout, stderr, format, symbols, headers: true }
    }

    /// Somebody looks at the standard output.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.stdout.terminal
    }

    /// The standard output shows colours.
    #[must_use]
    pub fn is_coloured(&self) -> bool {
        self.stdout.colour
    }

    /// The standard error shows colours.
    #[must_use]
    pub fn is_error_coloured(&self) -> bool {
        self.stderr.colour
    }

    /// Prints marked-up text and ends the line.
    ///
    /// # Errors
    /// The stream does not take it; so for every method below.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        let text = markup::resolve(text, self.stdout.colour);
        writeln!(self.stdout.writer, "{text}")
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.writer.write_all(bytes)
    }

    /// Prints a table.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        for line in table.lines(self.headers) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Prints one document of the schema, as JSON or YAML.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn document<T: Serialize>(&mut self, kind: &'static str, data: &T) -> io::Result<()> {
        let text = match self.format {
            Format::Yaml => document::yaml(kind, data)?,
            Format::Json | Format::Table | Format::Wide | Format::Name => {
                document::json(kind, data)?
            }
        };
        self.stdout.writer.write_all(text.as_bytes())
    }

    /// Prints a list of objects as one document of the schema.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn list<T: Serialize>(&mut self, kind: &'static str, items: &[T]) -> io::Result<()> {
        self.document(kind, &document::List { items })
    }

    /// Prints one document of a stream: JSON on one line, or a YAML document.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn streamed<T: Serialize>(&mut self, kind: &'static str, data: &T) -> io::Result<()> {
        let text = match self.format {
            Format::Yaml => format!("---\n{}", document::yaml(kind, data)?),
            Format::Json | Format::Table | Format::Wide | Format::Name => {
                document::json_line(kind, data)?
            }
        };
        self.stdout.writer.write_all(text.as_bytes())?;
        self.flush()
    }

    /// Tells the user something beside the result.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        let text = markup::resolve(text, self.stderr.colour);
        writeln!(self.stderr.writer, "{text}")
    }

    /// Bytes for the standard error, as they are.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn raw_error(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stderr.writer.write_all(bytes)
    }

    /// Shows an error: as a document where documents were asked for.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn failure(&mut self, failure: &Failure, trace: Option<&str>) -> io::Result<()> {
        if self.format == Format::Json {
            let text = document::json_line("Error", failure)?;
            return self.stderr.writer.write_all(text.as_bytes());
        }
        for line in failure::lines(failure, trace) {
            self.note(&line)?;
        }
        Ok(())
    }

    /// Asks a question on the terminal; the answer is read elsewhere.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn ask(&mut self, question: &str) -> io::Result<()> {
        write!(self.stdout.writer, "{} ", markup::resolve(question, self.stdout.colour))?;
        self.flush()
    }

    /// Replaces what a terminal shows by `lines`.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn repaint(&mut self, lines: &[String]) -> io::Result<()> {
        // Home, then each line with what was right of it erased, then what was
        // below: no moment shows an empty screen.
        let mut screen = String::from("\x1b[H");
        for line in lines {
            screen.push_str(&markup::resolve(line, self.stdout.colour));
            screen.push_str("\x1b[K\n");
        }
        screen.push_str("\x1b[J");
        self.raw(screen.as_bytes())?;
        self.flush()
    }

    /// Hands everything over.
    ///
    /// # Errors
    /// See [`Self::line`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.writer.flush()?;
        self.stderr.writer.flush()
    }
}
