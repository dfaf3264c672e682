use super::*;

mod model;

const HERE: ServerRun = ServerRun(1);
const BOUNDS: PublishBounds = PublishBounds { pending: 4, ring: 100 };

/// Where the wall clock is at moment zero.
const WALL: Micros = Micros(1_000_000_000);

fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime((seconds * 1e6).round() as u64)
}

fn wall(seconds: f64) -> Micros {
    WALL + Duration::from_secs_f64(seconds)
}

/// Both clocks, the wall clock so far ahead of the other.
fn now(seconds: f64, ahead: f64) -> ClockReading {
    let ahead = (ahead * 1e6).round() as i64;
    ClockReading { wall: Micros(wall(seconds).0.saturating_add_signed(ahead)), moment: at(seconds) }
}

/// A publish by its number, that may go anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parcel(u64);

impl Reroutable for Parcel {
    fn detoured(&self) -> Option<Self> {
        Some(*self)
    }
}

/// A tracker of one shard that is up.
fn desk() -> PublishTracker<Parcel> {
    let mut desk = PublishTracker::new(1, BOUNDS, at(0.0), Safeguards::default());
    desk.up(0, HERE);
    desk
}

fn lease(tenure: u32, until: f64) -> Lease {
    Lease { tenure, until: at(until) }
}

fn enter(desk: &mut PublishTracker<Parcel>, seconds: f64) -> SendId {
    desk.enter(wall(seconds), at(seconds))
}

/// A send that passed, and its one publish.
fn send(desk: &mut PublishTracker<Parcel>, seconds: f64) -> SendId {
    let ticket = enter(desk, seconds);
    let lease = Some(lease(ticket.tenure, f64::MAX));
    assert_eq!(desk.judge(ticket, now(seconds, 0.0), lease, 1), AckDecision::Passed);
    desk.publish(0, Parcel(0), Some(ticket), at(seconds));
    ticket
}

/// Everything that waits is sent and confirmed.
fn confirm(desk: &mut PublishTracker<Parcel>) {
    assert!(desk.take(0, usize::MAX).count() > 0);
    desk.answered(0, |_| true);
}

fn below(seconds: f64) -> Micros {
    Micros(wall(seconds).0 - 1)
}

/// Settled and decided, as in the heartbeat of an incarnation at a time.
fn numbers(desk: &mut PublishTracker<Parcel>, tenure: u32, seconds: f64) -> (Micros, Micros) {
    let snapshot = desk.snapshot(tenure, wall(seconds));
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
        let mut desk = desk();
        let ticket = enter(&mut desk, 0.0);
        let judgement = desk.judge(ticket, now(seconds, ahead), Some(lease(0, 60.0)), 1);
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
        let mut desk = desk();
        let ticket = enter(&mut desk, 0.0);
        assert_eq!(desk.judge(ticket, now(2.0, 0.0), lease, 1), expected, "{lease:?}");
    }
}

#[test]
fn what_passed_is_decided_and_is_settled_by_the_last_of_its_publishes() {
    let mut desk = desk();
    let ticket = enter(&mut desk, 1.0);
    assert_eq!(numbers(&mut desk, 0, 9.0), (below(1.0), below(1.0)));
    desk.judge(ticket, now(1.0, 0.0), Some(lease(0, 60.0)), 2);
    assert_eq!(numbers(&mut desk, 0, 9.0), (below(1.0), wall(9.0)));
    for settled in [below(1.0), wall(9.0)] {
        desk.publish(0, Parcel(0), Some(ticket), at(1.0));
        confirm(&mut desk);
        assert_eq!(numbers(&mut desk, 0, 9.0), (settled, wall(9.0)));
    }
}

#[test]
fn what_is_in_doubt_is_settled_at_once_for_ever() {
    let mut desk = desk();
    let (late, abandoned) = (enter(&mut desk, 0.0), enter(&mut desk, 1.0));
    desk.judge(late, now(6.0, 0.0), Some(lease(0, 60.0)), 2);
    assert_eq!(numbers(&mut desk, 0, 9.0), (below(1.0), below(1.0)));
    desk.abandon(abandoned);
    assert_eq!(numbers(&mut desk, 0, 9.0), (wall(9.0), wall(9.0)));
    assert!(desk.is_settled(0));
}

#[test]
fn what_passed_cannot_be_abandoned() {
    let mut desk = desk();
    let ticket = send(&mut desk, 1.0);
    desk.abandon(ticket);
    assert_eq!(numbers(&mut desk, 0, 9.0), (below(1.0), wall(9.0)));
}

#[test]
fn a_send_that_publishes_nothing_is_settled_when_it_passes() {
    let mut desk = desk();
    let ticket = enter(&mut desk, 1.0);
    assert_eq!(desk.judge(ticket, now(1.0, 0.0), Some(lease(0, 60.0)), 0), AckDecision::Passed);
    assert_eq!(numbers(&mut desk, 0, 9.0), (wall(9.0), wall(9.0)));
}

