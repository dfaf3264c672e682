//! Figures with their units, short at any size, and without a blank: programs split
//! lines at blanks.

use std::time::Duration;

use crate::clock::Readable;

/// What stands for a figure that is not known.
pub(super) const UNKNOWN: &str = "-";

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1024.0 * MIB;

/// Returns a figure that is known in its own form, and a dash for another.
pub(super) fn or_unknown(figure: Option<f64>, form: fn(f64) -> String) -> String {
    figure.filter(|figure| *figure >= 0.0).map_or_else(|| UNKNOWN.to_owned(), form)
}

/// A count: all digits below ten millions.
pub(super) fn count(value: f64) -> String {
    const SCALES: [(f64, &str); 3] = [(1e6, "M"), (1e9, "G"), (1e12, "T")];
    if value < 9_999_999.5 {
        return format!("{value:.0}");
    }
    let scale = SCALES.into_iter().find(|(scale, _)| value / scale < 9_999.95);
    scale.map_or_else(
        || format!("{value:.0e}"),
        |(scale, name)| format!("{:.1}{name}", value / scale),
    )
}

/// A count a second: one decimal below ten.
pub(super) fn rate(value: f64) -> String {
    if value > 0.0 && value < 9.95 { format!("{value:.1}") } else { count(value) }
}

/// A quotient of counts.
pub(super) fn ratio(value: f64) -> String {
    if value < 9.995 { format!("{value:.2}") } else { rate(value) }
}

/// A share in percent.
pub(super) fn percent(value: f64) -> String {
    format!("{}%", count(value * 100.0))
}

/// Seconds.
pub(super) fn seconds(value: f64) -> String {
    if value < 0.9995 {
        format!("{:.0}ms", value * 1000.0)
    } else if value < 99.95 {
        format!("{value:.1}s")
    } else if value < 5999.5 {
        format!("{value:.0}s")
    } else {
        format!("{}min", count(value / 60.0))
    }
}

/// Bytes of memory.
pub(super) fn memory(value: f64) -> String {
    if value < 9_999.5 * MIB {
        format!("{:.0}MiB", value / MIB)
    } else if value < 999.95 * GIB {
        format!("{:.1}GiB", value / GIB)
    } else {
        format!("{}GiB", count(value / GIB))
    }
}

/// How long something lasts by now, in whole seconds from 1 on.
pub(super) fn age(value: Duration) -> String {
    Readable(Duration::from_secs(value.as_secs().max(1))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_have_their_units() {
        for (shown, expected) in [
            (count(0.0), "0"),
            (count(9_999_999.0), "9999999"),
            (count(1e7), "10.0M"),
            (count(12_345_678_901.0), "12.3G"),
            (rate(0.0), "0"),
            (rate(0.44), "0.4"),
            (rate(9.96), "10"),
            (ratio(1.0), "1.00"),
            (ratio(123.4), "123"),
            (percent(0.985), "98%"),
            (percent(1.0), "100%"),
            (seconds(0.0), "0ms"),
            (seconds(0.34), "340ms"),
            (seconds(1.25), "1.2s"),
            (seconds(250.4), "250s"),
            (seconds(7200.0), "120min"),
            (memory(300.0 * MIB), "300MiB"),
            (memory(64.0 * GIB), "64.0GiB"),
            (age(Duration::from_millis(300)), "1 s"),
            (age(Duration::from_millis(12_900)), "12 s"),
            (or_unknown(None, count), "-"),
            (or_unknown(Some(-1.0), count), "-"),
        ] {
            assert_eq!(shown, expected);
        }
    }

    proptest! {
        #[test]
        fn any_figure_is_short(value in any::<f64>()) {
            for form in [count, rate, ratio, percent, seconds, memory] {
                let text = or_unknown(Some(value), form);
                prop_assert!(text.len() <= 11, "{text}");
            }
        }
    }
}
