use super::*;

mod model;

const HERE: ServerRun = ServerRun(1);
const BOUNDS: PublishBounds = PublishBounds { pending: 4, queue_max: 100 };

/// Where the wall clock is at moment zero.
const WALL: Micros = Micros(1_000_000_000);

fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime((seconds * 1e6).round() as u64)
}

fn wall(seconds: f64) -> Micros {
    WALL + Duration::from_secs_f64(seconds)
}

/// Both clocks; the wall clock is so far ahead of the other.
fn now(seconds: f64, ahead: f64) -> ClockReading {
    let ahead = (ahead * 1e6).round() as i64;
    ClockReading { wall: Micros(wall(seconds).0.saturating_add_signed(ahead)), moment: at(seconds) }
}

/// A publish by its number. It may go to any shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parcel(u64);

impl Reroutable for Parcel {
    fn detoured(&self) -> Option<Self> {
        Some(*self)
    }
}

/// A tracker of one shard that is up.
fn tracker() -> PublishTracker<Parcel> {
    let mut tracker = PublishTracker::new(1, BOUNDS, at(0.0), Safeguards::default());
    tracker.up(0, HERE);
    tracker
}

fn lease(generation: u32, until: f64) -> Lease {
    Lease { generation, until: at(until) }
}

fn enter(tracker: &mut PublishTracker<Parcel>, seconds: f64) -> SendId {
    tracker.enter(wall(seconds), at(seconds))
}

/// A send that passed, and its one publish.
fn send(tracker: &mut PublishTracker<Parcel>, seconds: f64) -> SendId {
    let send_id = enter(tracker, seconds);
    let lease = Some(lease(send_id.generation, f64::MAX));
    assert_eq!(tracker.check_ack(send_id, now(seconds, 0.0), lease, 1), AckDecision::Passed);
    tracker.publish(0, Parcel(0), Some(send_id), at(seconds));
    send_id
}

/// Everything that waits is sent and confirmed.
fn confirm(tracker: &mut PublishTracker<Parcel>) {
    assert!(tracker.take(0, usize::MAX).count() > 0);
    tracker.answered(0, |_| true);
}

fn below(seconds: f64) -> Micros {
    Micros(wall(seconds).0 - 1)
}

/// Settled and decided, as in the heartbeat of an incarnation at a time.
fn numbers(
    tracker: &mut PublishTracker<Parcel>,
    generation: u32,
    seconds: f64,
) -> (Micros, Micros) {
    let snapshot = tracker.snapshot(generation, wall(seconds));
    (snapshot.settled, snapshot.decided)
}

#[test]
fn an_acknowledgement_counts_for_5_s_on_both_clocks() {
    use AckDecision::{Passed, Unknown};
    let cases = [
        (5.0, 0.0, Passed),
        (5.000_001, 0.0, Unknown(UnknownReason::Late)),
        (5.000_001, -3.0, Unknown(UnknownReason::Late)),
        (1.0, 4.0, Passed),
        (1.0, 4.000_001, Unknown(UnknownReason::Late)),
        (1.0, -9.0, Passed),
    ];
    for (seconds, ahead, expected) in cases {
        let mut tracker = tracker();
        let send_id = enter(&mut tracker, 0.0);
        let judgement = tracker.check_ack(send_id, now(seconds, ahead), Some(lease(0, 60.0)), 1);
        assert_eq!(judgement, expected, "after {seconds} s, the wall clock {ahead} s ahead");
    }
}

#[test]
fn an_acknowledgement_counts_within_the_lease_of_its_own_tenure() {
    use AckDecision::{Passed, Unknown};
    let cases = [
        (Some(lease(0, 2.0)), Unknown(UnknownReason::Fenced)),
        (Some(lease(0, 2.000_001)), Passed),
        (Some(lease(1, 60.0)), Unknown(UnknownReason::Fenced)),
        (None, Unknown(UnknownReason::Fenced)),
    ];
    for (lease, expected) in cases {
        let mut tracker = tracker();
        let send_id = enter(&mut tracker, 0.0);
        assert_eq!(tracker.check_ack(send_id, now(2.0, 0.0), lease, 1), expected, "{lease:?}");
    }
}