#[test]
fn a_gap_settles_and_the_same_snapshot_tells_it() {
    let mut desk = PublishTracker::new(1, BOUNDS, at(0.0), Safeguards::default());
    send(&mut desk, 0.0);
    enter(&mut desk, 9.0);
    desk.tick(at(10.0));
    assert_eq!(desk.snapshot(0, wall(20.0)).settled, below(0.0));
    assert_eq!(desk.tick(at(10.1)).dropped, 1);
    let snapshot = desk.snapshot(0, wall(20.0));
    assert_eq!((snapshot.links[0].gap_no, snapshot.settled), (1, below(9.0)), "no further");
}

#[test]
fn pending_sends_are_bounded_over_all_tenures() {
    let mut desk = desk();
    let first = enter(&mut desk, 0.0);
    enter(&mut desk, 1.0);
    desk.succeed(1);
    enter(&mut desk, 2.0);
    assert!(desk.has_room());
    enter(&mut desk, 3.0);
    assert!(!desk.has_room());
    desk.abandon(first);
    assert!(desk.has_room());
}

#[test]
fn each_tenure_has_its_own_numbers() {
    let mut desk = desk();
    send(&mut desk, 1.0);
    let undecided = enter(&mut desk, 2.0);
    desk.succeed(1);
    assert_eq!((desk.tenure(), desk.tenures().collect::<Vec<_>>()), (1, vec![0, 1]));
    send(&mut desk, 3.0);
    assert_eq!(numbers(&mut desk, 0, 9.0), (below(1.0), below(2.0)));
    assert_eq!(numbers(&mut desk, 1, 9.0), (below(3.0), wall(9.0)));
    assert_eq!([0, 1].map(|tenure| desk.is_settled(tenure)), [false, false]);

    confirm(&mut desk);
    assert_eq!([0, 1].map(|tenure| desk.is_settled(tenure)), [false, true]);
    assert_eq!(numbers(&mut desk, 0, 9.0), (below(2.0), below(2.0)));
    let judgement = desk.judge(undecided, now(4.0, 0.0), Some(lease(1, 60.0)), 1);
    assert_eq!(judgement, AckDecision::Unknown(UnknownReason::Fenced), "its tenure is over");
    assert!(desk.is_settled(0));
}

#[test]
fn a_fresh_tenure_counts_from_nought() {
    let mut desk = PublishTracker::new(1, BOUNDS, at(0.0), Safeguards::default());
    let counts = |desk: &mut PublishTracker<Parcel>, tenure| {
        let link = desk.snapshot(tenure, wall(99.0)).links[0];
        (link.run, link.epoch, link.gap_no)
    };
    desk.up(0, HERE);
    desk.down(0, at(1.0));
    send(&mut desk, 2.0);
    desk.tick(at(13.0));
    assert_eq!(counts(&mut desk, 0), (None, 1, 1));
    desk.succeed(1);
    assert_eq!(counts(&mut desk, 1), (None, 0, 0));
    assert_eq!(counts(&mut desk, 0), (None, 1, 1));
    desk.up(0, ServerRun(2));
    desk.down(0, at(20.0));
    send(&mut desk, 21.0);
    desk.tick(at(40.0));
    assert_eq!(counts(&mut desk, 1), (None, 2, 1), "another run, and away for long");
    assert_eq!(counts(&mut desk, 0), (None, 3, 2), "an old row tells it too");
}

#[test]
fn a_forgotten_tenure_is_fenced_and_its_answers_settle_nothing_else() {
    let mut desk = desk();
    let (old, writing) = (send(&mut desk, 1.0), enter(&mut desk, 2.0));
    desk.succeed(1);
    let fresh = enter(&mut desk, 3.0);
    assert_eq!(old.number, fresh.number, "each tenure numbers its own sends");
    desk.judge(fresh, now(3.0, 0.0), Some(lease(1, 60.0)), 1);
    desk.forget(0);
    assert_eq!(desk.tenures().collect::<Vec<_>>(), [1]);
    assert!(desk.is_settled(0));
    let judgement = desk.judge(writing, now(3.0, 0.0), Some(lease(0, 60.0)), 1);
    assert_eq!(judgement, AckDecision::Unknown(UnknownReason::Fenced));
    confirm(&mut desk);
    assert_eq!(numbers(&mut desk, 1, 9.0).0, below(3.0), "the fresh one's is not answered");
}

#[test]
fn a_send_that_is_unsettled_for_over_a_minute_is_stuck() {
    let mut desk = desk();
    enter(&mut desk, 1.0);
    assert!(!desk.is_stuck(at(61.0)));
    assert!(desk.is_stuck(at(61.1)));
    desk.succeed(1);
    assert!(!desk.is_stuck(at(99.0)), "the fence was for that");
}
