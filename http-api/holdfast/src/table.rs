//! Text tables: each column is as wide as its widest cell, numbers are aligned right.

use std::fmt;

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

/// Rows under a header.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table without rows.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When the number of cells is not the number of columns.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a row has one cell per column");
        // Control characters in a name must not move the cursor or break the line.
        let clean = |cell: String| {
            if cell.chars().any(char::is_control) {
                cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
            } else {
                cell
            }
        };
        self.rows.push(cells.into_iter().map(clean).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(String::as_str).collect());
        let lines: Vec<Vec<&str>> = std::iter::once(header).chain(rows).collect();
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for line in &lines {
            let mut text = String::new();
            for ((cell, width), (_, align)) in line.iter().zip(&widths).zip(&self.columns) {
                let width = *width;
                text.push_str(&match align {
                    Align::Left => format!("{cell:<width$}  "),
                    Align::Right => format!("{cell:>width$}  "),
                });
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// The cell of an optional value: `-` when there is none.
pub(crate) fn or_dash<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("NAME", Align::Left), ("STOCK", Align::Right)]);
        table.row(vec!["Laptop Pro".into(), "50".into()]);
        table.row(vec!["Käse\n".into(), "12345678".into()]);
        let expected = "\
NAME           STOCK
Laptop Pro        50
Käse\u{fffd}       12345678
";
        assert_eq!(table.to_string(), expected);
        assert_eq!(or_dash::<u64>(None), "-");
        assert_eq!(or_dash(Some(3)), "3");
    }
}
