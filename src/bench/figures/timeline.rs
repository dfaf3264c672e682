//! A change or a fault under load, second by second.

use serde::Deserialize;

use super::FigureError;
use crate::bench::chart::{Axis, Chart, Mark, Panel, Scale, Series, SeriesStyle, number};

/// Least end of an axis of overdue deliveries: with none of them it shows whole numbers still.
const OVERDUE_AXIS_MIN: u64 = 10;

/// What the figure's file holds: what was done, and the report of `bench load`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum TimelineRow {
    /// What was done, when.
    Deeds(Deeds),
    /// What the load saw.
    Report(TimelineReport),
}

/// What was done during the load.
#[derive(Debug, Deserialize)]
pub(super) struct Deeds {
    title: String,
    deeds: Vec<Deed>,
}

#[derive(Debug, Deserialize)]
struct Deed {
    /// Milliseconds since the Unix epoch.
    at_ms: u64,
    label: String,
}

/// A report of `bench load`.
#[derive(Debug, Deserialize)]
pub(super) struct TimelineReport {
    began_ms: u64,
    sockets: u32,
    mix: String,
    rate: u32,
    acked: u64,
    lost: u64,
    duplicate: u64,
    seconds: Vec<TimelineSecond>,
}

#[derive(Debug, Deserialize)]
struct TimelineSecond {
    at_s: f64,
    acked: u64,
    delivered: u64,
    overdue: u64,
    p50_us: u64,
    p99_us: u64,
    /// Nodes that answered.
    nodes: Option<u32>,
    node_events: Option<u64>,
    watermark_lag_s: Option<f64>,
}

impl TimelineSecond {
    /// What nodes say, if any of them does.
    fn said<T>(&self, value: Option<T>) -> Option<T> {
        value.filter(|_| self.nodes > Some(0))
    }

    fn node_events_per_delivery(&self) -> Option<f64> {
        let events = self.said(self.node_events)?;
        (self.delivered > 0).then_some(events as f64 / self.delivered as f64)
    }
}

/// A change of layout: what it saves is node events.
pub(super) fn change(rows: Vec<TimelineRow>) -> Result<Chart, FigureError> {
    let (deeds, report) = parts(rows)?;
    let panels = vec![report.rates(), report.node_events(), report.latencies(), report.lag()];
    Ok(report.chart(deeds, panels))
}

/// A fault: other shards cost more meanwhile, and what is owed comes.
pub(super) fn failover(rows: Vec<TimelineRow>) -> Result<Chart, FigureError> {
    let (deeds, report) = parts(rows)?;
    let panels = vec![
        report.rates(),
        report.node_events(),
        report.overdue(),
        report.latencies(),
        report.lag(),
    ];
    Ok(report.chart(deeds, panels))
}

fn parts(rows: Vec<TimelineRow>) -> Result<(Deeds, TimelineReport), FigureError> {
    let (mut deeds, mut report) = (None, None);
    for row in rows {
        match row {
            TimelineRow::Deeds(found) => deeds = Some(found),
            TimelineRow::Report(found) => report = Some(found),
        }
    }
    deeds.zip(report).ok_or(FigureError::Empty)
}

type OfSecond<'a> = &'a dyn Fn(&TimelineSecond) -> Option<f64>;

impl TimelineReport {
    fn chart(&self, deeds: Deeds, panels: Vec<Panel>) -> Chart {
        let at = |deed: &Deed| (deed.at_ms as f64 - self.began_ms as f64) / 1000.0;
        let marks = deeds.deeds.iter().map(|deed| Mark { x: at(deed), label: deed.label.clone() });
        let marks: Vec<Mark> = marks.filter(|mark| mark.x >= 0.0).collect();
        let last = self.seconds.last().map_or(1.0, |second| second.at_s);
        Chart {
            title: deeds.title,
            subtitle: format!(
                "{} sessions, mix {}, {} requests a second. Of {} acknowledged, {} deliveries lost \
                 and {} doubled",
                number(f64::from(self.sockets)),
                self.mix,
                number(f64::from(self.rate)),
                number(self.acked as f64),
                number(self.lost as f64),
                number(self.duplicate as f64),
            ),
            x: Axis::new("seconds", Scale::Linear).within(0.0, last),
            panels,
            marks,
        }
    }

    fn rates(&self) -> Panel {
        self.panel(
            "a second",
            &[
                ("delivered", 0, &|second| Some(second.delivered as f64)),
                ("acknowledged", 1, &|second| Some(second.acked as f64)),
            ],
        )
    }

    fn latencies(&self) -> Panel {
        let millis = |us: u64| (us > 0).then_some(us as f64 / 1e3);
        let mut panel = self.panel(
            "latency in milliseconds",
            &[
                ("p99", 3, &|second| millis(second.p99_us)),
                ("p50", 4, &|second| millis(second.p50_us)),
            ],
        );
        panel.y.scale = Scale::Log;
        panel
    }

    fn node_events(&self) -> Panel {
        self.panel(
            "node events a delivery",
            &[("node events", 2, &|second| second.node_events_per_delivery())],
        )
    }

    fn overdue(&self) -> Panel {
        let mut panel = self.panel(
            "deliveries that are over ten seconds late",
            &[("overdue", 5, &|second| Some(second.overdue as f64))],
        );
        let greatest = self.seconds.iter().map(|second| second.overdue).max().unwrap_or(0);
        panel.y = panel.y.within(0.0, greatest.max(OVERDUE_AXIS_MIN) as f64);
        panel
    }

    fn lag(&self) -> Panel {
        self.panel(
            "largest lag of a watermark in seconds",
            &[("watermark", 3, &|second| second.said(second.watermark_lag_s))],
        )
    }

    fn panel(&self, label: &str, lines: &[(&str, usize, OfSecond)]) -> Panel {
        let line = |(name, color, of): &(&str, usize, OfSecond)| Series {
            name: (*name).into(),
            color: *color,
            style: SeriesStyle::Line,
            points: self.points(of),
        };
        Panel { y: Axis::new(label, Scale::Linear), series: lines.iter().map(line).collect() }
    }

    /// A second without a value is a gap.
    fn points(&self, of: OfSecond) -> Vec<(f64, f64)> {
        self.seconds.iter().map(|second| (second.at_s, of(second).unwrap_or(f64::NAN))).collect()
    }
}
