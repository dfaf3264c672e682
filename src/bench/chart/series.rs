//! What is drawn: named points, thinned to what a picture can show.

/// Colours that differ for colour-blind people too (Okabe and Ito), in the order of their use.
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#555555", "#cc79a7", "#e69f00"];

/// Most points of a line: more than the picture has columns for shows nothing more.
const POINTS_MAX: usize = 600;

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesStyle {
    /// Joined by a line.
    Line,
    /// Joined by a dashed line: what is computed, not measured.
    Dashed,
    /// Each on its own.
    Points,
    /// A bar each, from the lower edge on, with its value above. Of bars at one place the later one
    /// is in front.
    Bars,
}

/// Points of one kind.
#[derive(Debug, Clone)]
pub struct Series {
    /// What stands at its end; nothing if it is empty.
    pub name: String,
    /// Which colour: series of one subject share one. They repeat after six.
    pub color: usize,
    /// How it is drawn.
    pub style: SeriesStyle,
    /// The points, by rising x. One that is not a number leaves a gap in the line.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    pub(super) const fn paint(&self) -> &'static str {
        COLORS[self.color % COLORS.len()]
    }

    /// The points, at most [`POINTS_MAX`]: of each group that becomes one column, the least and the
    /// greatest stay, so no peak is lost.
    pub(super) fn thinned(&self) -> Vec<(f64, f64)> {
        if self.points.len() <= POINTS_MAX {
            return self.points.clone();
        }
        let group = self.points.len().div_ceil(POINTS_MAX / 2);
        self.points.chunks(group).flat_map(extremes).collect()
    }
}

/// The least and the greatest of some points, in their order; a gap if one of them is a gap.
fn extremes(points: &[(f64, f64)]) -> [(f64, f64); 2] {
    let mut found = [points[0]; 2];
    for &point in points {
        if !point.1.is_finite() {
            return [(points[0].0, f64::NAN), (points[points.len() - 1].0, f64::NAN)];
        }
        if point.1 < found[0].1 {
            found[0] = point;
        }
        if point.1 > found[1].1 {
            found[1] = point;
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: Vec<(f64, f64)>) -> Series {
        Series { name: String::new(), color: 0, style: SeriesStyle::Line, points }
    }

    #[test]
    fn thinning_is_bounded_and_keeps_peaks_and_gaps() {
        let y = |second: i32| match second {
            1_234 => 99.0,
            2_000 => f64::NAN,
            _ => 1.0,
        };
        let thinned = line((0..3_600).map(|x| (f64::from(x), y(x))).collect()).thinned();
        assert!(thinned.len() <= POINTS_MAX, "{}", thinned.len());
        assert!(thinned.contains(&(1_234.0, 99.0)));
        assert!(thinned.iter().any(|(_, y)| y.is_nan()));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points: Vec<(f64, f64)> = (0..600).map(|x| (f64::from(x), 1.0)).collect();
        assert_eq!(line(points.clone()).thinned(), points);
    }
}
