//! Results as a table for humans, or one JSON object per row.

use std::io::{self, Write};
use std::marker::PhantomData;

use serde::Serialize;

/// A row of results.
pub trait TableRow: Serialize {
    /// The header of each column.
    const HEADERS: &'static [&'static str];

    /// The row's cells, as many as headers.
    fn cells(&self) -> Vec<String>;

    /// Deliveries that did not arrive, where that is counted.
    fn lost(&self) -> u64 {
        0
    }
}

/// Results, printed as they come.
#[derive(Debug)]
pub struct Table<R> {
    json: bool,
    has_header: bool,
    lost: u64,
    rows: PhantomData<R>,
}

impl<R: TableRow> Table<R> {
    /// Begins a table; as JSON, without anything but rows. The header comes with the first row: a
    /// measurement that fails before has no table.
    pub const fn begin(json: bool) -> Self {
        Self { json, has_header: false, lost: 0, rows: PhantomData }
    }

    /// Prints a row.
    pub fn row(&mut self, row: &R) -> io::Result<()> {
        self.lost += row.lost();
        if self.json {
            let line = serde_json::to_string(row).expect("rows are numbers and names");
            return writeln!(io::stdout(), "{line}");
        }
        if !std::mem::replace(&mut self.has_header, true) {
            writeln!(io::stdout(), "{}", aligned::<R>(R::HEADERS.iter().map(ToString::to_string)))?;
        }
        writeln!(io::stdout(), "{}", aligned::<R>(row.cells()))
    }
}

impl<R> Table<R> {
    /// Deliveries that did not arrive, of all rows.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

/// A line of cells as wide as their headers, and ten characters at least.
fn aligned<R: TableRow>(cells: impl IntoIterator<Item = String>) -> String {
    const NARROWEST: usize = 10;
    let widths = R::HEADERS.iter().map(|header| header.len().max(NARROWEST));
    let cells = cells.into_iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
    cells.collect::<Vec<_>>().join("  ")
}
