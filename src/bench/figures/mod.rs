//! Pictures of measurements: from the JSON that the commands print to charts.
//!
//! | file | draws |
//! | --- | --- |
//! | `fanout` | node events by bucket count, of `bench fanout` and `bench layout` |
//! | `relay` | CPU for a delivery, of `bench relay` |
//! | `latencies` | latency under a rising rate, of `bench load` at several rates |
//! | `timeline` | a change or a fault, second by second, of one `bench load` |

mod fanout;
mod latencies;
mod relay;
mod timeline;

use serde::de::DeserializeOwned;

use super::chart::Chart;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureKind {
    /// Node events a delivery by bucket count: dots are rows of `bench fanout`, and lines the
    /// predictions in rows of `bench layout`.
    Fanout,
    /// CPU for a delivery: the median row of each server and rate of `bench relay`.
    Relay,
    /// Latency percentiles by rate: a report of `bench load` at each.
    Load,
    /// A change of layout over time: a report of `bench load`, and an object of what was done when.
    Change,
    /// A fault over time: the same.
    Failover,
}

/// Why a picture is not drawn.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// A text is not what the command prints.
    #[error("row {row}: {error}")]
    Row {
        /// Which JSON object of the text.
        row: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// There is no row to draw.
    #[error("there are no rows that it draws: it must be what the command prints with --json")]
    Empty,
}

impl FigureKind {
    /// Draws JSON objects, one after another, as SVG.
    pub fn draw(self, text: &str) -> Result<String, FigureError> {
        let chart = match self {
            Self::Fanout => fanout::chart(&rows(text)?),
            Self::Relay => relay::chart(&rows(text)?),
            Self::Load => latencies::chart(rows(text)?),
            Self::Change => Some(timeline::change(rows(text)?)?),
            Self::Failover => Some(timeline::failover(rows(text)?)?),
        };
        chart.as_ref().map(Chart::to_svg).ok_or(FigureError::Empty)
    }
}

fn rows<R: DeserializeOwned>(text: &str) -> Result<Vec<R>, FigureError> {
    let rows = serde_json::Deserializer::from_str(text).into_iter().enumerate();
    rows.map(|(row, found)| found.map_err(|error| FigureError::Row { row: row + 1, error }))
        .collect()
}

#[cfg(test)]
mod tests;
