use smallvec::smallvec;

use super::*;
use crate::cluster::{ShardRow, sample};

mod model;

const SHARD: ShardTag = ShardTag(1);
const HERE: ServerRun = ServerRun(7);
const ELSEWHERE: ServerRun = ServerRun(8);

/// Where the wall clock is at moment zero.
const WALL: Micros = Micros(1_000_000_000);

const X: Incarnation = Incarnation(1);

fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime((seconds * 1e6).round() as u64)
}

fn now(seconds: f64) -> ClockReading {
    ClockReading { wall: WALL, moment: at(seconds) }
}

fn hears(run: Option<ServerRun>) -> impl Fn(ShardTag) -> Option<ServerRun> {
    move |shard| run.filter(|_| shard == SHARD)
}

fn shard(runs: &[ServerRun], epoch: u64, gap_no: u64) -> ShardRow {
    ShardRow { shard: SHARD, runs: runs.iter().copied().collect(), epoch, gap_no }
}

/// A row that is settled and decided far ahead of every read, so that it bounds nothing.
fn row(x: Incarnation, counter: u64) -> Heartbeat {
    let (settled, decided) = (Micros(u64::MAX), Micros(u64::MAX));
    let shards = smallvec![shard(&[HERE], 0, 0)];
    Heartbeat { settled, decided, shards, written: WALL, ..sample::row(x.0, counter) }
}

fn with(shard: ShardRow, row: Heartbeat) -> Heartbeat {
    Heartbeat { shards: smallvec![shard], ..row }
}

fn left(row: Heartbeat) -> Heartbeat {
    Heartbeat { left: true, ..row }
}

fn settled(time: u64, row: Heartbeat) -> Heartbeat {
    Heartbeat { settled: Micros(time), decided: Micros(time + 1), ..row }
}

fn written(ago: Duration, row: Heartbeat) -> Heartbeat {
    Heartbeat { written: WALL - ago, ..row }
}

fn detector() -> FailureDetector {
    FailureDetector::new(Safeguards::default())
}

/// A read between two times, by a node that subscribes to the shard's run.
fn read(
    detector: &mut FailureDetector,
    rows: &[Heartbeat],
    begin: f64,
    end: f64,
) -> Vec<DeliveryGap> {
    detector.read(rows.to_vec(), now(begin), at(end), hears(Some(HERE))).to_vec()
}

/// A read that takes no time.
fn read_at(detector: &mut FailureDetector, rows: &[Heartbeat], time: f64) -> Vec<DeliveryGap> {
    read(detector, rows, time, time)
}

#[test]
fn nobody_known_bounds_by_the_read_alone() {
    let bounds = detector().bounds(WALL);
    assert_eq!(bounds, ProgressBounds { settled: WALL - READ_CAP, decided: WALL - READ_CAP });
    assert_eq!(detector().bounds(Micros(5)).settled, Micros(0), "a wall clock near zero");
}

#[test]
fn bounds_are_the_least_of_all_rows_and_of_the_read() {
    let mut detector = detector();
    read_at(&mut detector, &[settled(900, row(X, 1)), row(Incarnation(2), 1)], 0.0);
    assert_eq!(
        detector.bounds(WALL),
        ProgressBounds { settled: Micros(900), decided: Micros(901) }
    );
    assert_eq!(detector.bounds(Micros(910) + READ_CAP).decided, Micros(901));
    let early = detector.bounds(Micros(800) + READ_CAP);
    assert_eq!(early, ProgressBounds { settled: Micros(800), decided: Micros(800) });
}

#[test]
fn the_highest_counter_counts_however_rows_flicker() {
    let mut detector = detector();
    let (old, new) = (settled(30, row(X, 3)), settled(50, row(X, 5)));
    read_at(&mut detector, std::slice::from_ref(&new), 0.0);
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&old), 2.0), []);
    assert_eq!(detector.bounds(WALL).settled, Micros(50));
    assert_eq!(detector.rows().map(|row| row.counter).collect::<Vec<_>>(), [5]);
    assert_eq!(read_at(&mut detector, &[new], 14.9), []);
    assert_eq!(
        read_at(&mut detector, &[old], 15.0),
        [DeliveryGap::Dead],
        "flickering is no sign of life"
    );
}

