//! Random histories, against a model that keeps every row ever read and works all out anew.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const INCARNATIONS: u128 = 3;
const COUNTERS: u64 = 6;

/// The content of the row of each counter of each incarnation.
type Said = Vec<Vec<Content>>;

#[derive(Debug, Clone)]
struct Content {
    settled: u64,
    ahead: u64,
    run: Option<ServerRun>,
    epoch: u64,
    gap_no: u64,
    left: bool,
}

/// A read: which counter of each incarnation it shows, when it begins, how long it takes, and what
/// is excluded after it.
#[derive(Debug, Clone)]
struct Step {
    shown: Vec<Option<u64>>,
    pause: f64,
    takes: f64,
    then: Then,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Nothing,
    Repaired,
    Advanced,
}

fn content() -> impl Strategy<Value = Content> {
    let run = prop_oneof![6 => Just(Some(HERE)), 1 => Just(Some(ELSEWHERE)), 1 => Just(None)];
    let counts = (0..2_u64, 0..2_u64);
    (0..2_000_000_000_u64, 0..9_u64, run, counts, prop::bool::weighted(0.15)).prop_map(
        |(settled, ahead, run, (epoch, gap_no), left)| Content {
            settled,
            ahead,
            run,
            epoch,
            gap_no,
            left,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let shown = prop::option::weighted(0.8, 0..COUNTERS);
    let then = prop_oneof![Just(Then::Nothing), Just(Then::Repaired), Just(Then::Advanced)];
    // Halves of seconds, so that ages of exactly 15 s come up.
    (prop::collection::vec(shown, INCARNATIONS as usize), 0..20_u32, 0..10_u32, then).prop_map(
        |(shown, pause, takes, then)| Step {
            shown,
            pause: f64::from(pause) / 2.0,
            takes: f64::from(takes) / 2.0,
            then,
        },
    )
}

fn row_of(x: Incarnation, counter: u64, content: &Content) -> Heartbeat {
    let Content { settled, ahead, run, epoch, gap_no, left } = *content;
    let runs: Vec<ServerRun> = run.into_iter().collect();
    Heartbeat {
        settled: Micros(settled),
        decided: Micros(settled + ahead),
        left,
        shards: smallvec![shard(&runs, epoch, gap_no)],
        written: WALL,
        ..sample::row(x.0, counter)
    }
}

/// A read that was done.
#[derive(Debug, Clone)]
struct Done {
    begin: MonotonicTime,
    end: MonotonicTime,
    rows: Vec<Heartbeat>,
}

#[derive(Debug, Default)]
struct Model {
    reads: Vec<Done>,
    dying: BTreeSet<Incarnation>,
    excluded: BTreeSet<Incarnation>,
}

impl Model {
    fn everybody(&self) -> BTreeSet<Incarnation> {
        self.reads.iter().flat_map(|read| &read.rows).map(|row| row.incarnation).collect()
    }

    /// The row with the highest counter that the first reads showed.
    fn best(&self, x: Incarnation, reads: usize) -> Option<&Heartbeat> {
        let rows = self.reads[..reads].iter().flat_map(|read| &read.rows);
        rows.filter(|row| row.incarnation == x).max_by_key(|row| row.counter)
    }

    fn latest(&self, x: Incarnation) -> &Heartbeat {
        self.best(x, self.reads.len()).unwrap()
    }

    fn shows(&self, read: usize, x: Incarnation) -> bool {
        self.reads[read].rows.iter().any(|row| row.incarnation == x)
    }

    /// When the first read that showed the highest counter ended.
    fn shown(&self, x: Incarnation) -> MonotonicTime {
        let best = self.latest(x);
        let first = self.reads.iter().find(|read| read.rows.contains(best));
        first.unwrap().end
    }

    fn read(&mut self, read: Done) -> BTreeSet<DeliveryGap> {
        self.reads.push(read);
        let counted: Vec<_> = self.everybody().into_iter().filter(|x| self.counts(*x)).collect();
        counted.into_iter().flat_map(|x| self.breaks_of(x)).collect()
    }

    fn counts(&self, x: Incarnation) -> bool {
        !self.dying.contains(&x) && !self.excluded.contains(&x)
    }

    fn breaks_of(&mut self, x: Incarnation) -> Vec<DeliveryGap> {
        let (last, mut breaks) = (self.reads.len() - 1, Vec::new());
        let vanished = last > 0 && self.shows(last - 1, x) && !self.shows(last, x);
        breaks.extend(vanished.then_some(DeliveryGap::Vanished));
        let row = self.latest(x);
        let counts = |row: &Heartbeat| (row.shards[0].epoch, row.shards[0].gap_no);
        let (epoch, gap_no) = self.best(x, last).map_or((0, 0), counts);
        breaks.extend((row.shards[0].epoch != epoch).then_some(DeliveryGap::EpochMoved));
        breaks.extend((row.shards[0].gap_no != gap_no).then_some(DeliveryGap::GapMoved));
        let differs = row.shards[0].runs.contains(&ELSEWHERE);
        breaks.extend(differs.then_some(DeliveryGap::RunDiffers));
        let age = self.reads[last].begin.since(self.shown(x));
        let dead = !row.left && age >= DEAD_AFTER;
        breaks.extend(dead.then_some(DeliveryGap::Dead));
        if dead || row.left && differs {
            self.dying.insert(x);
        }
        breaks
    }

    fn bounds(&self, wall: Micros) -> ProgressBounds {
        let rows = self.everybody().into_iter().filter(|x| !self.excluded.contains(x));
        let rows: Vec<&Heartbeat> = rows.map(|x| self.latest(x)).collect();
        let least = |number: fn(&Heartbeat) -> Micros| {
            let numbers = rows.iter().map(|row| number(row));
            numbers.chain([wall - READ_CAP]).min().unwrap()
        };
        ProgressBounds { settled: least(|row| row.settled), decided: least(|row| row.decided) }
    }

    fn then(&mut self, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Repaired => self.excluded.append(&mut self.dying),
            Then::Advanced => {
                let left = |x: &Incarnation| self.counts(*x) && self.latest(*x).left;
                let left: Vec<_> = self.everybody().into_iter().filter(left).collect();
                self.excluded.extend(left);
            }
        }
    }

    fn living(&self) -> Vec<&Heartbeat> {
        let counted = self.everybody().into_iter().filter(|x| self.counts(*x));
        counted.map(|x| self.latest(x)).filter(|row| !row.left).collect()
    }
}

fn exclude(detector: &mut FailureDetector, then: Then) {
    match then {
        Then::Nothing => {}
        Then::Repaired => {
            let dying = detector.dying();
            detector.exclude(&dying);
        }
        Then::Advanced => detector.exclude_left(),
    }
}

fn compare(said: &Said, steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut detector, mut model, mut now) = (detector(), Model::default(), 0.0);
    for step in steps {
        let shown = (0..).zip(&step.shown).filter_map(|(x, shown)| shown.map(|n| (x, n)));
        let rows = shown.map(|(x, n)| row_of(Incarnation(x), n, &said[x as usize][n as usize]));
        let (begin, end) = (now + step.pause, now + step.pause + step.takes);
        let done = Done { begin: at(begin), end: at(end), rows: rows.collect() };
        now = end;
        let breaks = read(&mut detector, &done.rows, begin, end);
        let expected: Vec<DeliveryGap> = model.read(done).into_iter().collect();
        prop_assert_eq!(breaks, expected);
        prop_assert_eq!(detector.dying().into_iter().collect::<BTreeSet<_>>(), model.dying.clone());
        exclude(&mut detector, step.then);
        model.then(step.then);
        prop_assert_eq!(detector.bounds(WALL), model.bounds(WALL));
        prop_assert_eq!(detector.bounds(WALL + READ_CAP * 3), model.bounds(WALL + READ_CAP * 3));
        let mut living: Vec<&Heartbeat> = detector.rows().collect();
        living.sort_unstable_by_key(|row| row.incarnation);
        prop_assert_eq!(living, model.living());
    }
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_keeps_every_row(
        said in prop::collection::vec(
            prop::collection::vec(content(), COUNTERS as usize),
            INCARNATIONS as usize,
        ),
        steps in prop::collection::vec(step(), 1..24),
    ) {
        compare(&said, &steps)?;
    }
}
