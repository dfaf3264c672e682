//! The picture of a load: latency by percentile, and below it what happened over time.

use super::report::LoadReport;
use super::seconds::LoadSecond;
use crate::bench::chart::{Axis, Chart, Panel, Scale, Series, SeriesStyle};

fn line(name: &str, color: usize, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.into(), color, style: SeriesStyle::Line, points }
}

fn panel(label: &str, scale: Scale, series: Vec<Series>) -> Panel {
    Panel { y: Axis::new(label, scale), series }
}

impl LoadReport {
    /// An SVG document of both charts.
    pub fn to_svg(&self) -> String {
        self.curve_chart().to_svg_above(&self.time_chart())
    }

    fn curve_chart(&self) -> Chart {
        let points = self.curve.iter().map(|(percentile, us)| (*percentile, us / 1000.0));
        let series = vec![line("all", 0, points.collect())];
        Chart {
            title: "Latency from the intended time to a delivery".into(),
            subtitle: self.headline(),
            x: Axis::new("percentile", Scale::Percentile),
            panels: vec![panel("latency, ms", Scale::Log, series)],
            marks: Vec::new(),
        }
    }

    fn time_chart(&self) -> Chart {
        let over_time = |value: fn(&LoadSecond) -> f64| -> Vec<_> {
            self.seconds.iter().map(|second| (second.at_s, value(second))).collect()
        };
        let rates = vec![
            line("delivered", 0, over_time(|second| second.delivered as f64)),
            line("sent", 1, over_time(|second| second.sent as f64)),
        ];
        // A second without deliveries has no latency: the line has a gap there.
        let latencies = vec![
            line("p99", 1, over_time(|second| shown(second, second.p99_us))),
            line("p50", 0, over_time(|second| shown(second, second.p50_us))),
        ];
        Chart {
            title: "Rate and latency over time".into(),
            subtitle: format!("verdict: {}", self.verdict.words()),
            x: Axis::new("seconds", Scale::Linear),
            panels: vec![
                panel("a second", Scale::Linear, rates),
                panel("latency, ms", Scale::Log, latencies),
            ],
            marks: Vec::new(),
        }
    }
}

fn shown(second: &LoadSecond, us: u64) -> f64 {
    if second.delivered == 0 { f64::NAN } else { us as f64 / 1000.0 }
}
