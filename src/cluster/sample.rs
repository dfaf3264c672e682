//! Heartbeats for tests.

use std::sync::Arc;

use smallvec::smallvec;

use super::{
    EnvelopeForm, Heartbeat, Incarnation, LinkSnapshot, NodeInfo, NodeReport, NodeState, ShardTag,
    WorkerProgress,
};
use crate::domain::Micros;
use crate::layout::{BucketCount, BucketCounts, Layout};

/// A layout of `buckets` buckets of each class on one shard.
pub(crate) fn layout(buckets: u64) -> Layout {
    Layout::new(BucketCounts::all(BucketCount::new(buckets).unwrap()), vec!["r1".into()])
}

/// A serving node that publishes by and subscribes to one layout.
pub(crate) fn about(node: &str) -> NodeInfo {
    NodeInfo {
        node: node.into(),
        boot: [7; 16],
        started: Micros(1),
        address: "127.0.0.1:1".into(),
        state: NodeState::Serving,
        publish: layout(1),
        subscribe: vec![layout(1)],
        tap: false,
        copies: false,
        envelopes: EnvelopeForm::default(),
        report: NodeReport::default(),
    }
}

/// A heartbeat with an incarnation and a counter alone.
pub(crate) fn row(incarnation: u128, counter: u64) -> Heartbeat {
    let (settled, decided) = (Micros(counter), Micros(counter + 1));
    let worker = WorkerProgress { settled, decided, links: smallvec![LinkSnapshot::default()] };
    let (tags, about) = ([ShardTag::of("r1")], Arc::new(about("n1")));
    Heartbeat::gather(Incarnation(incarnation), (counter, Micros(counter)), &tags, &[worker], about)
}
