//! One plot of a chart: a y axis and its series.

use super::axis::{Axis, FittedAxis};
use super::labels::spread;
use super::number;
use super::series::{Series, SeriesStyle};
use super::svg::{Anchor, FONT_SIZE, Svg, text_width};

/// The colour of the grid.
const GRID: &str = "#e3e3e3";

/// The colour of the axes.
const EDGE: &str = "#888888";

/// From the end of a line to its label.
const LABEL_GAP: f64 = 16.0;

/// The width of a bar.
const BAR_WIDTH: f64 = 70.0;

/// One plot.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Its y axis.
    pub y: Axis,
    /// What is drawn, in this order.
    pub series: Vec<Series>,
}

/// A place in the picture.
type Pixels = (f64, f64);

/// The rectangle of a plot, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlotArea {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl PlotArea {
    pub(super) fn x(&self, place: f64) -> f64 {
        self.left + place * (self.right - self.left)
    }

    fn y(&self, place: f64) -> f64 {
        self.bottom - place * (self.bottom - self.top)
    }
}

/// A panel with its axes, ready to be drawn.
pub(super) struct PanelDrawing<'a> {
    pub(super) panel: &'a Panel,
    pub(super) x: &'a FittedAxis,
    pub(super) area: PlotArea,
}

impl Panel {
    /// The width that the labels at the lines' ends take.
    pub(super) fn label_width(&self) -> f64 {
        let widths = self.series.iter().map(|series| text_width(&series.name));
        let widest = widths.fold(0.0, f64::max);
        if widest > 0.0 { widest + LABEL_GAP + 12.0 } else { 24.0 }
    }

    fn fitted(&self) -> FittedAxis {
        self.y.fit(self.series.iter().flat_map(|series| series.points.iter().map(|(_, y)| *y)))
    }
}

impl PanelDrawing<'_> {
    pub(super) fn draw(&self, svg: &mut Svg) {
        let y = self.panel.fitted();
        self.grid(svg, &y);
        let mut ends = Vec::new();
        for (place, series) in self.panel.series.iter().enumerate() {
            let places = self.places(series, &y);
            match series.style {
                SeriesStyle::Bars => self.bars(svg, series, &places, place > 0),
                SeriesStyle::Line | SeriesStyle::Dashed | SeriesStyle::Points => {
                    draw_points(svg, series, &places);
                }
            }
            let last = places.iter().rev().find_map(|place| *place);
            ends.extend(last.filter(|_| !series.name.is_empty()).map(|end| (series, end)));
        }
        self.labels(svg, &ends);
    }

    fn grid(&self, svg: &mut Svg, y: &FittedAxis) {
        let PlotArea { left, right, top, bottom } = self.area;
        for (value, name) in &y.ticks {
            let Some(height) = y.place(*value).map(|place| self.area.y(place)) else { continue };
            svg.line(&[(left, height), (right, height)], GRID, 1.0, "");
            svg.text((left - 8.0, height + 4.0), Anchor::End, FONT_SIZE, name);
        }
        for (value, _) in &self.x.ticks {
            let Some(at) = self.x.place(*value).map(|place| self.area.x(place)) else { continue };
            svg.line(&[(at, bottom), (at, bottom + 5.0)], EDGE, 1.0, "");
        }
        svg.line(&[(left, bottom), (right, bottom)], EDGE, 1.0, "");
        svg.text((left, top - 9.0), Anchor::Start, FONT_SIZE, &self.panel.y.label);
    }

    /// The pixels of each point; none for a gap.
    fn places(&self, series: &Series, y: &FittedAxis) -> Vec<Option<Pixels>> {
        let place = |point: (f64, f64)| {
            Some((self.area.x(self.x.place(point.0)?), self.area.y(y.place(point.1)?)))
        };
        series.thinned().into_iter().map(place).collect()
    }

    /// Values stand above the bars at the back, and inside those in front if there is room.
    fn bars(&self, svg: &mut Svg, series: &Series, places: &[Option<Pixels>], is_front: bool) {
        for (place, (_, value)) in places.iter().zip(&series.points) {
            let Some((x, y)) = *place else { continue };
            let height = self.area.bottom - y;
            svg.rectangle((x - BAR_WIDTH / 2.0, y), (BAR_WIDTH, height), series.paint());
            let value = number((value * 10.0).round() / 10.0);
            match (is_front, height > 20.0) {
                (false, _) => svg.text((x, y - 5.0), Anchor::Middle, FONT_SIZE, &value),
                (true, true) => svg.light_text((x, y + 15.0), &value),
                (true, false) => {}
            }
        }
    }

    /// The names of the series, right of their ends.
    fn labels(&self, svg: &mut Svg, ends: &[(&Series, Pixels)]) {
        let heights: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
        let spread = spread(&heights, self.area.top, self.area.bottom);
        let at = self.area.right + LABEL_GAP;
        for ((series, end), height) in ends.iter().zip(spread) {
            let begin = if series.style == SeriesStyle::Bars { BAR_WIDTH / 2.0 } else { 6.0 };
            svg.line(&[(end.0 + begin, end.1), (at - 3.0, height)], series.paint(), 1.0, "");
            svg.text((at, height + 4.0), Anchor::Start, FONT_SIZE, &series.name);
        }
    }
}

fn draw_points(svg: &mut Svg, series: &Series, places: &[Option<Pixels>]) {
    let color = series.paint();
    if series.style == SeriesStyle::Points {
        return places.iter().flatten().for_each(|at| svg.dot(*at, color));
    }
    let dashes = if series.style == SeriesStyle::Dashed { "5 4" } else { "" };
    for run in places.split(Option::is_none).filter(|run| !run.is_empty()) {
        let points: Vec<Pixels> = run.iter().flatten().copied().collect();
        match points.as_slice() {
            [alone] => svg.dot(*alone, color),
            joined => svg.line(joined, color, 2.0, dashes),
        }
    }
}
