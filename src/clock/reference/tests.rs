use super::*;
use proptest::prelude::*;

/// The true time when a check begins.
const TRUE: u64 = 1_800_000_000_000_000;

const NO_LEAD: Offset = Offset { low: 0, high: 0 };

fn at(seconds: f64) -> Moment {
    Moment((seconds * 1e6) as u64)
}

fn ahead(seconds: f64) -> Offset {
    let micros = (seconds * 1e6) as i64;
    Offset { low: micros, high: micros }
}

fn shifted(micros: u64, by: i64) -> Micros {
    Micros(micros.saturating_add_signed(by))
}

/// An answer to a node that is `off`, of a coordinator that is `wrong`, with these times of the two
/// ways, all in microseconds.
fn sample(off: i64, wrong: i64, there: u64, back: u64) -> Sample {
    let shown = shifted(TRUE + there, wrong);
    Sample {
        before: shifted(TRUE, off),
        answer: Micros(shown.millis() * 1000),
        after: shifted(TRUE + there + back, off),
    }
}

/// So many good samples of a node that is ahead by so many seconds.
fn good(count: usize, seconds: f64) -> Vec<Sample> {
    vec![sample((seconds * 1e6) as i64, 0, 500, 500); count]
}

/// A reference with one check concluded at 1 s.
fn checked(samples: &[Sample]) -> Reference {
    let mut reference = Reference::new(at(1.0), NO_LEAD);
    assert!(reference.begin(at(1.0)));
    reference.conclude(samples, at(1.0), NO_LEAD);
    reference
}

fn again(reference: &mut Reference, samples: &[Sample], second: f64) -> Concluded {
    assert!(reference.begin(at(second)), "a check is due at {second} s");
    reference.conclude(samples, at(second), NO_LEAD)
}

#[test]
fn nothing_is_known_before_the_first_check_and_it_is_due_at_once() {
    let mut reference = Reference::new(at(1.0), NO_LEAD);
    assert_eq!(reference.verdict(), Verdict::Unknown { why: Doubt::Unasked, since: at(1.0) });
    assert!(reference.begin(at(1.0)));
    assert!(!reference.begin(at(99.0)), "checks do not overlap");
}

#[test]
fn a_good_check_is_made_again_after_10_s_and_a_bad_one_after_1_s() {
    let mut reference = checked(&good(5, 0.0));
    assert_eq!(reference.verdict(), Verdict::Known);
    assert!(!reference.begin(at(10.9)));
    assert_eq!(again(&mut reference, &[], 11.0), Concluded::Nothing);
    assert_eq!(reference.verdict(), Verdict::Known, "the last good check counts");
    assert!(!reference.begin(at(11.9)));
    again(&mut reference, &good(5, 3.0), 12.0);
    assert!(matches!(reference.verdict(), Verdict::Off(_)));
    again(&mut reference, &good(5, 2.0), 13.0);
    assert_eq!(reference.verdict(), Verdict::Known);
}

#[test]
fn the_bound_is_kept_to_the_cut_off_millisecond_and_the_way() {
    assert_eq!(checked(&good(5, 2.498)).verdict(), Verdict::Known);
    assert_eq!(checked(&good(5, -2.498)).verdict(), Verdict::Known);
    for seconds in [2.501, -2.501] {
        assert!(matches!(checked(&good(5, seconds)).verdict(), Verdict::Off(_)), "{seconds}");
    }
    let slow = vec![sample(2_210_000, 0, 300_000, 300_000); 5];
    assert!(matches!(checked(&slow).verdict(), Verdict::Off(_)), "it may be off by 2.5 s");
}

#[test]
fn three_must_agree() {
    assert_eq!(checked(&good(3, 0.0)).verdict(), Verdict::Known);
    assert!(matches!(checked(&good(2, 0.0)).verdict(), Verdict::Unknown { .. }));
    let two_ways = [good(2, 0.0), good(2, 1.0), good(1, -1.0)].concat();
    assert!(matches!(checked(&two_ways).verdict(), Verdict::Unknown { .. }));
    let late = vec![sample(0, 0, 500_000, 500_001); 5];
    assert!(matches!(checked(&late).verdict(), Verdict::Unknown { .. }), "they say nothing");
}

