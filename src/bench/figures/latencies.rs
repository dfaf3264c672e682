//! Latency under a rising rate.

use serde::Deserialize;

use crate::bench::chart::{Axis, Chart, Mark, Panel, Scale, Series, SeriesStyle, number};

/// A report of `bench load` at one rate.
#[derive(Debug, Deserialize)]
pub(super) struct RateRow {
    verdict: String,
    rate: u32,
    sockets: u32,
    mix: String,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    seconds: Vec<RateSecond>,
}

#[derive(Debug, Deserialize)]
struct RateSecond {
    at_s: f64,
    delivered: u64,
}

impl RateRow {
    /// A load that is behind goes on after its time, so the seconds up to its last delivery count.
    /// Those behind it, in which it waited for one that was lost, do not.
    fn delivered_per_s(&self) -> f64 {
        let delivered: u64 = self.seconds.iter().map(|second| second.delivered).sum();
        let last = self.seconds.iter().rfind(|second| second.delivered > 0);
        last.map_or(f64::NAN, |last| delivered as f64 / last.at_s)
    }

    /// Where a bound did not hold.
    fn mark(&self) -> Option<Mark> {
        (self.verdict != "passed")
            .then(|| Mark { x: f64::from(self.rate), label: self.verdict.clone() })
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
        marks: rows.iter().filter_map(RateRow::mark).collect(),
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
