//! Axes: from values to places, and which values are named.

/// Ticks of a linear axis: about so many.
const TICKS: f64 = 5.0;

/// Up to so many decades a logarithmic axis names 2 and 5 too.
const FINE_DECADES: f64 = 2.5;

/// The percentiles that are named.
const PERCENTILES: [f64; 6] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99];

/// The highest percentile that has a place: 100 is infinitely far away.
const PERCENTILE_MAX: f64 = 99.999;

/// How values are spread over an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from zero on if no range is given.
    Linear,
    /// By their logarithm. What is not positive has no place.
    Log,
    /// As percentiles: each further nine takes the same width.
    Percentile,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// How values are spread.
    pub scale: Scale,
    /// The least and the greatest value. Without it the data decide; what lies outside is not drawn.
    pub range: Option<(f64, f64)>,
    /// The values that are named, and their names. If there are none they are chosen.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Returns an axis that fits its data.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale, range: None, ticks: Vec::new() }
    }

    /// The same with a range.
    #[must_use]
    pub fn within(mut self, least: f64, greatest: f64) -> Self {
        self.range = Some((least, greatest));
        self
    }

    /// The same with named values.
    #[must_use]
    pub fn named(mut self, ticks: Vec<(f64, String)>) -> Self {
        self.ticks = ticks;
        self
    }

    /// Fits the axis to the values that it has to show.
    pub(super) fn fit(&self, values: impl Iterator<Item = f64>) -> FittedAxis {
        let scale = self.scale;
        let (least, greatest) = self.range.unwrap_or_else(|| {
            scale.padded(values.filter(|value| scale.transformed(*value).is_some()))
        });
        let ticks = if self.ticks.is_empty() {
            let named = scale.ticks(least, greatest);
            let percent = if scale == Scale::Percentile { " %" } else { "" };
            named.into_iter().map(|tick| (tick, format!("{}{percent}", number(tick)))).collect()
        } else {
            self.ticks.clone()
        };
        FittedAxis { scale, least, greatest, ticks }
    }
}

/// An axis with a range and ticks.
#[derive(Debug)]
pub(super) struct FittedAxis {
    scale: Scale,
    least: f64,
    greatest: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl FittedAxis {
    /// Where a value is, from 0 to 1; none if it is outside the range or is no number.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        const ROUNDING: f64 = 1e-9;
        let least = self.scale.transformed(self.least)?;
        let span = self.scale.transformed(self.greatest)? - least;
        let place = (self.scale.transformed(value)? - least) / span;
        (-ROUNDING..=1.0 + ROUNDING).contains(&place).then(|| place.clamp(0.0, 1.0))
    }
}

impl Scale {
    /// The value on an even scale; none if it has no place.
    fn transformed(self, value: f64) -> Option<f64> {
        let even = match self {
            Self::Linear => value,
            Self::Log if value > 0.0 => value.log10(),
            Self::Log => return None,
            Self::Percentile if (0.0..=100.0).contains(&value) => {
                -(1.0 - value.min(PERCENTILE_MAX) / 100.0).log10()
            }
            Self::Percentile => return None,
        };
        even.is_finite().then_some(even)
    }

    /// A range that shows the values, which all have a place.
    fn padded(self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (least, greatest) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), value| {
                (least.min(value), greatest.max(value))
            });
        if least > greatest {
            return if self == Self::Log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        match self {
            Self::Linear => {
                let least = least.min(0.0);
                let step = step(if greatest > least { greatest - least } else { 1.0 });
                ((least / step).floor() * step, (greatest / step).ceil().max(1.0) * step)
            }
            Self::Log => (least / 1.2, greatest * 1.2),
            Self::Percentile => (0.0, greatest.max(50.0)),
        }
    }

    fn ticks(self, least: f64, greatest: f64) -> Vec<f64> {
        match self {
            Self::Linear => {
                let step = step(greatest - least);
                let steps = (least / step).ceil() as i64..=(greatest / step + 1e-9) as i64;
                steps.map(|tick| tick as f64 * step).collect()
            }
            Self::Log => {
                let fine = (greatest / least).log10() <= FINE_DECADES;
                let factors: &[f64] = if fine { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let decades = least.log10().floor() as i32..=greatest.log10().ceil() as i32;
                decades
                    .flat_map(|decade| {
                        factors.iter().map(move |factor| factor * 10_f64.powi(decade))
                    })
                    .filter(|tick| (least..=greatest).contains(tick))
                    .collect()
            }
            Self::Percentile => {
                PERCENTILES.into_iter().filter(|tick| (least..=greatest).contains(tick)).collect()
            }
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten that parts a span into about [`TICKS`].
fn step(span: f64) -> f64 {
    let raw = span / TICKS;
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| raw <= factor * power * 1.000_001);
    factor.unwrap_or(10.0) * power
}

/// A number as people write it: thousands in groups, and no zeros behind the point.
pub fn number(value: f64) -> String {
    let text = format!("{:.4}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(scale: Scale, values: &[f64]) -> Vec<String> {
        let fitted = Axis::new("x", scale).fit(values.iter().copied());
        fitted.ticks.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        assert_eq!(ticks(Scale::Linear, &[0.3, 8.6]), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(ticks(Scale::Linear, &[0.0, 0.0123]), ["0", "0.005", "0.01", "0.015"]);
        assert_eq!(ticks(Scale::Log, &[0.7, 28.0]), ["1", "2", "5", "10", "20"]);
        assert_eq!(
            ticks(Scale::Log, &[1.0, 1e6]),
            ["1", "10", "100", "1,000", "10,000", "100,000", "1,000,000"]
        );
        assert_eq!(ticks(Scale::Percentile, &[99.9]), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn each_nine_takes_the_same_width() {
        let axis = Axis::new("x", Scale::Percentile).within(0.0, 99.9).fit([].into_iter());
        for (percentile, place) in [(0.0, 0.0), (90.0, 1.0), (99.0, 2.0), (99.9, 3.0)] {
            let found = axis.place(percentile).unwrap();
            assert!((found - place / 3.0).abs() < 1e-9, "{percentile}: {found}");
        }
        assert_eq!(axis.place(100.1), None);
    }

    #[test]
    fn what_has_no_place_is_left_out() {
        let log = Axis::new("x", Scale::Log).fit([0.0, 1.0, 100.0, f64::NAN].into_iter());
        assert_eq!((log.place(0.0), log.place(f64::NAN), log.place(1e9)), (None, None, None));
        assert!(log.place(10.0).is_some_and(|place| (place - 0.5).abs() < 1e-9));
        let empty = Axis::new("x", Scale::Linear).fit([].into_iter());
        assert_eq!(empty.place(0.5), Some(0.5));
    }

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in
            [(0.0, "0"), (1_048_576.0, "1,048,576"), (0.25, "0.25"), (-1234.5, "-1,234.5")]
        {
            assert_eq!(number(value), text);
        }
    }
}
