use super::*;

mod model;

/// The true time at moment 0, which is what a machine shows whose clock is right.
const TRUE: u64 = 1_800_000_000_000_000;

fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime((seconds * 1e6) as u64)
}

/// How far the machine's wall clock leads the monotonic one if it is ahead by so many seconds.
fn lead(seconds: f64) -> Offset {
    let micros = TRUE as i64 + (seconds * 1e6) as i64;
    Offset { low: micros, high: micros }
}

fn name(coordinator: usize) -> Arc<str> {
    format!("c{coordinator}").into()
}

/// An answer at a second, of a coordinator that is ahead by so many seconds, on a way of so long.
fn sample(coordinator: usize, second: f64, ahead: f64, round_trip: Duration) -> Sample {
    let before = at(second);
    let shown =
        TRUE as i64 + before.0 as i64 + (ahead * 1e6) as i64 + round_trip.as_micros() as i64 / 2;
    Sample {
        coordinator: name(coordinator),
        before,
        answer: Micros(Micros(shown.unsigned_abs()).millis() * 1000),
        after: before + round_trip,
    }
}

/// Good answers at a second of three coordinators that are ahead by so many seconds.
fn good(second: f64, ahead: f64) -> Vec<Sample> {
    (0..3).map(|it| sample(it, second, ahead, Duration::from_millis(1))).collect()
}

fn fresh() -> Reference {
    Reference::new(at(1.0), lead(0.0))
}

/// A check of three coordinators at a second.
fn check(reference: &mut Reference, samples: &[Sample], second: f64) -> Conclusion {
    assert!(reference.begin(at(second), lead(0.0)), "a check is due at {second} s");
    reference.conclude(3, samples, at(second) + Duration::from_millis(1), lead(0.0))
}

/// A reference with one check concluded at 1 s.
fn checked(samples: &[Sample]) -> Reference {
    let mut reference = fresh();
    check(&mut reference, samples, 1.0);
    reference
}

fn why(reference: &Reference) -> Option<ClockDoubt> {
    match reference.verdict() {
        ClockStatus::Unknown { why, .. } => Some(why),
        _ => None,
    }
}

#[test]
fn nothing_is_known_before_the_first_check_and_it_is_due_at_once() {
    let mut reference = fresh();
    assert_eq!(
        reference.verdict(),
        ClockStatus::Unknown { why: ClockDoubt::Unasked, since: at(1.0) }
    );
    assert_eq!(reference.interval(), None);
    assert!(reference.begin(at(1.0), lead(0.0)));
    assert!(!reference.begin(at(99.0), lead(0.0)), "checks do not overlap");
}

#[test]
fn a_good_check_is_made_again_after_2_s_and_a_bad_one_after_1_s() {
    let mut reference = checked(&good(1.0, 0.0));
    assert_eq!(reference.verdict(), ClockStatus::Known);
    assert!(!reference.begin(at(2.9), lead(0.0)));
    assert_eq!(check(&mut reference, &[], 3.0), Conclusion::default());
    assert_eq!(reference.verdict(), ClockStatus::Known, "the last good check counts");
    assert!(!reference.begin(at(3.9), lead(0.0)));
    check(&mut reference, &good(4.1, 0.0), 4.1);
    assert!(!reference.begin(at(6.0), lead(0.0)) && reference.begin(at(6.1), lead(0.0)));
}

/// Round trip, cut-off millisecond, spread of the coordinators, age.
#[test]
fn the_interval_is_as_wide_as_what_is_not_known() {
    let width = |samples: &[Sample]| checked(samples).interval().expect("it is known").width();
    let micros = Duration::from_micros;
    let near = width(&good(1.0, 0.0));
    assert!((micros(1_000)..micros(2_100)).contains(&near), "{near:?}");
    let spread: Vec<Sample> =
        (0..3).map(|it| sample(it, 1.0, 0.15 * it as f64, Duration::from_millis(1))).collect();
    let spread = width(&spread);
    assert!((micros(300_000)..micros(303_000)).contains(&spread), "{spread:?}");
    let reference = checked(&good(1.0, 0.0));
    let aged = reference.interval().unwrap().aged(at(61.0)).width();
    assert!((micros(240_000)..micros(243_000)).contains(&aged), "{aged:?}");
}

