//! CPU for a delivery, beside a plain loop.

use serde::Deserialize;

use crate::bench::chart::{Axis, Chart, Panel, Scale, Series, SeriesStyle, number};

/// A row of `bench relay`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CpuRow {
    server: String,
    rate: u32,
    nodes_us: f64,
    redis_us: f64,
}

impl CpuRow {
    fn total(&self) -> f64 {
        self.nodes_us + self.redis_us
    }

    fn server_name(&self) -> String {
        match self.server.as_str() {
            "plain" => "plain loop".into(),
            "1 nodes" => "1 node".into(),
            other => other.into(),
        }
    }
}

pub(super) fn chart(rows: &[CpuRow]) -> Option<Chart> {
    let servers = distinct(rows, CpuRow::server_name);
    let rates = distinct(rows, |row| row.rate);
    let last = servers.len().checked_sub(1)? as f64;
    let names = servers.iter().enumerate().map(|(place, name)| (place as f64, name.clone()));
    Some(Chart {
        title: "CPU for a delivery".into(),
        subtitle:
            "The plain loop is the same sockets and frames with a table of topics and nothing \
                   else. Medians of a few rounds"
                .into(),
        x: Axis::new("server", Scale::Linear).within(-0.6, last + 0.6).named(names.collect()),
        panels: rates.into_iter().map(|rate| panel(rows, rate, &servers)).collect(),
        marks: Vec::new(),
    })
}

fn panel(rows: &[CpuRow], rate: u32, servers: &[String]) -> Panel {
    let load = match rate {
        0 => "as much as it takes".to_owned(),
        rate => format!("{} deliveries a second", number(f64::from(rate))),
    };
    let points = |cpu: fn(&CpuRow) -> f64| {
        let of = |(place, server): (usize, &String)| {
            let row =
                median(rows.iter().filter(|row| row.rate == rate && row.server_name() == *server))?;
            Some((place as f64, cpu(row)))
        };
        servers.iter().enumerate().filter_map(of).collect()
    };
    let bars = |name: &str, color, points| Series {
        name: name.into(),
        color,
        style: SeriesStyle::Bars,
        points,
    };
    Panel {
        y: Axis::new(format!("microseconds of CPU, {load}"), Scale::Linear),
        series: vec![
            bars("Redis", 1, points(CpuRow::total)),
            bars("nodes", 0, points(|row| row.nodes_us)),
        ],
    }
}

/// The row in the middle by the CPU of all.
fn median<'a>(rows: impl Iterator<Item = &'a CpuRow>) -> Option<&'a CpuRow> {
    let mut rows: Vec<&CpuRow> = rows.collect();
    rows.sort_by(|a, b| a.total().total_cmp(&b.total()));
    rows.get(rows.len().checked_sub(1)? / 2).copied()
}

/// What the rows have, each once, in the order of the rows.
fn distinct<T: PartialEq>(rows: &[CpuRow], of: impl Fn(&CpuRow) -> T) -> Vec<T> {
    let mut found = Vec::new();
    for value in rows.iter().map(of) {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}