#[test]
fn what_passed_is_decided_and_is_settled_by_the_last_of_its_publishes() {
    let mut tracker = tracker();
    let send_id = enter(&mut tracker, 1.0);
    assert_eq!(numbers(&mut tracker, 0, 9.0), (below(1.0), below(1.0)));
    tracker.check_ack(send_id, now(1.0, 0.0), Some(lease(0, 60.0)), 2);
    assert_eq!(numbers(&mut tracker, 0, 9.0), (below(1.0), wall(9.0)));
    for settled in [below(1.0), wall(9.0)] {
        tracker.publish(0, Parcel(0), Some(send_id), at(1.0));
        confirm(&mut tracker);
        assert_eq!(numbers(&mut tracker, 0, 9.0), (settled, wall(9.0)));
    }
}

#[test]
fn what_is_in_doubt_is_settled_at_once_for_ever() {
    let mut tracker = tracker();
    let (late, abandoned) = (enter(&mut tracker, 0.0), enter(&mut tracker, 1.0));
    tracker.check_ack(late, now(6.0, 0.0), Some(lease(0, 60.0)), 2);
    assert_eq!(numbers(&mut tracker, 0, 9.0), (below(1.0), below(1.0)));
    tracker.abandon(abandoned);
    assert_eq!(numbers(&mut tracker, 0, 9.0), (wall(9.0), wall(9.0)));
    assert!(tracker.is_settled(0));
}

#[test]
fn what_passed_cannot_be_abandoned() {
    let mut tracker = tracker();
    let send_id = send(&mut tracker, 1.0);
    tracker.abandon(send_id);
    assert_eq!(numbers(&mut tracker, 0, 9.0), (below(1.0), wall(9.0)));
}

#[test]
fn a_send_that_publishes_nothing_is_settled_when_it_passes() {
    let mut tracker = tracker();
    let send_id = enter(&mut tracker, 1.0);
    assert_eq!(
        tracker.check_ack(send_id, now(1.0, 0.0), Some(lease(0, 60.0)), 0),
        AckDecision::Passed
    );
    assert_eq!(numbers(&mut tracker, 0, 9.0), (wall(9.0), wall(9.0)));
}

#[test]
fn a_gap_settles_and_the_same_snapshot_tells_it() {
    let mut tracker = PublishTracker::new(1, BOUNDS, at(0.0), Safeguards::default());
    send(&mut tracker, 0.0);
    enter(&mut tracker, 9.0);
    tracker.tick(at(10.0));
    assert_eq!(tracker.snapshot(0, wall(20.0)).settled, below(0.0));
    assert_eq!(tracker.tick(at(10.1)).dropped, 1);
    let snapshot = tracker.snapshot(0, wall(20.0));
    assert_eq!((snapshot.links[0].gap_no, snapshot.settled), (1, below(9.0)), "no further");
}

#[test]
fn what_was_given_up_on_is_settled_and_not_confirmed() {
    let mut tracker = PublishTracker::new(1, BOUNDS, at(0.0), Safeguards::default());
    let lost = send(&mut tracker, 0.0);
    assert!(!tracker.is_confirmed(lost), "it is not answered");
    assert_eq!(tracker.tick(at(10.1)).dropped, 1);
    assert!(tracker.is_settled(0) && !tracker.is_confirmed(lost));
    tracker.up(0, HERE);
    let later = send(&mut tracker, 11.0);
    confirm(&mut tracker);
    assert!(tracker.is_confirmed(later) && !tracker.is_confirmed(lost));
}

#[test]
fn pending_sends_are_bounded_over_all_tenures() {
    let mut tracker = tracker();
    let first = enter(&mut tracker, 0.0);
    enter(&mut tracker, 1.0);
    tracker.begin_incarnation(1);
    enter(&mut tracker, 2.0);
    assert!(tracker.has_room());
    enter(&mut tracker, 3.0);
    assert!(!tracker.has_room());
    tracker.abandon(first);
    assert!(tracker.has_room());
}

