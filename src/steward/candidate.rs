//! A node beside the living rows: whether it is let in, and what speaks against it.

use ahash::AHashSet;

use super::standing::Trouble;
use crate::domain::Micros;
use crate::layout::Layout;
use crate::roster::{Row, Run, ShardTag, State};

/// The first row of an incarnation, one in 2 s, that tells how its links are: what lets a node in is
/// its first, which was written before any link was up.
const LINKS_TRIED: u64 = 3;

/// A node that is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) boot: [u8; 16],
    pub(super) started: Micros,
    pub(super) publish: &'a Layout,
    pub(super) subscribe: &'a [Layout],
    /// The shards' names.
    pub(super) shards: &'a [String],
    /// Those that it does not hear for long, by their places.
    pub(super) lost: &'a [usize],
    /// Whether it was let in before: no younger node changes that.
    pub(super) serving: bool,
}

/// What follows from the living rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What its row is to say: whether it fits those who were there before.
    pub(super) says: State,
    /// Whether the node is let in.
    pub(super) serving: bool,
    pub(super) troubles: Vec<Trouble>,
    /// How many nodes serve, this one included.
    pub(super) nodes: u32,
    /// Whether another node is a tap.
    pub(super) others_tap: bool,
    /// Whether every node copies events to taps, this one included.
    pub(super) all_copy: bool,
}

impl Candidate<'_> {
    /// Judges the node. Until it is let in it must fit those who were there before; it is once it has
    /// read back that it says so, so that of two nodes that do not fit one has seen the other.
    pub(super) fn judge<'r>(self, rows: impl Iterator<Item = &'r Row>) -> Verdict {
        let (own, others): (Vec<&Row>, Vec<&Row>) =
            rows.partition(|row| row.about.boot == self.boot);
        let mut troubles = Vec::new();
        if !self.serving {
            let decides = |row: &&&Row| row.about.state != State::Starting || self.is_younger(row);
            troubles.extend(others.iter().filter(decides).filter_map(|row| self.misfit(row)));
        }
        let says = if troubles.is_empty() { State::Serving } else { State::Starting };
        if !self.serving && !own.iter().any(|row| row.about.state != State::Starting) {
            troubles.push(Trouble::NotInRoster);
        }
        let serving = troubles.is_empty();
        if serving {
            troubles = self.cut_off(&own, &others);
            troubles.extend(self.elsewhere(&own, &others));
        }
        let copies = |row: &&Row| row.about.copies;
        Verdict {
            says,
            serving,
            troubles,
            nodes: serving_boots(&others) + 1,
            others_tap: others.iter().any(|row| row.about.tap),
            all_copy: !own.is_empty() && own.iter().chain(&others).all(copies),
        }
    }

    /// Whether this node started after another one.
    fn is_younger(&self, other: &Row) -> bool {
        (other.about.started, other.about.boot) < (self.started, self.boot)
    }

    /// Why the node does not fit an older one: they must hear each other.
    fn misfit(&self, other: &Row) -> Option<Trouble> {
        let node = || other.about.node.clone();
        if !self.subscribe.contains(&other.about.publish) {
            Some(Trouble::Deaf { node: node(), layout: other.about.publish.clone() })
        } else if !other.about.subscribe.contains(self.publish) {
            Some(Trouble::Unheard { node: node(), layout: self.publish.clone() })
        } else {
            None
        }
    }

    /// The shards that this node has lost, to hear or to publish, and others have not.
    fn cut_off(&self, own: &[&Row], others: &[&Row]) -> Vec<Trouble> {
        let publishes = |row: &Row, tag: ShardTag| {
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
        shards.map(|(_, shard)| Trouble::CutOff { shard: shard.clone() }).collect()
    }

    /// The shards by whose names another node publishes to another server: that node, one a shard.
    fn elsewhere(&self, own: &[&Row], others: &[&Row]) -> Vec<Trouble> {
        let differs = |name: &String| {
            let tag = ShardTag::of(name);
            let here: Vec<Run> = own.iter().flat_map(|row| runs(row, tag)).copied().collect();
            let is_other = |row: &&&Row| {
                let mut there = runs(row, tag).peekable();
                !here.is_empty() && there.peek().is_some() && there.all(|run| !here.contains(run))
            };
            let node = others.iter().find(is_other)?.about.node.clone();
            Some(Trouble::Elsewhere { shard: name.clone(), node })
        };
        self.shards.iter().filter_map(differs).collect()
    }
}

/// The servers that a node publishes to by the name of a shard.
fn runs(row: &Row, tag: ShardTag) -> impl Iterator<Item = &Run> {
    row.shards.iter().filter(move |shard| shard.shard == tag).flat_map(|shard| &shard.runs)
}

/// A fenced node has a row of each incarnation, and is one node.
fn serving_boots(rows: &[&Row]) -> u32 {
    let serving = rows.iter().filter(|row| row.about.state != State::Starting);
    serving.map(|row| row.about.boot).collect::<AHashSet<_>>().len() as u32
}

#[cfg(test)]
mod tests;
