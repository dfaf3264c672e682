//! Heartbeats for tests.

use std::sync::Arc;

use smallvec::smallvec;

use super::{About, EnvelopeForm, Incarnation, LinkSnapshot, Row, ShardTag, Snapshot, State};
use crate::domain::Micros;
use crate::layout::{BucketCount, Buckets, Layout};

/// A layout of `buckets` buckets of each class on one shard.
pub(crate) fn layout(buckets: u64) -> Layout {
    Layout::new(Buckets::all(BucketCount::new(buckets).unwrap()), vec!["r1".into()])
}

/// A serving node that publishes by and subscribes to one layout.
pub(crate) fn about(node: &str) -> About {
    About {
        node: node.into(),
        boot: [7; 16],
        started: Micros(1),
        address: "127.0.0.1:1".into(),
        state: State::Serving,
        publish: layout(1),
        subscribe: vec![layout(1)],
        tap: false,
        copies: false,
        envelopes: EnvelopeForm::default(),
    }
}

/// A heartbeat with an incarnation and a counter alone.
pub(crate) fn row(incarnation: u128, counter: u64) -> Row {
    let (settled, decided) = (Micros(counter), Micros(counter + 1));
    let worker = Snapshot { settled, decided, links: smallvec![LinkSnapshot::default()] };
    let (tags, about) = ([ShardTag::of("r1")], Arc::new(about("n1")));
    Row::gather(Incarnation(incarnation), (counter, Micros(counter)), &tags, &[worker], about)
}