#[test]
fn the_quickest_answer_of_a_coordinator_counts_and_checks_add_up() {
    let slow = |second| sample(0, second, 0.0, Duration::from_millis(400));
    let both = [slow(1.0), sample(0, 1.0, 0.0, Duration::from_millis(1))];
    let mut reference = fresh();
    reference.begin(at(1.0), lead(0.0));
    reference.conclude(1, &both, at(1.4), lead(0.0));
    let narrow = reference.interval().unwrap();
    assert!(narrow.width() < Duration::from_millis(5), "{narrow:?}");
    assert!(reference.begin(at(3.0), lead(0.0)));
    reference.conclude(1, &[slow(3.0)], at(3.4), lead(0.0));
    let after = reference.interval().unwrap();
    assert!(after.width() < Duration::from_millis(15), "a slow answer loses nothing: {after:?}");
}

#[test]
fn most_coordinators_must_answer_and_agree() {
    let of = |answers: &[(usize, f64)]| -> Vec<Sample> {
        answers
            .iter()
            .map(|(it, ahead)| sample(*it, 1.0, *ahead, Duration::from_millis(1)))
            .collect()
    };
    assert_eq!(checked(&of(&[(0, 0.0), (2, 0.0)])).verdict(), ClockStatus::Known);
    assert_eq!(why(&checked(&of(&[(1, 0.0), (1, 0.0), (1, 0.0)]))), Some(ClockDoubt::Unasked));
    assert_eq!(why(&checked(&of(&[(0, -1.0), (1, 0.0), (2, 1.0)]))), Some(ClockDoubt::Unasked));
    let late = vec![sample(0, 1.0, 0.0, ROUND_TRIP_MAX + Duration::from_micros(1)); 3];
    assert_eq!(why(&checked(&late)), Some(ClockDoubt::Unasked), "it says nothing");
}

#[test]
fn a_coordinator_that_stands_apart_is_left_out_and_named() {
    let mut reference = fresh();
    let mut samples = good(1.0, 0.0);
    samples[1] = sample(1, 1.0, 0.9, Duration::from_millis(1));
    let concluded = check(&mut reference, &samples, 1.0);
    assert_eq!(concluded.apart, [name(1)]);
    let width = reference.interval().expect("two agree").width();
    assert!(width < Duration::from_millis(3), "{width:?}");
    let two_ways = [good(1.0, 0.0), good(1.0, 1.0)].concat();
    let known = checked(&two_ways).interval();
    assert!(known.is_none_or(|it| it.width() >= Duration::from_secs(1)), "{known:?}");
}

#[test]
fn the_machines_clock_is_kept_to_its_bound() {
    let with_machine = |ahead: f64| {
        let mut reference = Reference::new(at(1.0), lead(ahead));
        reference.begin(at(1.0), lead(ahead));
        reference.conclude(3, &good(1.0, 0.0), at(1.0), lead(ahead));
        reference
    };
    for seconds in [2.49, -2.49, 0.0] {
        assert_eq!(with_machine(seconds).verdict(), ClockStatus::Known, "{seconds}");
    }
    for seconds in [2.51, -2.51] {
        let reference = with_machine(seconds);
        assert!(matches!(reference.verdict(), ClockStatus::Off(_)), "{seconds}");
        assert_eq!(reference.interval(), None);
    }
    let mut reference = with_machine(3600.0);
    reference.look(at(1.5), lead(0.0));
    assert!(matches!(reference.verdict(), ClockStatus::Off(_)), "a step explains nothing yet");
    assert!(reference.begin(at(1.5), lead(0.0)));
    reference.conclude(3, &good(1.5, 0.0), at(1.5), lead(0.0));
    assert_eq!(reference.verdict(), ClockStatus::Known, "it was set right");
}

