//! Charts as SVG: pure, and equal bytes for equal data.
//!
//! A picture has a white ground of its own, labels at the ends of its lines, and no font but the
//! viewer's. A chart of several panels shows them below each other over one x axis.
//!
//! | file | holds |
//! | --- | --- |
//! | `svg` | the elements, as text |
//! | `axis` | from values to places, and which values are named |
//! | `series` | points, thinned |
//! | `labels` | labels, moved apart |
//! | `panel` | one plot: a y axis and its series |

mod axis;
mod labels;
mod panel;
mod series;
mod svg;

pub use self::axis::{Axis, Scale, number};
pub use self::panel::Panel;
pub use self::series::{Series, SeriesStyle};

use self::axis::FittedAxis;
use self::labels::rows;
use self::panel::{PanelDrawing, PlotArea};
use self::svg::{Anchor, FONT_SIZE, Svg, text_width};

const WIDTH: f64 = 800.0;

/// The height with one panel.
const HEIGHT: f64 = 450.0;

/// The height that each further panel adds.
const PANEL_HEIGHT: f64 = 130.0;

/// Left of the plot: room for the names of ticks.
const LEFT: f64 = 76.0;

/// Above the first plot: title, subtitle, and the label of its y axis.
const TOP: f64 = 84.0;

/// Below the last plot: names of ticks, and the label of the x axis.
const BOTTOM: f64 = 50.0;

/// Between two plots: the label of the lower one's y axis.
const BETWEEN: f64 = 34.0;

/// Rows of labels of marks, at most.
const MARK_ROWS: usize = 3;

/// The height of such a row.
const MARK_ROW_HEIGHT: f64 = 15.0;

/// A moment at which something was done, over all panels.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Where, on the x axis.
    pub x: f64,
    /// What.
    pub label: String,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The conditions: machine, load, method.
    pub subtitle: String,
    /// The x axis of all panels.
    pub x: Axis,
    /// The plots, from the top down.
    pub panels: Vec<Panel>,
    /// Moments, if x is time.
    pub marks: Vec<Mark>,
}

impl Chart {
    /// Returns the chart as an SVG document, 800 pixels wide.
    pub fn to_svg(&self) -> String {
        self.drawn(Svg::begin(WIDTH, self.height(), &self.title))
    }

    /// Returns two charts below each other as one SVG document, 800 pixels wide.
    pub fn to_svg_above(&self, below: &Self) -> String {
        let (height, below_height) = (self.height(), below.height());
        let below = below.drawn(Svg::begin_at(height, WIDTH, below_height, &below.title));
        Svg::around(WIDTH, height + below_height, &[self.to_svg(), below])
    }

    fn height(&self) -> f64 {
        HEIGHT + self.panels.len().saturating_sub(1) as f64 * PANEL_HEIGHT
    }

    fn drawn(&self, mut svg: Svg) -> String {
        svg.text((24.0, 30.0), Anchor::Start, 17.0, &self.title);
        svg.text((24.0, 50.0), Anchor::Start, FONT_SIZE, &self.subtitle);
        let x = self.fitted();
        let labels = self.panels.iter().map(Panel::label_width).fold(24.0, f64::max);
        let right = WIDTH - labels;
        let rows = self.mark_rows(&x, right);
        let top = TOP + rows.iter().map(|row| row + 1).max().unwrap_or(0) as f64 * MARK_ROW_HEIGHT;
        let areas = areas(self.panels.len(), right, top, self.height() - BOTTOM);
        self.draw_marks(&mut svg, &x, &areas, &rows);
        for (panel, area) in self.panels.iter().zip(&areas) {
            PanelDrawing { panel, x: &x, area: *area }.draw(&mut svg);
        }
        if let Some(last) = areas.last() {
            self.draw_x_axis(&mut svg, &x, *last);
        }
        svg.end()
    }

    fn fitted(&self) -> FittedAxis {
        let series = self.panels.iter().flat_map(|panel| &panel.series);
        let points = series.flat_map(|series| series.points.iter().map(|(x, _)| *x));
        self.x.fit(points.chain(self.marks.iter().map(|mark| mark.x)))
    }

    fn draw_x_axis(&self, svg: &mut Svg, x: &FittedAxis, area: PlotArea) {
        for (value, name) in &x.ticks {
            let Some(place) = x.place(*value) else { continue };
            svg.text((area.x(place), area.bottom + 20.0), Anchor::Middle, FONT_SIZE, name);
        }
        let middle = f64::midpoint(area.left, area.right);
        svg.text((middle, area.bottom + 40.0), Anchor::Middle, FONT_SIZE, &self.x.label);
    }

    /// The row of each mark's label; a mark outside the axis has one too, and is not drawn.
    fn mark_rows(&self, x: &FittedAxis, right: f64) -> Vec<usize> {
        let extent = |mark: &Mark| {
            let at = x.place(mark.x).map_or(0.0, |place| LEFT + place * (right - LEFT));
            let half = text_width(&mark.label) / 2.0;
            (at - half, at + half)
        };
        rows(&self.marks.iter().map(extent).collect::<Vec<_>>(), MARK_ROWS)
    }

    fn draw_marks(&self, svg: &mut Svg, x: &FittedAxis, areas: &[PlotArea], rows: &[usize]) {
        let (Some(first), Some(last)) = (areas.first(), areas.last()) else { return };
        for (mark, row) in self.marks.iter().zip(rows) {
            let Some(at) = x.place(mark.x).map(|place| first.x(place)) else { continue };
            let height = TOP - 14.0 + *row as f64 * MARK_ROW_HEIGHT;
            svg.line(&[(at, height + 4.0), (at, last.bottom)], "#999999", 1.0, "2 3");
            svg.text((at, height), Anchor::Middle, FONT_SIZE, &mark.label);
        }
    }
}

/// So many plots below each other.
fn areas(count: usize, right: f64, top: f64, bottom: f64) -> Vec<PlotArea> {
    let between = BETWEEN * count.saturating_sub(1) as f64;
    let each = (bottom - top - between) / count.max(1) as f64;
    let area = |place: usize| {
        let top = top + place as f64 * (each + BETWEEN);
        PlotArea { left: LEFT, right, top, bottom: top + each }
    };
    (0..count).map(area).collect()
}

#[cfg(test)]
mod tests;