#[test]
fn a_counter_that_stands_still_for_15_s_is_dead() {
    let mut detector = detector();
    // The first read that shows it takes a second, and counts from its end.
    read(&mut detector, &[row(X, 1)], 0.0, 1.0);
    assert_eq!(read(&mut detector, &[row(X, 1)], 15.9, 99.0), []);
    assert_eq!(detector.dying().to_vec(), []);
    assert_eq!(read_at(&mut detector, &[row(X, 1)], 16.0), [DeliveryGap::Dead]);
    assert_eq!(detector.dying().to_vec(), [X]);
    assert_eq!(read_at(&mut detector, &[row(X, 1)], 18.0), [], "once");
}

#[test]
fn slow_reads_kill_nobody() {
    let mut detector = detector();
    read_at(&mut detector, &[row(X, 1)], 0.0);
    assert_eq!(read(&mut detector, &[row(X, 1)], 2.0, 22.0), []);
    assert_eq!(read(&mut detector, &[row(X, 9)], 22.0, 42.0), [], "it had long gone on");
    assert_eq!(read_at(&mut detector, &[row(X, 9)], 56.9), [], "15 s from 42");
    assert_eq!(read_at(&mut detector, &[row(X, 9)], 57.0), [DeliveryGap::Dead]);
}

#[test]
fn the_dead_count_until_they_are_excluded() {
    let mut detector = detector();
    read_at(&mut detector, &[settled(50, row(X, 1))], 0.0);
    read_at(&mut detector, &[settled(50, row(X, 1))], 15.0);
    assert_eq!(detector.bounds(WALL).settled, Micros(50), "no repair has covered it");
    assert_eq!(detector.rows().count(), 0, "no node is alive");
    detector.exclude_left();
    assert_eq!(detector.dying().to_vec(), [X], "only a repair excludes it");
    assert_eq!(read_at(&mut detector, &[settled(60, row(X, 2))], 17.0), [], "it is too late");
    assert_eq!(detector.bounds(WALL).settled, Micros(60));
    detector.exclude(&[X]);
    assert_eq!(detector.bounds(WALL).settled, WALL - READ_CAP);
    assert_eq!(detector.dying().to_vec(), []);
}

#[test]
fn a_row_that_vanished_breaks_once_and_counts_until_it_is_dead() {
    let mut detector = detector();
    let (gone, other) = (settled(50, row(X, 1)), row(Incarnation(2), 1));
    read_at(&mut detector, &[gone.clone(), other.clone()], 0.0);
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&other), 2.0), [DeliveryGap::Vanished]);
    let other = row(Incarnation(2), 2);
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&other), 14.9), []);
    assert_eq!(detector.bounds(WALL).settled, Micros(50));
    assert_eq!(detector.rows().count(), 2, "it is not dead yet");
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&other), 15.0), [DeliveryGap::Dead]);
    assert_eq!(detector.dying().to_vec(), [X]);
    detector.exclude(&[X]);
    assert_eq!(detector.bounds(WALL).settled, WALL - READ_CAP);
}

#[test]
fn a_row_that_comes_back_and_vanishes_again_breaks_again() {
    let mut detector = detector();
    let seen = [row(X, 1)];
    let shown = [true, false, true, false, false].map(|shown| if shown { &seen[..] } else { &[] });
    let breaks = [0.0, 2.0, 4.0, 6.0, 8.0].into_iter().zip(shown);
    let breaks: Vec<_> = breaks.map(|(time, rows)| read_at(&mut detector, rows, time)).collect();
    let gone = vec![DeliveryGap::Vanished];
    assert_eq!(breaks, [vec![], gone.clone(), vec![], gone, vec![]]);
}

