//! Whole lives of a node's clocks against coordinators that drift, lie and do not answer, on a
//! machine that is paused: as long as the time is known, the reference time lies in the interval.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// Parts of a million by which any clock runs fast or slow.
const RATE_MAX: i64 = 700;

/// What happens in a second of true time.
#[derive(Debug, Clone)]
struct Second {
    /// Which coordinators answer.
    answer: Vec<bool>,
    /// How long their answers take, there and back, in microseconds.
    ways: (u64, u64),
    /// How long the machine is paused in it with its monotonic clock, in microseconds.
    pause: u64,
}

#[derive(Debug, Clone)]
struct Life {
    /// How far each honest coordinator is ahead, in microseconds, and its rate.
    honest: Vec<(i64, i64)>,
    /// The same of those that lie, fewer than the others.
    liars: Vec<(i64, i64)>,
    /// The rate of the monotonic clock, and how far the machine's wall clock is ahead.
    rate: i64,
    machine: i64,
    seconds: Vec<Second>,
}

fn second(coordinators: usize) -> impl Strategy<Value = Second> {
    let way = || prop_oneof![4 => 0..2_000_u64, 1 => 0..400_000_u64];
    let pause = prop_oneof![9 => Just(0_u64), 1 => 0..900_000_u64];
    (prop::collection::vec(prop::bool::weighted(0.8), coordinators), (way(), way()), pause)
        .prop_map(|(answer, ways, pause)| Second { answer, ways, pause })
}

fn life() -> impl Strategy<Value = Life> {
    let rate = || -RATE_MAX..=RATE_MAX;
    let spread = prop_oneof![Just(0_i64), Just(5_000_i64), Just(300_000_i64)];
    (prop_oneof![Just(1_usize), Just(2), Just(3), Just(5)], spread).prop_flat_map(
        move |(count, spread)| {
            let most = count / 2 + 1;
            (
                prop::collection::vec((-spread / 2..=spread / 2, rate()), most),
                prop::collection::vec((-20_000_000..20_000_000_i64, rate()), count - most),
                rate(),
                -2_000_000..2_000_000_i64,
                prop::collection::vec(second(count), 1..60),
            )
                .prop_map(|(honest, liars, rate, machine, seconds)| Life {
                    honest,
                    liars,
                    rate,
                    machine,
                    seconds,
                })
        },
    )
}

impl Life {
    fn coordinators(&self) -> impl Iterator<Item = &(i64, i64)> {
        self.honest.iter().chain(&self.liars)
    }

    /// The median of the coordinators' clocks, of an even number the lower one.
    fn reference(&self, now: u64) -> i64 {
        let mut clocks: Vec<i64> = self.coordinators().map(|it| shown(*it, now)).collect();
        clocks.sort_unstable();
        clocks[(clocks.len() - 1) / 2]
    }
}

/// What a clock that is ahead and runs at a rate shows at a true time.
fn shown((ahead, rate): (i64, i64), now: u64) -> i64 {
    TRUE as i64 + now as i64 + ahead + now as i64 * rate / 1_000_000
}

/// What a way of keeping the clock leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Off {
    Nothing,
    /// A pause does not raise the upper end.
    Pauses,
    /// An interval does not grow.
    Drift,
    /// Those that stand apart count, instead of a majority that agrees.
    Majority,
}

/// A node in one of these lives.
struct Node<'a> {
    life: &'a Life,
    off: Off,
    reference: Reference,
    paused: u64,
}

impl Node<'_> {
    fn moment(&self, now: u64) -> MonotonicTime {
        let running = (now - self.paused) as i64;
        MonotonicTime((1_000_000 + running + running * self.life.rate / 1_000_000).unsigned_abs())
    }

    fn lead(&self, now: u64) -> Offset {
        let lead = TRUE as i64 + now as i64 + self.life.machine - self.moment(now).0 as i64;
        Offset { low: lead, high: lead }
    }

    /// Whether the reference time lies in what is known.
    fn holds(&self, now: u64) -> bool {
        let Some(known) = self.reference.interval() else { return true };
        let at = self.moment(now);
        let raise = self.lead(now).low - self.reference.lead().low;
        let known = if self.off == Off::Drift { Interval { at, ..known } } else { known.aged(at) };
        let known = if self.off == Off::Pauses { known } else { known.raised(raise) };
        let truth = self.life.reference(now) - at.0 as i64;
        known.low <= truth + 1 && truth - 1 <= known.high
    }

    /// A second begins at `now`: a check if one is due, and maybe a pause in its middle.
    fn live(&mut self, second: &Second, now: u64) -> bool {
        self.reference.look(self.moment(now), self.lead(now));
        let mut holds = self.holds(now);
        let mut then = now + 1;
        if self.reference.begin(self.moment(now), self.lead(now)) {
            let samples = self.ask(second, now);
            then = now + second.ways.0 + second.ways.1;
            self.paused += second.pause;
            then += second.pause;
            let count = if self.off == Off::Majority { 0 } else { second.answer.len() };
            let (at, lead) = (self.moment(then), self.lead(then));
            self.reference.conclude(count, &samples, at, lead);
        } else {
            self.paused += second.pause;
            then += second.pause;
        }
        holds &= self.holds(then);
        holds
    }

    fn ask(&self, second: &Second, now: u64) -> Vec<Sample> {
        let (there, back) = second.ways;
        let asked = self.life.coordinators().zip(&second.answer).enumerate();
        let answers = asked.filter(|(_, (_, answers))| **answers);
        answers
            .map(|(number, (clock, _))| Sample {
                coordinator: name(number),
                before: self.moment(now),
                answer: Micros(shown(*clock, now + there).unsigned_abs() / 1000 * 1000),
                after: self.moment(now + there + back),
            })
            .collect()
    }
}

/// Whether what is known was true all through a life.
fn is_true(life: &Life, off: Off) -> bool {
    let start = TRUE as i64 + life.machine - 1_000_000;
    let lead = Offset { low: start, high: start };
    let reference = Reference::new(MonotonicTime(1_000_000), lead);
    let mut node = Node { life, off, reference, paused: 0 };
    let mut seconds = life.seconds.iter().zip((0..).step_by(2_000_000));
    seconds.all(|(second, now)| node.live(second, now))
}

proptest! {
    #[test]
    fn what_is_known_of_the_reference_is_true(life in life()) {
        prop_assert!(is_true(&life, Off::Nothing));
    }
}

/// The property fails for a clock that is kept otherwise.
#[test]
fn each_part_is_needed() {
    for off in [Off::Pauses, Off::Drift, Off::Majority] {
        let mut runner = TestRunner::deterministic();
        let found = runner.run(&life(), |life| {
            prop_assert!(is_true(&life, off));
            Ok(())
        });
        assert!(found.is_err(), "nothing shows {off:?}");
    }
}