#[test]
fn a_check_counts_for_a_minute() {
    let mut reference = checked(&good(5, 0.0));
    reference.look(at(61.0), NO_LEAD);
    assert_eq!(reference.verdict(), Verdict::Known);
    reference.look(at(61.1), NO_LEAD);
    reference.look(at(70.0), NO_LEAD);
    assert_eq!(reference.verdict(), Verdict::Unknown { why: Doubt::Unanswered, since: at(61.1) });
    again(&mut reference, &good(5, 0.0), 71.0);
    assert_eq!(reference.verdict(), Verdict::Known);
}

#[test]
fn a_step_of_the_machine_is_a_doubt_until_the_next_good_check() {
    let mut reference = checked(&good(5, 0.0));
    reference.look(at(2.0), ahead(0.9));
    reference.look(at(3.0), ahead(-0.9));
    assert_eq!(reference.verdict(), Verdict::Known, "it may be slewed");
    reference.look(at(4.0), Offset { low: -5_000_000, high: 900_000 });
    assert_eq!(reference.verdict(), Verdict::Known, "this thread was paused between two looks");
    reference.look(at(5.0), ahead(-1.1));
    assert_eq!(reference.verdict(), Verdict::Unknown { why: Doubt::Stepped, since: at(5.0) });
    assert!(reference.begin(at(5.0)), "a check is due at once");
    reference.conclude(&[], at(5.0), ahead(-1.1));
    assert!(matches!(reference.verdict(), Verdict::Unknown { .. }));
    assert!(reference.begin(at(6.0)));
    reference.conclude(&good(5, 0.0), at(6.0), ahead(-1.1));
    assert_eq!(reference.verdict(), Verdict::Known, "the node's time was right all along");
}

#[test]
fn what_was_asked_before_a_step_is_void() {
    let mut reference = checked(&good(5, 0.0));
    assert!(reference.begin(at(11.0)));
    let concluded = reference.conclude(&good(5, 0.0), at(11.5), ahead(60.0));
    assert_eq!(concluded, Concluded::Nothing);
    assert!(matches!(reference.verdict(), Verdict::Unknown { why: Doubt::Stepped, .. }));
    assert!(reference.begin(at(11.5)));
}

#[test]
fn a_machine_that_was_set_right_is_followed() {
    let mut reference = checked(&good(5, 3600.0));
    assert!(matches!(reference.verdict(), Verdict::Off(_)), "and the machine is as wrong");
    reference.look(at(1.5), ahead(-3600.0));
    assert!(matches!(reference.verdict(), Verdict::Off(_)), "a step explains nothing yet");
    assert!(reference.begin(at(1.5)));
    let concluded = reference.conclude(&good(5, 3600.0), at(1.5), ahead(-3600.0));
    assert!(matches!(concluded, Concluded::Outdated(_)), "{concluded:?}");
    assert!(matches!(reference.verdict(), Verdict::Off(_)), "it is checked first");
    reference.look(at(1.6), NO_LEAD);
    again(&mut reference, &good(5, 0.0), 1.6);
    assert_eq!(reference.verdict(), Verdict::Known);
}

#[test]
fn a_machine_that_is_as_wrong_is_not_followed() {
    let mut reference = Reference::new(at(0.0), ahead(0.5));
    reference.begin(at(0.0));
    let concluded = reference.conclude(&good(5, -4.0), at(0.0), ahead(0.5));
    assert!(matches!(concluded, Concluded::Measured(_)), "{concluded:?}");
    assert!(matches!(reference.verdict(), Verdict::Off(_)));
}

/// What a node may meet in a check: how far it is off, and each answer, if it came at all.
#[derive(Debug, Clone)]
struct Meeting {
    off: i64,
    samples: Vec<Sample>,
}

/// Honest answers come from coordinators that are wrong by at most so much.
const HONEST: i64 = 20_000;

/// At least three of five honest answers in time; the others lie, or are late, as much as they like.
fn meeting() -> impl Strategy<Value = Meeting> {
    let way = prop_oneof![0..5_000_u64, 0..499_000_u64];
    let honest = prop::collection::vec((-HONEST..=HONEST, way.clone(), way), 3..=5);
    let lie = prop_oneof![-20_000_000..20_000_000_i64, -600_000..600_000_i64];
    let lies = prop::collection::vec((lie, 0..2_000_000_u64, 0..2_000_000_u64), 0..=2);
    (-8_000_000..8_000_000_i64, honest, lies).prop_perturb(|(off, honest, lies), mut rng| {
        let honest = honest.into_iter().map(|(wrong, there, back)| sample(off, wrong, there, back));
        let lies = lies.into_iter().map(|(wrong, there, back)| sample(off, wrong, there, back));
        let mut samples: Vec<Sample> = honest.chain(lies).collect();
        samples.truncate(SAMPLES);
        for place in (1..samples.len()).rev() {
            samples.swap(place, rng.random_range(0..=place));
        }
        Meeting { off, samples }
    })
}