#[test]
fn counts_are_compared_with_those_noted_last_and_with_nought_at_first_sight() {
    use DeliveryGap::{EpochMoved, GapMoved};
    let cases: [(&[Counts], &[&[DeliveryGap]]); 5] = [
        (&[(0, 0), (0, 0)], &[&[], &[]]),
        (&[(1, 0), (1, 0)], &[&[EpochMoved], &[]]),
        (&[(0, 3), (0, 3)], &[&[GapMoved], &[]]),
        (&[(0, 0), (1, 1), (1, 2), (1, 2)], &[&[], &[EpochMoved, GapMoved], &[GapMoved], &[]]),
        (&[(2, 0), (1, 0)], &[&[EpochMoved], &[EpochMoved]]),
    ];
    for (counts, expected) in cases {
        let mut detector = detector();
        let breaks = counts.iter().enumerate().map(|(index, (epoch, gap_no))| {
            let row = with(shard(&[HERE], *epoch, *gap_no), row(X, index as u64 + 1));
            read_at(&mut detector, &[row], index as f64)
        });
        assert_eq!(breaks.collect::<Vec<_>>(), expected, "{counts:?}");
    }
}

#[test]
fn counts_of_each_shard_are_noted_apart() {
    let mut detector = detector();
    let other = |epoch| ShardRow { shard: ShardTag(2), ..shard(&[], epoch, 0) };
    let both = |counter, one, two| {
        let shards = smallvec![shard(&[HERE], one, 0), other(two)];
        Heartbeat { shards, ..row(X, counter) }
    };
    assert_eq!(read_at(&mut detector, &[both(1, 0, 0)], 0.0), []);
    assert_eq!(read_at(&mut detector, &[both(2, 1, 0)], 2.0), [DeliveryGap::EpochMoved]);
    assert_eq!(read_at(&mut detector, &[both(3, 0, 1)], 4.0), [DeliveryGap::EpochMoved]);
    assert_eq!(read_at(&mut detector, &[both(4, 0, 1)], 6.0), []);
}

#[test]
fn runs_must_be_the_one_heard_and_none_matches() {
    let cases: [(&[ServerRun], Option<ServerRun>, bool); 6] = [
        (&[HERE], Some(HERE), true),
        (&[ELSEWHERE], Some(HERE), false),
        (&[HERE, ELSEWHERE], Some(HERE), false),
        (&[], Some(HERE), true),
        (&[ELSEWHERE], None, true),
        (&[HERE], Some(ELSEWHERE), false),
    ];
    for (runs, heard, agrees) in cases {
        let mut detector = detector();
        let rows = vec![with(shard(runs, 0, 0), row(X, 1))];
        let breaks = detector.read(rows.clone(), now(0.0), at(0.0), hears(heard));
        let expected: &[DeliveryGap] = if agrees { &[] } else { &[DeliveryGap::RunDiffers] };
        assert_eq!(breaks.as_slice(), expected, "{runs:?} beside {heard:?}");
        assert_eq!(detector.agrees(hears(heard)), agrees);
        let again = detector.read(rows, now(2.0), at(2.0), hears(heard));
        assert_eq!(again.as_slice(), expected, "for as long as it differs");
    }
}

#[test]
fn the_dead_disagree_with_nobody() {
    let mut detector = detector();
    let stray = with(shard(&[ELSEWHERE], 0, 0), row(X, 1));
    read_at(&mut detector, std::slice::from_ref(&stray), 0.0);
    let breaks = read_at(&mut detector, std::slice::from_ref(&stray), 15.0);
    assert_eq!(breaks, [DeliveryGap::RunDiffers, DeliveryGap::Dead]);
    assert!(detector.agrees(hears(Some(HERE))), "a repair may begin");
    assert_eq!(read_at(&mut detector, &[stray], 17.0), []);
}

