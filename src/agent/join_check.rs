//! Decides whether a node is admitted among the live nodes, and finds the reasons against it.

use std::time::Duration;

use ahash::AHashSet;

use super::health::HealthIssue;
use crate::bus::BootId;
use crate::cluster::{Heartbeat, NodeState, ServerRun, ShardTag};
use crate::domain::Micros;
use crate::layout::Layout;

/// The number of an incarnation's first heartbeat, of one in 2 s, whose shard connections count. A
/// node is admitted by its first one, which was written before any connection was up.
const LINKS_TRIED: u64 = 3;

/// How long after this node's start a heartbeat must be written to be of a node beside it, and not
/// of the process that it follows: their clocks may differ by less.
const OUTLIVED_BY: Duration = Duration::from_secs(1);

/// A node that is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinCheck<'a> {
    pub(super) name: &'a str,
    /// Where clients connect.
    pub(super) address: &'a str,
    pub(super) boot: [u8; 16],
    pub(super) started: Micros,
    pub(super) publish: &'a Layout,
    pub(super) subscribe: &'a [Layout],
    /// The shards' names.
    pub(super) shards: &'a [String],
    /// The indices of the shards whose subscriber connection was lost for long.
    pub(super) lost: &'a [usize],
    /// Whether it was admitted before: no younger node changes that.
    pub(super) serving: bool,
}

/// What follows from the live heartbeats.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JoinDecision {
    /// The state for its heartbeat: whether it fits the older nodes.
    pub(super) says: NodeState,
    /// Whether the node is admitted.
    pub(super) serving: bool,
    pub(super) troubles: Vec<HealthIssue>,
    /// How many nodes serve, this one included.
    pub(super) nodes: u32,
    /// Whether another node holds a wide pattern.
    pub(super) others_tap: bool,
    /// Whether every node, this one included, copies events to the channel `tap`.
    pub(super) all_copy: bool,
}

impl JoinCheck<'_> {
    /// Checks the node. Until it is admitted it must fit the nodes that were there before. It is
    /// admitted once it has read back its own state, so that of two nodes that do not fit one has
    /// seen the other.
    pub(super) fn assess<'r>(self, rows: impl Iterator<Item = &'r Heartbeat>) -> JoinDecision {
        let (own, others): (Vec<&Heartbeat>, Vec<&Heartbeat>) =
            rows.partition(|row| row.about.boot == self.boot);
        let mut troubles = Vec::new();
        if !self.serving {
            let decides =
                |row: &&&Heartbeat| row.about.state != NodeState::Starting || self.is_younger(row);
            troubles.extend(others.iter().filter(decides).filter_map(|row| self.misfit(row)));
        }
        let says = if troubles.is_empty() { NodeState::Serving } else { NodeState::Starting };
        if !self.serving && !own.iter().any(|row| row.about.state != NodeState::Starting) {
            troubles.push(HealthIssue::NotReadBack);
        }
        let serving = troubles.is_empty();
        if serving {
            troubles = self.cut_off(&own, &others);
            troubles.extend(self.elsewhere(&own, &others));
        }
        troubles.extend(self.namesakes(&others));
        let copies = |row: &&Heartbeat| row.about.copies;
        JoinDecision {
            says,
            serving,
            troubles,
            nodes: serving_boots(&others) + 1,
            others_tap: others.iter().any(|row| row.about.tap),
            all_copy: !own.is_empty() && own.iter().chain(&others).all(copies),
        }
    }

    /// Returns whether this node started after another one.
    fn is_younger(&self, other: &Heartbeat) -> bool {
        (other.about.started, other.about.boot) < (self.started, self.boot)
    }

    /// Returns why the node does not fit an older one: each must receive what the other publishes.
    fn misfit(&self, other: &Heartbeat) -> Option<HealthIssue> {
        let node = || other.about.node.clone();
        if !self.subscribe.contains(&other.about.publish) {
            Some(HealthIssue::Deaf { node: node(), layout: other.about.publish.clone() })
        } else if !other.about.subscribe.contains(self.publish) {
            Some(HealthIssue::Unheard { node: node(), layout: self.publish.clone() })
        } else {
            None
        }
    }

    /// Returns the live nodes with this node's name. A heartbeat from before this node's start may be
    /// of the process that it follows.
    fn namesakes(&self, others: &[&Heartbeat]) -> Vec<HealthIssue> {
        let lives_on = |row: &&&Heartbeat| {
            row.about.state != NodeState::Draining && row.written > self.started + OUTLIVED_BY
        };
        let mut found: Vec<_> =
            others.iter().filter(|row| row.about.node == self.name).filter(lives_on).collect();
        found.sort_by_key(|row| row.about.boot);
        found.dedup_by_key(|row| row.about.boot);
        let issue = |row: &&Heartbeat| HealthIssue::SameName {
            name: self.name.to_owned(),
            here: self.address.to_owned(),
            there: row.about.address.clone(),
            boot: BootId(row.about.boot),
        };
        found.into_iter().map(issue).collect()
    }

    /// Returns the shards that this node has lost for subscribing or publishing, and that others
    /// have not.
    fn cut_off(&self, own: &[&Heartbeat], others: &[&Heartbeat]) -> Vec<HealthIssue> {
        let publishes = |row: &Heartbeat, tag: ShardTag| {
            row.shards.iter().any(|shard| shard.shard == tag && !shard.runs.is_empty())
        };
        let is_lost = |(place, name): &(usize, &String)| {
            let tag = ShardTag::of(name);
            let deaf = self.lost.contains(place);
            let told = own.iter().any(|row| row.counter >= LINKS_TRIED);
            let mute = told && !own.iter().any(|row| publishes(row, tag));
            (deaf || mute) && others.iter().any(|row| publishes(row, tag))
        };
        let shards = self.shards.iter().enumerate().filter(is_lost);
        shards.map(|(_, shard)| HealthIssue::CutOff { shard: shard.clone() }).collect()
    }

    /// Returns the shards for which another node publishes to another server: per shard, that node.
    fn elsewhere(&self, own: &[&Heartbeat], others: &[&Heartbeat]) -> Vec<HealthIssue> {
        let differs = |name: &String| {
            let tag = ShardTag::of(name);
            let here: Vec<ServerRun> = own.iter().flat_map(|row| runs(row, tag)).copied().collect();
            let is_other = |row: &&&Heartbeat| {
                let mut there = runs(row, tag).peekable();
                !here.is_empty() && there.peek().is_some() && there.all(|run| !here.contains(run))
            };
            let node = others.iter().find(is_other)?.about.node.clone();
            Some(HealthIssue::Elsewhere { shard: name.clone(), node })
        };
        self.shards.iter().filter_map(differs).collect()
    }
}

/// Returns the Redis runs that a node publishes to for a shard.
fn runs(row: &Heartbeat, tag: ShardTag) -> impl Iterator<Item = &ServerRun> {
    row.shards.iter().filter(move |shard| shard.shard == tag).flat_map(|shard| &shard.runs)
}

/// Returns how many nodes serve. A fenced node has a heartbeat of each incarnation, and is one
/// node.
fn serving_boots(rows: &[&Heartbeat]) -> u32 {
    let serving = rows.iter().filter(|row| row.about.state != NodeState::Starting);
    serving.map(|row| row.about.boot).collect::<AHashSet<_>>().len() as u32
}

#[cfg(test)]
mod tests;
