//! What the nodes of a storm counted.

use std::collections::BTreeMap;

use crate::bench::error::BenchError;
use crate::bench::nodes::RunningNode;
use crate::monitor::Samples;

/// Counters of nodes, summed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StormCounts {
    /// Reads of resumes, rounds and audits.
    pub(super) recovery_reads: u64,
    /// Statements of a CQL store that read, by their names.
    pub(super) reads: BTreeMap<String, u64>,
    /// Connections that were dropped before their `hello`, by reason.
    pub(super) dropped: BTreeMap<String, u64>,
    /// Sessions that nodes closed, by close code.
    pub(super) closes: BTreeMap<String, u64>,
}

impl StormCounts {
    /// Asks the nodes.
    pub(super) async fn of(nodes: &[RunningNode]) -> Result<Self, BenchError> {
        let mut counts = Self::default();
        for node in nodes {
            counts.add(&node.samples().await?);
        }
        Ok(counts)
    }

    fn add(&mut self, samples: &Samples) {
        self.recovery_reads += samples.of("narrowcast_recovery_reads_total") as u64;
        let labelled = |name| samples.by_first_label(name);
        let statements = labelled("narrowcast_store_statements_total");
        sum(&mut self.reads, statements.filter(|(statement, _)| statement.starts_with("read_")));
        sum(&mut self.dropped, labelled("narrowcast_connections_dropped_total"));
        sum(&mut self.closes, labelled("narrowcast_closes_total"));
    }

    /// What came since `before`, without what did not change.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            recovery_reads: self.recovery_reads.saturating_sub(before.recovery_reads),
            reads: added(&self.reads, &before.reads),
            dropped: added(&self.dropped, &before.dropped),
            closes: added(&self.closes, &before.closes),
        }
    }

    /// Reads of the store: those of a CQL store are statements, and all are counted. The embedded
    /// store counts none, so there only recovery's are known.
    pub(super) fn all_reads(&self) -> u64 {
        if self.reads.is_empty() { self.recovery_reads } else { self.reads.values().sum() }
    }
}

fn sum<'a>(counts: &mut BTreeMap<String, u64>, labelled: impl Iterator<Item = (&'a str, f64)>) {
    for (label, count) in labelled {
        *counts.entry(label.to_owned()).or_default() += count as u64;
    }
}

fn added(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let since = |(name, count): (&String, &u64)| {
        let more = count.saturating_sub(before.get(name).copied().unwrap_or_default());
        (more > 0).then(|| (name.clone(), more))
    };
    now.iter().filter_map(since).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_and_subtracted() {
        let mut before = StormCounts::default();
        before.add(&Samples::read(
            "# HELP narrowcast_recovery_reads Reads.\nnarrowcast_recovery_reads_total 5\n\
             narrowcast_store_statements_total{statement=\"read_head\"} 2\n\
             narrowcast_store_statements_total{statement=\"write_head\"} 9\n\
             narrowcast_connections_dropped_total{reason=\"silent\"} 0\nother 1.5\n",
        ));
        let mut now = before.clone();
        now.add(&Samples::read(
            "narrowcast_recovery_reads_total 7\n\
             narrowcast_store_statements_total{statement=\"read_head\"} 4\n\
             narrowcast_closes_total{code=\"4200\"} 3\n",
        ));
        let since = now.since(&before);
        assert_eq!((since.recovery_reads, since.all_reads()), (7, 4));
        assert_eq!(since.closes, BTreeMap::from([("4200".to_owned(), 3)]));
        assert!(since.dropped.is_empty(), "{since:?}");
    }
}
