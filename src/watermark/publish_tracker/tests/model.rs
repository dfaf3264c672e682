//! Random sends of one or two publishes on two shards, compared with a list of the outcome of each.

use proptest::prelude::*;

use super::*;

const SHARDS: usize = 2;
const GIVE_UP: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Step {
    /// A send is entered and passes, with publishes on these shards.
    Send(Vec<usize>),
    /// A send is entered, and its outcome is unknown.
    Doubt,
    Up(usize),
    Down(usize),
    Take(usize),
    Answered(usize, u8),
    Tick,
    /// So many tenths of a second pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let shard = 0..SHARDS;
    prop_oneof![
        4 => prop::collection::vec(shard.clone(), 1..3).prop_map(Step::Send),
        1 => Just(Step::Doubt),
        2 => shard.clone().prop_map(Step::Up),
        1 => shard.clone().prop_map(Step::Down),
        3 => shard.clone().prop_map(Step::Take),
        3 => (shard, any::<u8>()).prop_map(|(shard, bits)| Step::Answered(shard, bits)),
        2 => Just(Step::Tick),
        2 => (1..80_u64).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Answered,
    /// A gap was raised when it had been tried for long enough.
    Coverable,
}

#[derive(Debug)]
struct Sent {
    time: Micros,
    issued: MonotonicTime,
    /// The numbers of its publishes.
    publishes: std::ops::Range<usize>,
}

struct Witness {
    tracker: PublishTracker<Parcel>,
    now: f64,
    sends: Vec<Sent>,
    fates: Vec<Fate>,
    flying: [Vec<usize>; SHARDS],
}

impl Witness {
    fn new() -> Self {
        // Nothing falls out of the queue: young publishes are never given up on.
        let bounds = PublishBounds { pending: usize::MAX, queue_max: usize::MAX };
        Self {
            tracker: PublishTracker::new(SHARDS, bounds, at(0.0), Safeguards::default()),
            now: 0.0,
            sends: Vec::new(),
            fates: Vec::new(),
            flying: Default::default(),
        }
    }

    fn enter(&mut self) -> SendId {
        let last = self.sends.last().map_or(0, |sent| sent.time.0);
        let (time, issued) = (wall(self.now).max(Micros(last + 1)), at(self.now));
        let publishes = self.fates.len()..self.fates.len();
        self.sends.push(Sent { time, issued, publishes });
        self.tracker.enter(time, issued)
    }

    fn send(&mut self, shards: &[usize]) {
        let send_id = self.enter();
        let passed = self.tracker.check_ack(
            send_id,
            now(self.now, 0.0),
            Some(lease(0, f64::MAX)),
            shards.len() as u8,
        );
        assert_eq!(passed, AckDecision::Passed);
        for shard in shards {
            let number = self.fates.len();
            self.fates.push(Fate::Open);
            let moment = at(self.now);
            self.tracker.publish(*shard, Parcel(number as u64), Some(send_id), moment);
        }
        self.sends.last_mut().unwrap().publishes.end = self.fates.len();
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Send(shards) => self.send(shards),
            Step::Doubt => {
                let send_id = self.enter();
                self.tracker.check_ack(send_id, now(self.now, 0.0), None, 2);
            }
            Step::Up(shard) => {
                self.down(*shard);
                self.tracker.up(*shard, HERE);
            }
            Step::Down(shard) => self.down(*shard),
            Step::Take(shard) => {
                let taken = self.tracker.take(*shard, 3).map(|parcel| parcel.0 as usize);
                self.flying[*shard].extend(taken);
            }
            Step::Answered(shard, bits) => self.answered(*shard, *bits),
            Step::Tick => self.tick(),
            Step::Pass(tenths) => self.now += *tenths as f64 / 10.0,
        }
        self.check()
    }

    fn down(&mut self, shard: usize) {
        self.tracker.down(shard, at(self.now));
        self.flying[shard].clear();
    }

    fn answered(&mut self, shard: usize, bits: u8) {
        let confirmed = |index: usize| bits & 1 << index != 0;
        self.tracker.answered(shard, confirmed);
        let flying = std::mem::take(&mut self.flying[shard]);
        for (_, number) in flying.iter().enumerate().filter(|(index, _)| confirmed(*index)) {
            self.fates[*number] = Fate::Answered;
        }
    }

    fn gaps(&mut self) -> u64 {
        self.tracker.snapshot(0, wall(self.now)).links.iter().map(|link| link.gap_no).sum()
    }

    fn tick(&mut self) {
        let before = self.gaps();
        self.tracker.tick(at(self.now));
        if self.gaps() == before {
            return;
        }
        for sent in &self.sends {
            if at(self.now).since(sent.issued) > GIVE_UP {
                let open = self.fates[sent.publishes.clone()].iter_mut();
                open.filter(|fate| **fate == Fate::Open).for_each(|fate| *fate = Fate::Coverable);
            }
        }
    }

    /// Settled never passes a publish that is neither answered nor given up on. It passes every
    /// send whose publishes are all answered.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let reading = wall(self.now).max(self.sends.last().map_or(WALL, |sent| sent.time));
        let WorkerProgress { settled, decided, .. } = self.tracker.snapshot(0, reading);
        prop_assert_eq!(decided, reading, "nothing is being written");
        let below_first = |open: fn(Fate) -> bool| {
            let is_open =
                |sent: &&Sent| self.fates[sent.publishes.clone()].iter().any(|fate| open(*fate));
            let first = self.sends.iter().find(is_open);
            first.map_or(reading, |sent| Micros(sent.time.0 - 1))
        };
        let most = below_first(|fate| fate == Fate::Open);
        let least = below_first(|fate| fate != Fate::Answered);
        prop_assert!(least <= settled && settled <= most, "{} of {}..={}", settled, least, most);
        Ok(())
    }

    fn ends(mut self) -> Result<(), TestCaseError> {
        self.step(&Step::Up(0))?;
        self.step(&Step::Up(1))?;
        for shard in [0, 1] {
            while self.tracker.has_waiting(shard) {
                self.step(&Step::Take(shard))?;
                self.step(&Step::Answered(shard, u8::MAX))?;
            }
        }
        prop_assert!(self.tracker.is_settled(0), "with all answered, nothing is left over");
        Ok(())
    }
}

proptest! {
    #[test]
    fn settled_passes_what_is_answered_or_announced_and_nothing_else(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut witness = Witness::new();
        for step in &steps {
            witness.step(step)?;
        }
        witness.ends()?;
    }
}
