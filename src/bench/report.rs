//! Results as a table for humans, or one JSON object per row.

use std::io::{self, Write};

use serde::Serialize;

/// A row of results.
pub trait TableRow: Serialize {
    /// The header of each column.
    const HEADERS: &'static [&'static str];

    /// The row's cells, as many as headers.
    fn cells(&self) -> Vec<String>;
}

/// Results, printed as they come.
#[derive(Debug)]
pub struct Table {
    json: bool,
    widths: Vec<usize>,
}

impl Table {
    /// Begins a table; as JSON, without anything but rows.
    pub fn begin<R: TableRow>(json: bool) -> io::Result<Self> {
        const NARROWEST: usize = 10;
        let widths = R::HEADERS.iter().map(|header| header.len().max(NARROWEST)).collect();
        let table = Self { json, widths };
        if !json {
            let headers = table.line(R::HEADERS.iter().map(ToString::to_string));
            writeln!(io::stdout(), "{headers}")?;
        }
        Ok(table)
    }

    /// Prints a row.
    pub fn row<R: TableRow>(&self, row: &R) -> io::Result<()> {
        let line = if self.json {
            serde_json::to_string(row).expect("rows are numbers and names")
        } else {
            self.line(row.cells())
        };
        writeln!(io::stdout(), "{line}")
    }

    fn line(&self, cells: impl IntoIterator<Item = String>) -> String {
        let aligned = |(cell, width): (String, &usize)| format!("{cell:>width$}");
        let cells: Vec<String> = cells.into_iter().zip(&self.widths).map(aligned).collect();
        cells.join("  ")
    }
}
