//! The one table printer: columns without lines, one row a line.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table as Grid};

use super::markup::Tone;

/// Rows under a header.
#[derive(Clone, Debug, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
            indent: 0,
        }
    }

    /// Shifted to the right by `indent` columns.
    #[must_use]
    pub fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    /// Adds a row; an empty cell shows as `-`.
    pub fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        // Line breaks in data would break the row.
        let cells = cells.into_iter().map(|cell| match cell.trim() {
            "" => "-".to_owned(),
            text => text.replace(['\n', '\t'], " "),
        });
        self.rows.push(cells.collect());
    }

    /// The lines of the table, marked up.
    #[must_use]
    pub fn lines(&self, headers: bool) -> Vec<String> {
        let mut grid = Grid::new();
        grid.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if headers {
            grid.set_header(self.header.iter().map(|name| Tone::Bold.paint(name)));
        }
        grid.add_rows(self.rows.iter());
        for column in grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let indent = " ".repeat(self.indent);
        grid.lines().map(|line| format!("{indent}{}", line.trim_end())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::markup::resolve;
    use super::*;

    #[test]
    fn tones_do_not_shift_columns() {
        let mut table = Table::new(&["A", "B"]);
        table.row([Tone::Bad.paint("✖ down"), "x".to_owned()]);
        table.row(["plain".to_owned(), "two\nlines".to_owned()]);
        table.row([String::new(), "y".to_owned()]);
        let lines: Vec<String> =
            table.lines(true).iter().map(|line| resolve(line, false)).collect();
        assert_eq!(lines, ["A       B", "✖ down  x", "plain   two lines", "-       y"]);
    }

    #[test]
    fn headers_can_be_left_out() {
        let mut table = Table::new(&["LONGER", "B"]).indented(2);
        table.row(["a".to_owned(), "b".to_owned()]);
        assert_eq!(table.lines(false), ["  a  b"]);
    }
}