/// Whether a way to judge held against a meeting: what it calls known is within the bound, and
/// the honest answers are believed.
fn holds(meeting: &Meeting, judge: impl Fn(&[Sample]) -> Option<Offset>) -> bool {
    let judged = judge(&meeting.samples);
    judged.is_some_and(|offset| {
        let spread = Offset { low: offset.low - HONEST, high: offset.high + HONEST };
        (spread.low..=spread.high).contains(&meeting.off)
    })
}

proptest! {
    #[test]
    fn the_median_of_an_honest_majority_holds_the_truth(meeting in meeting()) {
        prop_assert!(holds(&meeting, median), "{:?}", median(&meeting.samples));
        let verdict = checked(&meeting.samples).verdict();
        let bound = OFF_MAX.as_micros() as i64 + HONEST;
        prop_assert!(verdict != Verdict::Known || meeting.off.abs() <= bound);
        let sure = OFF_MAX.as_micros() as i64 - 1_000_000 - HONEST;
        prop_assert!(verdict == Verdict::Known || meeting.off.abs() > sure, "{verdict:?}");
    }

    /// Most of those that were asked are honest, but only some answer: whoever is believed then is
    /// off by less than the proof allows.
    #[test]
    fn too_few_honest_answers_never_hide_more_than_the_proof_allows(
        meeting in meeting(), lost in prop::collection::vec(any::<bool>(), SAMPLES),
    ) {
        let kept = meeting.samples.iter().zip(&lost).filter(|(_, lost)| !**lost);
        let samples: Vec<Sample> = kept.map(|(sample, _)| *sample).collect();
        let verdict = checked(&samples).verdict();
        let bound = OFF_MAX + AGREE_WITHIN + ROUND_TRIP_MAX;
        let bound = bound.as_micros() as i64 + HONEST;
        prop_assert!(bound < 5_000_000);
        prop_assert!(verdict != Verdict::Known || meeting.off.abs() <= bound);
    }

    /// A whole life: whatever the store answers and however the crystal drifts, a node that takes
    /// itself for right is within the 5 s of the proof.
    #[test]
    fn what_is_taken_for_right_is_within_the_proof(
        drift in -10_000..=10_000_i64,
        start in -4_000_000..=4_000_000_i64,
        answers in prop::collection::vec(prop::bool::weighted(0.2), 600),
    ) {
        let mut reference = Reference::new(Moment(0), NO_LEAD);
        for (second, answers) in answers.into_iter().enumerate() {
            let now = at(second as f64);
            let off = start + drift * second as i64;
            reference.look(now, NO_LEAD);
            if reference.begin(now) {
                let samples = if answers { vec![sample(off, 0, 900, 90_000); 3] } else { Vec::new() };
                reference.conclude(&samples, now, NO_LEAD);
            }
            let known = reference.verdict() == Verdict::Known;
            prop_assert!(!known || off.abs() < 5_000_000, "off by {off} us at {second} s");
        }
    }
}

/// The property notices those who judge otherwise.
#[test]
fn other_ways_to_judge_do_not_hold() {
    let first = |samples: &[Sample]| samples.first().copied()?.offset();
    let mean = |samples: &[Sample]| {
        let offsets: Vec<Offset> = samples.iter().copied().filter_map(Sample::offset).collect();
        let count = offsets.len() as i64;
        let sum = |end: fn(&Offset) -> i64| offsets.iter().map(end).sum::<i64>();
        (count > 0).then(|| Offset { low: sum(|o| o.low) / count, high: sum(|o| o.high) / count })
    };
    let exact = |samples: &[Sample]| {
        median(samples).map(|offset| Offset { low: offset.middle(), high: offset.middle() })
    };
    let fails = |judge: &dyn Fn(&[Sample]) -> Option<Offset>| {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let holds = |meeting: Meeting| {
            prop_assert!(holds(&meeting, judge));
            Ok(())
        };
        runner.run(&meeting(), holds).is_err()
    };
    assert!(!fails(&median));
    for judge in [&first as &dyn Fn(&[Sample]) -> Option<Offset>, &mean, &exact] {
        assert!(fails(judge));
    }
}
