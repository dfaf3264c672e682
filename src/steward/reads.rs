//! Reads of the roster, one at a time, and what they say of the node among the others.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ahash::AHashSet;

use super::StewardPlan;
use super::standing::Trouble;
use crate::domain::{Moment, Now};
use crate::roster::{Row, ShardTag, State};

/// From the begin of one read to the next, unless it takes longer.
const READ_EVERY: Duration = Duration::from_secs(2);

type Reading = Pin<Box<dyn Future<Output = Option<Vec<Row>>> + Send>>;

/// The reads of the roster.
pub(super) struct Reads {
    plan: Arc<StewardPlan>,
    reading: Option<Reading>,
    due: Moment,
    serving: bool,
    /// How often this node had become a tap when the read began.
    tap_begins: u64,
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reads").field("due", &self.due).finish_non_exhaustive()
    }
}

impl Reads {
    pub(super) fn new(plan: Arc<StewardPlan>) -> Self {
        let due = plan.clock.moment();
        Self { plan, reading: None, due, serving: false, tap_begins: 0 }
    }

    /// Begins a read if one is due: both clocks as they were before it was issued.
    pub(super) fn begin(&mut self) -> Option<Now> {
        let begun = self.plan.clock.read();
        if self.reading.is_some() || begun.moment < self.due {
            return None;
        }
        // Clients wait for the node to be let in, or for its tap.
        let waited_for = !self.serving || self.plan.taps.is_awaited();
        let every = if waited_for { READ_EVERY / 10 } else { READ_EVERY };
        self.due = begun.moment + every;
        self.tap_begins = self.plan.taps.begins();
        let (read, bound) = (self.plan.store.roster(), self.plan.read);
        self.plan.metrics.roster_reads.inc();
        self.reading = Some(Box::pin(async move {
            match tokio::time::timeout(bound, read).await {
                Ok(Ok(rows)) => Some(rows),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the roster cannot be read");
                    None
                }
                Err(_elapsed) => None,
            }
        }));
        Some(begun)
    }

    /// The next read is due now.
    pub(super) fn hurry(&mut self) {
        self.due = self.due.min(self.plan.clock.moment());
    }

    /// Waits for the read under way: its rows, if there are any.
    pub(super) async fn returned(&mut self) -> Option<Vec<Row>> {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let rows = reading.await;
        self.reading = None;
        rows
    }

    /// Judges the node by the living rows: the part that it says it plays. It plays it once it has
    /// read that back, so that of two nodes that do not fit one has seen the other. `lost` are the
    /// shards that it does not hear for long.
    pub(super) fn judge<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a Row>,
        lost: &[usize],
    ) -> State {
        let (own, others): (Vec<&Row>, Vec<&Row>) =
            rows.partition(|row| row.about.boot == self.plan.boot.0);
        let serving = others.iter().filter(|row| row.about.state == State::Serving);
        let boots: AHashSet<[u8; 16]> = serving.map(|row| row.about.boot).collect();
        self.plan.nodes.store(boots.len() as u32 + 1, Ordering::Relaxed);
        self.judge_taps(&own, &others);
        let mut troubles = Vec::new();
        if !self.serving {
            let decides = |row: &&&Row| row.about.state != State::Starting || self.is_younger(row);
            troubles.extend(others.iter().filter(decides).filter_map(|row| self.misfit(row)));
        }
        let fits = troubles.is_empty();
        if !own.iter().any(|row| row.about.state != State::Starting) {
            troubles.push(Trouble::NotInRoster);
        }
        self.serving |= troubles.is_empty();
        if self.serving {
            troubles = self.cut_off(&own, &others, lost);
        }
        self.plan.standing.note(self.serving, troubles);
        if fits { State::Serving } else { State::Starting }
    }

    fn judge_taps(&self, own: &[&Row], others: &[&Row]) {
        let copies = |row: &&Row| row.about.copies;
        let fresh = self.tap_begins == self.plan.taps.begins();
        let all_copy = fresh && !own.is_empty() && own.iter().chain(others).all(copies);
        self.plan.taps.roster(others.iter().any(|row| row.about.tap), all_copy);
    }

    /// Whether this node started after another one.
    fn is_younger(&self, other: &Row) -> bool {
        (other.about.started, other.about.boot) < (self.plan.started, self.plan.boot.0)
    }

    /// Why the node does not fit an older one: they must hear each other.
    fn misfit(&self, other: &Row) -> Option<Trouble> {
        let node = || other.about.node.clone();
        if !self.plan.subscribe.contains(&other.about.publish) {
            Some(Trouble::Deaf { node: node(), layout: other.about.publish.clone() })
        } else if !other.about.subscribe.contains(&self.plan.publish) {
            Some(Trouble::Unheard { node: node(), layout: self.plan.publish.clone() })
        } else {
            None
        }
    }

    /// The shards that this node has lost, to hear or to publish, and others have not.
    fn cut_off(&self, own: &[&Row], others: &[&Row], lost: &[usize]) -> Vec<Trouble> {
        let publishes = |row: &Row, tag: ShardTag| {
            row.shards.iter().any(|shard| shard.shard == tag && !shard.runs.is_empty())
        };
        let is_lost = |(index, name): &(usize, &String)| {
            let tag = ShardTag::of(name);
            let deaf = lost.contains(index);
            let mute = !own.is_empty() && !own.iter().any(|row| publishes(row, tag));
            (deaf || mute) && others.iter().any(|row| publishes(row, tag))
        };
        let shards = self.plan.shards.iter().enumerate().filter(is_lost);
        shards.map(|(_, shard)| Trouble::CutOff { shard: shard.clone() }).collect()
    }
}