#[test]
fn each_tenure_has_its_own_numbers() {
    let mut tracker = tracker();
    send(&mut tracker, 1.0);
    let undecided = enter(&mut tracker, 2.0);
    tracker.begin_incarnation(1);
    assert_eq!((tracker.generation(), tracker.generations().collect::<Vec<_>>()), (1, vec![0, 1]));
    send(&mut tracker, 3.0);
    assert_eq!(numbers(&mut tracker, 0, 9.0), (below(1.0), below(2.0)));
    assert_eq!(numbers(&mut tracker, 1, 9.0), (below(3.0), wall(9.0)));
    assert_eq!([0, 1].map(|generation| tracker.is_settled(generation)), [false, false]);

    confirm(&mut tracker);
    assert_eq!([0, 1].map(|generation| tracker.is_settled(generation)), [false, true]);
    assert_eq!(numbers(&mut tracker, 0, 9.0), (below(2.0), below(2.0)));
    let judgement = tracker.check_ack(undecided, now(4.0, 0.0), Some(lease(1, 60.0)), 1);
    assert_eq!(judgement, AckDecision::Unknown(UnknownReason::Fenced), "its generation is over");
    assert!(tracker.is_settled(0));
}

#[test]
fn a_fresh_tenure_counts_from_nought() {
    let mut tracker = PublishTracker::new(1, BOUNDS, at(0.0), Safeguards::default());
    let counts = |tracker: &mut PublishTracker<Parcel>, generation| {
        let link = tracker.snapshot(generation, wall(99.0)).links[0];
        (link.run, link.epoch, link.gap_no)
    };
    tracker.up(0, HERE);
    tracker.down(0, at(1.0));
    send(&mut tracker, 2.0);
    tracker.tick(at(13.0));
    assert_eq!(counts(&mut tracker, 0), (None, 1, 1));
    tracker.begin_incarnation(1);
    assert_eq!(counts(&mut tracker, 1), (None, 0, 0));
    assert_eq!(counts(&mut tracker, 0), (None, 1, 1));
    tracker.up(0, ServerRun(2));
    tracker.down(0, at(20.0));
    send(&mut tracker, 21.0);
    tracker.tick(at(40.0));
    assert_eq!(counts(&mut tracker, 1), (None, 2, 1), "another run, and away for long");
    assert_eq!(counts(&mut tracker, 0), (None, 3, 2), "an old heartbeat shows it too");
}

#[test]
fn a_forgotten_tenure_is_fenced_and_its_answers_settle_nothing_else() {
    let mut tracker = tracker();
    let (old, writing) = (send(&mut tracker, 1.0), enter(&mut tracker, 2.0));
    tracker.begin_incarnation(1);
    let fresh = enter(&mut tracker, 3.0);
    assert_eq!(old.number, fresh.number, "each generation numbers its own sends");
    tracker.check_ack(fresh, now(3.0, 0.0), Some(lease(1, 60.0)), 1);
    tracker.forget(0);
    assert_eq!(tracker.generations().collect::<Vec<_>>(), [1]);
    assert!(tracker.is_settled(0));
    let judgement = tracker.check_ack(writing, now(3.0, 0.0), Some(lease(0, 60.0)), 1);
    assert_eq!(judgement, AckDecision::Unknown(UnknownReason::Fenced));
    confirm(&mut tracker);
    assert_eq!(numbers(&mut tracker, 1, 9.0).0, below(3.0), "the fresh one's is not answered");
}

#[test]
fn a_send_that_is_unsettled_for_over_a_minute_is_stuck() {
    let mut tracker = tracker();
    enter(&mut tracker, 1.0);
    assert!(!tracker.is_stuck(at(61.0)));
    assert!(tracker.is_stuck(at(61.1)));
    tracker.begin_incarnation(1);
    assert!(!tracker.is_stuck(at(99.0)), "the fence was for that");
}
