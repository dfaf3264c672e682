//! `bench crowd` against a real process.

use super::{bench, objects};

/// The second message would be due after 100 s.
#[test]
fn a_slow_speaker_ends_in_time_and_all_deliveries_count() {
    let ended = bench(&["crowd", "--members=20", "--per-s=0.01", "--seconds=1", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let rows = objects(&ended);
    assert_eq!((&rows[0]["sent"], &rows[0]["delivered"]), (&0.into(), &0.into()));
    assert_eq!((&rows[1]["sent"], &rows[1]["delivered"]), (&1.into(), &20.into()));
    assert!(rows.iter().all(|row| row["probes"].as_u64() > Some(0)), "{rows:?}");
}