#[test]
fn who_left_and_differs_in_nothing_is_excluded_at_the_next_advance() {
    let mut detector = detector();
    read_at(&mut detector, &[settled(50, row(X, 1))], 0.0);
    let last = left(settled(60, row(X, 2)));
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&last), 2.0), []);
    assert_eq!(detector.bounds(WALL).settled, Micros(60), "it counts until then");
    assert_eq!(detector.rows().count(), 0, "but is no node any more");
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&last), 100.0), [], "it cannot die");
    detector.exclude_left();
    assert_eq!(detector.bounds(WALL).settled, WALL - READ_CAP);
    assert_eq!(read_at(&mut detector, &[last], 102.0), []);
    assert_eq!(read_at(&mut detector, &[], 104.0), [], "nor vanish");
}

#[test]
fn who_left_with_other_counts_breaks_and_is_excluded_like_any_other() {
    let mut detector = detector();
    read_at(&mut detector, &[row(X, 1)], 0.0);
    let last = left(with(shard(&[HERE], 0, 1), row(X, 2)));
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&last), 2.0), [DeliveryGap::GapMoved]);
    assert_eq!(read_at(&mut detector, &[last], 4.0), [], "once");
    detector.exclude_left();
    assert_eq!(read_at(&mut detector, &[], 6.0), []);
}

#[test]
fn who_left_on_another_run_is_dead_once() {
    let mut detector = detector();
    read_at(&mut detector, &[row(X, 1)], 0.0);
    let last = left(settled(60, with(shard(&[ELSEWHERE], 0, 0), row(X, 2))));
    assert_eq!(read_at(&mut detector, std::slice::from_ref(&last), 2.0), [DeliveryGap::RunDiffers]);
    assert_eq!(detector.dying().to_vec(), [X]);
    assert_eq!(read_at(&mut detector, &[last], 4.0), [], "once");
    detector.exclude_left();
    assert_eq!(detector.bounds(WALL).settled, Micros(60), "a repair must cover it");
    detector.exclude(&[X]);
    assert_eq!(detector.bounds(WALL).settled, WALL - READ_CAP);
}

#[test]
fn an_excluded_incarnation_that_comes_back_stays_out() {
    let mut detector = detector();
    read_at(&mut detector, &[row(X, 1)], 0.0);
    read_at(&mut detector, &[row(X, 1)], 15.0);
    detector.exclude(&[X]);
    assert_eq!(read_at(&mut detector, &[], 17.0), []);
    // Rows are kept for an hour after their last write, and may flicker for as long.
    let late = settled(50, with(shard(&[ELSEWHERE], 4, 4), row(X, 2)));
    assert_eq!(read_at(&mut detector, &[late], 3600.0), []);
    assert_eq!(detector.bounds(WALL).settled, WALL - READ_CAP);
    assert_eq!(detector.rows().count(), 0);
    assert!(detector.agrees(hears(Some(HERE))));
    assert_eq!(detector.known.len(), 1);
    read_at(&mut detector, &[], 3600.0 + REMEMBERED.as_secs_f64() + 1.0);
    assert_eq!(detector.known.len(), 0, "it is forgotten in the end");
}

/// A node that starts is not held up by nodes that died before.
#[test]
fn who_starts_does_not_count_the_long_dead() {
    let ago = |micros: u64| STALE_AFTER + Duration::from_micros(micros);
    let mut detector = detector();
    let (stale, fresh) = (Incarnation(5), Incarnation(6));
    let rows = [
        settled(7, written(ago(1), row(stale, 9))),
        settled(900_000_000, written(ago(0), row(fresh, 9))),
    ];
    assert_eq!(read_at(&mut detector, &rows, 0.0), []);
    assert_eq!(detector.bounds(WALL + READ_CAP).settled, Micros(900_000_000));
    assert_eq!(detector.rows().count(), 1, "no incarnation is declared dead for it");
    assert_eq!(read_at(&mut detector, &rows[..], 2.0), [], "a late row of it is no new one");
    assert_eq!(detector.rows().count(), 1);
    // One that comes to be known later counts until it is dead: there are sessions by then.
    let late = written(ago(1), row(Incarnation(7), 1));
    assert_eq!(read_at(&mut detector, &[rows[1].clone(), late], 4.0), []);
    assert_eq!(detector.rows().count(), 2);
}
