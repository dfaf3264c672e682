//! Latency under a rising rate.

use serde::Deserialize;

use crate::bench::chart::{Axis, Chart, Panel, Scale, Series, SeriesStyle, number};

/// A report of `bench load` at one rate.
#[derive(Debug, Deserialize)]
pub(super) struct RateRow {
    rate: u32,
    sockets: u32,
    mix: String,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    delivered: u64,
    duration_ms: u64,
}

impl RateRow {
    fn delivered_per_s(&self) -> f64 {
        self.delivered as f64 * 1000.0 / self.duration_ms.max(1) as f64
    }
}

pub(super) fn chart(mut rows: Vec<RateRow>) -> Option<Chart> {
    rows.sort_by_key(|row| row.rate);
    let (first, rates) = (rows.first()?, rows.iter().map(|row| f64::from(row.rate)));
    let rates: Vec<(f64, String)> = rates.map(|rate| (rate, number(rate))).collect();
    let last = rates.last()?.0;
    Some(Chart {
        title: "Latency under a rising rate".into(),
        subtitle: format!(
            "{} sessions, mix {}, from the intended time of a send to its delivery",
            number(f64::from(first.sockets)),
            first.mix,
        ),
        x: Axis::new("requests a second", Scale::Log)
            .within(rates[0].0 / 1.1, last * 1.1)
            .named(rates),
        panels: vec![
            Panel { y: Axis::new("milliseconds", Scale::Log), series: latencies(&rows) },
            Panel {
                y: Axis::new("deliveries a second", Scale::Linear),
                series: vec![line("deliveries", 4, &rows, RateRow::delivered_per_s)],
            },
        ],
        marks: Vec::new(),
    })
}

fn latencies(rows: &[RateRow]) -> Vec<Series> {
    let millis = |us: u64| us as f64 / 1e3;
    vec![
        line("p99.9", 0, rows, |row| millis(row.p999_us)),
        line("p99", 1, rows, |row| millis(row.p99_us)),
        line("p90", 2, rows, |row| millis(row.p90_us)),
        line("p50", 3, rows, |row| millis(row.p50_us)),
    ]
}

fn line(name: &str, color: usize, rows: &[RateRow], y: impl Fn(&RateRow) -> f64) -> Series {
    Series {
        name: name.into(),
        color,
        style: SeriesStyle::Line,
        points: rows.iter().map(|row| (f64::from(row.rate), y(row))).collect(),
    }
}
