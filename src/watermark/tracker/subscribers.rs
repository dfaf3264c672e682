//! The subscriber connections of a node, as its watermark needs to know them.

use std::time::Duration;

use smallvec::SmallVec;

use crate::cluster::{FailureDetector, ServerRun, ShardTag};
use crate::domain::MonotonicTime;

/// How long others may publish to another run until this node resolves its shard's address again:
/// it may still be connected to a demoted primary. The wait doubles while that does not help.
const DISAGREE: Duration = Duration::from_secs(10);

/// The longest such wait.
const DISAGREE_MAX: Duration = Duration::from_mins(5);

/// The connections, one a shard, and since when other nodes publish to other runs.
#[derive(Debug)]
pub(super) struct Subscribers {
    connections: Vec<Subscriber>,
    disagreement: Option<Disagreement>,
}

#[derive(Debug)]
struct Subscriber {
    shard: ShardTag,
    /// None while it is down.
    up: Option<Connected>,
}

#[derive(Debug)]
struct Connected {
    run: ServerRun,
    /// Whether everything that was needed when it came up is subscribed and confirmed.
    whole: bool,
}

#[derive(Debug, Clone, Copy)]
struct Disagreement {
    since: MonotonicTime,
    wait: Duration,
}

impl Subscribers {
    /// All connections are down.
    pub fn new(shards: impl IntoIterator<Item = ShardTag>) -> Self {
        let down = |shard| Subscriber { shard, up: None };
        Self { connections: shards.into_iter().map(down).collect(), disagreement: None }
    }

    pub const fn count(&self) -> usize {
        self.connections.len()
    }

    pub fn connected(&mut self, shard: usize, run: ServerRun) {
        self.connections[shard].up = Some(Connected { run, whole: false });
    }

    pub fn lost(&mut self, shard: usize) {
        self.connections[shard].up = None;
    }

    /// Sets whether everything is subscribed, if the connection is up.
    pub fn set_whole(&mut self, shard: usize, whole: bool) {
        if let Some(connected) = &mut self.connections[shard].up {
            connected.whole = whole;
        }
    }

    /// Returns the run that the connection to a shard is up with.
    pub fn run(&self, tag: ShardTag) -> Option<ServerRun> {
        let subscriber = self.connections.iter().find(|subscriber| subscriber.shard == tag)?;
        Some(subscriber.up.as_ref()?.run)
    }

    /// Returns whether all are up, and everything is subscribed if that is asked for.
    pub fn all_up(&self, whole: bool) -> bool {
        let is_up = |connected: &Connected| connected.whole || !whole;
        self.connections.iter().all(|subscriber| subscriber.up.as_ref().is_some_and(is_up))
    }

    /// Records that other nodes publish to the same runs, as far as this one knows. While its
    /// address is resolved a shard is down and agrees with every node, since nothing is known.
    pub fn agree(&mut self) {
        let all_up = self.all_up(false);
        self.disagreement.take_if(|_| all_up);
    }

    /// Records that other nodes publish to other runs. Returns whether they do so for too long, once
    /// a wait.
    pub fn disagree_for_long(&mut self, now: MonotonicTime) -> bool {
        let fresh = Disagreement { since: now, wait: DISAGREE };
        let Disagreement { since, wait } = *self.disagreement.get_or_insert(fresh);
        let is_long = now.since(since) >= wait;
        if is_long {
            let wait = (wait * 2).min(DISAGREE_MAX);
            self.disagreement = Some(Disagreement { since: now, wait });
        }
        is_long
    }

    /// Returns the shards at which other nodes publish to another run.
    pub fn differing(&self, detector: &FailureDetector) -> SmallVec<[usize; 4]> {
        let differs = |index: &usize| {
            let shard = self.connections[*index].shard;
            !detector.agrees(|tag| if tag == shard { self.run(tag) } else { None })
        };
        (0..self.connections.len()).filter(differs).collect()
    }
}
