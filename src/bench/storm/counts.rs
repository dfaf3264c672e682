//! What the nodes of a storm counted.

use std::collections::BTreeMap;

use crate::bench::error::BenchError;
use crate::bench::nodes::RunningNode;
use crate::client::http_get;

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
            counts.add(&http_get(&node.operator, "/metrics").await?.1);
        }
        Ok(counts)
    }

    fn add(&mut self, metrics: &str) {
        for (series, count) in metrics.lines().filter_map(sample) {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let label = labels.split('"').nth(1).unwrap_or_default();
            let counted = match name {
                "narrowcast_recovery_reads_total" => {
                    self.recovery_reads += count;
                    continue;
                }
                "narrowcast_store_statements_total" if label.starts_with("read_") => {
                    &mut self.reads
                }
                "narrowcast_connections_dropped_total" => &mut self.dropped,
                "narrowcast_closes_total" => &mut self.closes,
                _ => continue,
            };
            *counted.entry(label.to_owned()).or_default() += count;
        }
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

fn sample(line: &str) -> Option<(&str, u64)> {
    let (series, count) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    Some((series, count.parse().ok()?))
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
        before.add(
            "# HELP narrowcast_recovery_reads Reads.\nnarrowcast_recovery_reads_total 5\n\
             narrowcast_store_statements_total{statement=\"read_head\"} 2\n\
             narrowcast_store_statements_total{statement=\"write_head\"} 9\n\
             narrowcast_connections_dropped_total{reason=\"silent\"} 0\nother 1.5\n",
        );
        let mut now = before.clone();
        now.add(
            "narrowcast_recovery_reads_total 7\n\
             narrowcast_store_statements_total{statement=\"read_head\"} 4\n\
             narrowcast_closes_total{code=\"4200\"} 3\n",
        );
        let since = now.since(&before);
        assert_eq!((since.recovery_reads, since.all_reads()), (7, 4));
        assert_eq!(since.closes, BTreeMap::from([("4200".to_owned(), 3)]));
        assert!(since.dropped.is_empty(), "{since:?}");
    }
}
