//! The plan of a publish: the buckets and shards of the two keys of a direct message, and whether
//! to publish to them or once to all.
//!
//! 1,000 pairs of users, 1,048,576 buckets of each class on four shards, 30 nodes of which each
//! needs 5 % of the buckets.

use std::hint::black_box;

use divan::Bencher;
use narrowcast::domain::RoutingKey;
use narrowcast::layout::{BucketCount, BucketCounts, Layout, Layouts, plan};

use crate::crowd::Outcome;
use crate::{Step, time};

const PAIRS: usize = 1000;
const BUCKETS: u64 = 1 << 20;
const SHARDS: [&str; 4] = ["r1", "r2", "r3", "r4"];
const NODES: u32 = 30;
const HELD: f64 = 0.05;

/// Plans one publish.
pub fn direct_message() -> Outcome<Step> {
    let buckets = BucketCounts::all(BucketCount::new(BUCKETS)?);
    let layouts = Layouts::from(Layout::new(buckets, SHARDS.map(String::from).to_vec()));
    let key = |number| RoutingKey::parse(&format!("user.member-{number}"));
    let pair = |number| Ok([key(2 * number)?, key(2 * number + 1)?]);
    let pairs = (0..PAIRS).map(pair).collect::<Outcome<Vec<_>>>()?;
    let mut next = (0..PAIRS).cycle();
    Ok(Box::new(move || {
        let keys = black_box(&pairs[next.next().unwrap_or_default()]);
        let routes = keys.each_ref().map(|key| layouts.route(key));
        black_box(plan(black_box(routes).len(), black_box(NODES), black_box(HELD)));
    }))
}

#[divan::bench(name = "direct_message")]
fn time_direct_message(bencher: Bencher<'_, '_>) {
    time(bencher, direct_message());
}
