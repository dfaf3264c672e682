//! The alerting rules that are shipped, for a time that runs faster.

use std::collections::BTreeSet;

use crate::harness::shipped;

/// By how much. A scrape a second stands for one in 15 s, and each `for` and each range is a
/// fifteenth. No threshold is touched.
pub const FASTER: u64 = 15;

/// Alerts that no fault fires here. One needs a ring of three CQL servers, each with a clock of its
/// own: containers and time namespaces share the machine's.
pub const NOT_FIRED: [&str; 1] = ["NarrowcastClocksApart"];

/// The names of all alerts.
pub fn names() -> BTreeSet<String> {
    let text = shipped("config/alerts.yml");
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(ToOwned::to_owned).collect()
}

/// The rules with all durations divided.
pub fn faster() -> String {
    let text = shipped("config/alerts.yml");
    let lines = text.lines().map(|line| match line.split_once("for: ") {
        Some((indent, duration)) if indent.trim().is_empty() => {
            format!("{indent}for: {}\n", divided(duration))
        }
        _ => ranges_divided(line) + "\n",
    });
    lines.collect()
}

/// A line of an expression: each `[5m]` in it is divided.
fn ranges_divided(line: &str) -> String {
    let mut parts = line.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| match part.split_once(']') {
        Some((range, rest)) => format!("{whole}[{}]{rest}", divided(range)),
        None => format!("{whole}[{part}"),
    })
}

/// A duration of one number and one unit.
fn divided(duration: &str) -> String {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => panic!("a duration: {duration}"),
    };
    let number: u64 = number.parse().expect("a number");
    format!("{}ms", number * unit / FASTER)
}

#[test]
fn durations_are_divided_and_thresholds_are_not() {
    let (text, faster) = (shipped("config/alerts.yml"), faster());
    assert_eq!(text.lines().count(), faster.lines().count());
    assert!(faster.contains("for: 20000ms") && text.contains("for: 5m"), "{faster}");
    assert!(faster.contains("rate(narrowcast_events_shed_total[20000ms]) > 10"), "{faster}");
    assert!(faster.contains("increase(narrowcast_audit_found_total[240000ms]) > 0"), "{faster}");
    assert!(!faster.contains("for: 5m") && !faster.contains("[5m]"), "{faster}");
}
