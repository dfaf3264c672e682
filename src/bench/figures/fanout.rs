//! Node events a delivery by bucket count, beside broadcast.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::bench::chart::{Axis, Chart, Panel, Scale, Series, SeriesStyle, number};

/// The bucket counts that the x axis names: those of `bench fanout`.
const NAMED: [f64; 5] = [1.0, 64.0, 4_096.0, 65_536.0, 1_048_576.0];

/// A row of `bench fanout`; without `lost` it is one of `bench layout`.
#[derive(Debug, Deserialize)]
pub(super) struct BucketRow {
    nodes: u32,
    buckets: u32,
    placement: String,
    users: u32,
    devices: u32,
    node_events_per_delivery: f64,
    predicted: f64,
    broadcast: f64,
    lost: Option<u64>,
}

pub(super) fn chart(rows: &[BucketRow]) -> Option<Chart> {
    let first = rows.iter().find(|row| row.lost.is_some())?;
    let panel = |(placement, label): (&str, &str)| {
        let of: Vec<&BucketRow> = rows.iter().filter(|row| row.placement == placement).collect();
        let label = format!("node events a delivery, {label}");
        (!of.is_empty()).then(|| Panel { y: Axis::new(label, Scale::Log), series: lines(&of) })
    };
    let placements =
        [("random", "users on nodes at random"), ("bucket", "users placed by a hash of their id")];
    Some(Chart {
        title: "How many nodes hear a publish".into(),
        subtitle: format!(
            "{} users with {} sessions each. Dots are measured, lines are computed, and broadcast is \
             every node hearing all",
            number(f64::from(first.users)),
            first.devices,
        ),
        x: Axis::new("buckets", Scale::Log)
            .within(NAMED[0], NAMED[4])
            .named(NAMED.iter().map(|buckets| (*buckets, number(*buckets))).collect()),
        panels: placements.into_iter().filter_map(panel).collect(),
        marks: Vec::new(),
    })
}

fn lines(rows: &[&BucketRow]) -> Vec<Series> {
    let nodes: BTreeSet<u32> = rows.iter().map(|row| row.nodes).collect();
    nodes
        .into_iter()
        .rev()
        .enumerate()
        .flat_map(|(color, nodes)| of_nodes(rows, nodes, color))
        .collect()
}

fn of_nodes(rows: &[&BucketRow], nodes: u32, color: usize) -> [Series; 3] {
    let points = |is_measured: bool, y: fn(&BucketRow) -> f64| {
        let wanted =
            rows.iter().filter(|row| row.nodes == nodes && row.lost.is_some() == is_measured);
        let mut points: Vec<(f64, f64)> =
            wanted.map(|row| (f64::from(row.buckets), y(row))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let series = |name: String, style, points| Series { name, color, style, points };
    [
        series(
            format!("{nodes} nodes, broadcast"),
            SeriesStyle::Dashed,
            points(false, |row| row.broadcast),
        ),
        series(format!("{nodes} nodes"), SeriesStyle::Line, points(false, |row| row.predicted)),
        series(
            String::new(),
            SeriesStyle::Points,
            points(true, |row| row.node_events_per_delivery),
        ),
    ]
}