#[test]
fn a_check_counts_for_a_minute() {
    let mut reference = checked(&good(1.0, 0.0));
    reference.look(at(61.0), lead(0.0));
    assert_eq!(reference.verdict(), ClockStatus::Known);
    reference.look(at(61.1), lead(0.0));
    reference.look(at(70.0), lead(0.0));
    assert_eq!(
        reference.verdict(),
        ClockStatus::Unknown { why: ClockDoubt::Unanswered, since: at(61.1) }
    );
    check(&mut reference, &good(71.0, 0.0), 71.0);
    assert_eq!(reference.verdict(), ClockStatus::Known);
}

#[test]
fn a_step_of_the_machine_is_a_doubt_until_the_next_good_check() {
    let mut reference = checked(&good(1.0, 0.0));
    reference.look(at(2.0), lead(0.9));
    assert_eq!(reference.verdict(), ClockStatus::Known, "it may have been paused");
    let paused = Offset { low: lead(-5.0).low, high: lead(0.9).high };
    reference.look(at(2.1), paused);
    assert_eq!(reference.verdict(), ClockStatus::Known, "this thread was paused between two looks");
    reference.look(at(2.5), lead(-1.1));
    assert_eq!(
        reference.verdict(),
        ClockStatus::Unknown { why: ClockDoubt::Stepped, since: at(2.5) }
    );
    assert!(reference.begin(at(2.5), lead(-1.1)), "a check is due at once");
    reference.conclude(3, &[], at(2.5), lead(-1.1));
    assert_eq!(why(&reference), Some(ClockDoubt::Stepped));
    assert!(reference.begin(at(3.5), lead(-1.1)));
    reference.conclude(3, &good(3.5, 0.0), at(3.5), lead(-1.1));
    assert_eq!(reference.verdict(), ClockStatus::Known, "the node's time was right all along");
}

#[test]
fn what_was_asked_before_a_step_is_void() {
    let mut reference = checked(&good(1.0, 0.0));
    assert!(reference.begin(at(3.0), lead(0.0)));
    let concluded = reference.conclude(3, &good(3.0, 0.0), at(3.5), lead(60.0));
    assert_eq!(concluded, Conclusion::default());
    assert_eq!(why(&reference), Some(ClockDoubt::Stepped));
    assert!(reference.begin(at(3.5), lead(0.0)));
}

/// All coordinators were set, by more than what is not known of them.
#[test]
fn a_reference_that_jumps_is_not_known_until_the_next_check_agrees() {
    for jump in [0.3, -0.3] {
        let mut reference = checked(&good(1.0, 0.0));
        check(&mut reference, &good(3.0, jump), 3.0);
        assert_eq!(why(&reference), Some(ClockDoubt::Contradicted), "{jump}");
        assert_eq!(reference.interval(), None);
        check(&mut reference, &good(4.1, jump), 4.1);
        assert_eq!(reference.verdict(), ClockStatus::Known);
    }
}

/// A pause that the wall clock shows widens what was known before, so that a check behind it
/// contradicts nothing.
#[test]
fn a_pause_is_no_contradiction() {
    let mut reference = checked(&good(1.0, 0.0));
    assert!(reference.begin(at(3.0), lead(0.4)));
    // The monotonic clock stood still for 0.4 s: everything else is ahead of it by that.
    reference.conclude(3, &good(3.0, 0.4), at(3.0), lead(0.4));
    assert_eq!(reference.verdict(), ClockStatus::Known);
    assert!(reference.interval().unwrap().width() < Duration::from_millis(5));
}

#[test]
fn a_pause_between_question_and_conclusion_is_not_known_away() {
    let mut reference = checked(&good(1.0, 0.0));
    assert!(reference.begin(at(3.0), lead(0.0)));
    // Answered, then the monotonic clock stood still for 0.4 s.
    reference.conclude(3, &good(3.0, 0.0), at(3.0), lead(0.4));
    let known = reference.interval().expect("it is known");
    assert!(known.high - known.low >= 400_000, "{known:?}");
}
