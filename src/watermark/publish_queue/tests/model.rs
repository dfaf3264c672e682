//! Random schedules on two shards, compared with a model that notes the outcome of each publish.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SHARDS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Publish {
        shard: usize,
        kept: bool,
        stays: bool,
    },
    Up(usize, ServerRun),
    Down(usize),
    Take(usize, usize),
    /// Which are confirmed: a bit each.
    Answered(usize, u8),
    Tick,
    /// So many tenths of a second pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let shard = 0..SHARDS;
    let publish = (shard.clone(), prop::bool::weighted(0.8), prop::bool::weighted(0.1));
    let run = prop_oneof![3 => Just(A), 1 => Just(B)];
    prop_oneof![
        4 => publish.prop_map(|(shard, kept, stays)| Step::Publish { shard, kept, stays }),
        2 => (shard.clone(), run).prop_map(|(shard, run)| Step::Up(shard, run)),
        1 => shard.clone().prop_map(Step::Down),
        3 => (shard.clone(), 1..4_usize).prop_map(|(shard, max)| Step::Take(shard, max)),
        2 => (shard, any::<u8>()).prop_map(|(shard, bits)| Step::Answered(shard, bits)),
        2 => Just(Step::Tick),
        2 => (1..80_u64).prop_map(Step::Pass),
    ]
}

/// What is known of the publishes from outside.
struct Witness {
    scene: Scene,
    now: f64,
    next: u64,
    /// The messages' publishes that are not settled, and since when they are tried.
    open: BTreeMap<u64, f64>,
    /// What is in flight to each shard.
    flying: [Vec<u64>; SHARDS],
    last_gap: [Option<f64>; SHARDS],
}

impl Witness {
    fn new(queue_max: usize) -> Self {
        Self {
            scene: Scene::new(&[None; SHARDS], queue_max),
            now: 0.0,
            next: 0,
            open: BTreeMap::new(),
            flying: Default::default(),
            last_gap: [None; SHARDS],
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Publish { shard, kept, stays } => self.publish(shard, kept, stays),
            Step::Up(shard, run) => {
                // A connection comes up once the one before is known to be gone.
                self.down(shard);
                self.scene.up(shard, run);
            }
            Step::Down(shard) => self.down(shard),
            Step::Take(shard, max) => self.take(shard, max)?,
            Step::Answered(shard, bits) => self.answered(shard, bits)?,
            Step::Tick => self.tick()?,
            Step::Pass(tenths) => self.now += tenths as f64 / 10.0,
        }
        prop_assert_eq!(self.scene.settled(), NONE, "settled out of turn by {:?}", step);
        self.nothing_is_lost()
    }

    fn publish(&mut self, shard: usize, kept: bool, stays: bool) {
        self.next += 1;
        if kept {
            self.open.insert(self.next, self.now);
        }
        let parcel = Parcel { stays, ..parcel(self.next) };
        self.scene.send(shard, parcel, kept, self.now);
    }

    fn down(&mut self, shard: usize) {
        self.scene.down(shard, self.now);
        self.flying[shard].clear();
    }

    fn take(&mut self, shard: usize, max: usize) -> Result<(), TestCaseError> {
        let taken: Vec<u64> = self.scene.take(shard, max).iter().map(|it| it.number).collect();
        prop_assert!(taken.len() <= max);
        if !taken.is_empty() {
            prop_assert!(self.flying[shard].is_empty(), "one pipeline at a time");
            self.flying[shard] = taken;
        }
        Ok(())
    }

    /// Exactly those are settled that are confirmed, and were open.
    fn answered(&mut self, shard: usize, bits: u8) -> Result<(), TestCaseError> {
        let flying = std::mem::take(&mut self.flying[shard]);
        let bits: Vec<bool> = (0..flying.len()).map(|index| bits & 1 << (index % 8) != 0).collect();
        self.scene.answered(shard, &bits);
        let confirmed = flying.iter().zip(&bits).filter(|(_, bit)| **bit);
        let expected: Vec<u64> = confirmed
            .map(|(number, _)| *number)
            .filter(|number| self.open.remove(number).is_some())
            .collect();
        prop_assert_eq!(self.scene.settled(), expected);
        Ok(())
    }

    /// What is settled was lost or is old, and under a gap count that rose in this very step.
    fn tick(&mut self) -> Result<(), TestCaseError> {
        let before = [0, 1].map(|shard| self.scene.gap_no(shard));
        let lost: BTreeSet<u64> = self.links(|link| link.lost.iter().map(|it| it.number).collect());
        self.scene.tick(self.now);
        let settled = self.scene.settled();
        let mut rose = false;
        for (shard, before) in before.into_iter().enumerate() {
            let gap_no = self.scene.gap_no(shard);
            if gap_no == before {
                continue;
            }
            prop_assert_eq!(gap_no, before + 1);
            let previous = self.last_gap[shard].replace(self.now);
            let apart = |previous: f64| at(self.now).since(at(previous));
            prop_assert!(previous.is_none_or(|previous| apart(previous) >= GAP_PAUSE));
            rose = true;
        }
        prop_assert_eq!(rose, !settled.is_empty());
        for number in settled {
            let since = self.open.remove(&number);
            prop_assert!(since.is_some(), "{} is settled twice", number);
            let is_old = since.is_some_and(|since| at(self.now).since(at(since)) > GIVE_UP);
            prop_assert!(is_old || lost.contains(&number), "{} is young, and not lost", number);
        }
        Ok(())
    }

    fn links(&self, numbers: impl Fn(&Link<Parcel>) -> Vec<u64>) -> BTreeSet<u64> {
        self.scene.queue.links.iter().flat_map(numbers).collect()
    }

    /// Each open publish of a message is in one place, from where it will be sent or announced.
    fn nothing_is_lost(&self) -> Result<(), TestCaseError> {
        let mut held: Vec<u64> = Vec::new();
        for link in &self.scene.queue.links {
            let items = link.waiting.iter().chain(&link.sent);
            held.extend(items.filter_map(|item| item.send_id).map(|send_id| send_id.number));
            held.extend(link.lost.iter().map(|send_id| send_id.number));
        }
        held.sort_unstable();
        prop_assert_eq!(held, self.open.keys().copied().collect::<Vec<_>>());
        Ok(())
    }

    /// Both shards come up and answer, and time passes.
    fn ends(mut self) -> Result<(), TestCaseError> {
        for shard in 0..SHARDS {
            self.step(&Step::Up(shard, A))?;
        }
        for shard in [0, 1, 0, 1] {
            while self.scene.queue.has_waiting(shard) {
                self.step(&Step::Take(shard, 8))?;
                self.step(&Step::Answered(shard, u8::MAX))?;
            }
        }
        self.step(&Step::Pass(200))?;
        self.step(&Step::Tick)?;
        prop_assert!(self.open.is_empty(), "{:?} are never settled", self.open);
        prop_assert!(self.scene.queue.is_quiet());
        Ok(())
    }
}

proptest! {
    #[test]
    fn each_publish_is_answered_or_given_up_on_under_a_gap(
        queue_max in 1..12_usize,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut witness = Witness::new(queue_max);
        for step in &steps {
            witness.step(step)?;
        }
        witness.ends()?;
    }
}
