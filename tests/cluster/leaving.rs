//! A node that leaves in good order, beside others that go on.

use narrowcast::cluster::DeliveryGap;
use narrowcast::node::{Cluster, ClusterOptions};

use crate::harness::eventually;

#[tokio::test]
async fn who_says_that_it_left_is_not_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let plan = ClusterOptions { nodes: 3, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&plan, directory.path()).expect("it starts");
    cluster.ready().await.expect("its links come up");
    let leaving = cluster.nodes.remove(2);
    leaving.stop().await;
    let counts = |nodes: u32| cluster.nodes.iter().all(|node| node.live_nodes() == nodes);
    eventually("the others know", || counts(2)).await;
    // One that was only found dead would hold the watermark back for 15 s.
    for _part in 0..2 {
        let watermarks = || cluster.nodes.iter().map(|node| node.metrics().watermark.micros.get());
        let begun: Vec<i64> = watermarks().collect();
        let moved = || watermarks().zip(&begun).all(|(now, then)| now > then + 6_000_000);
        eventually("the watermark goes on", moved).await;
    }
    for node in &cluster.nodes {
        assert_eq!(node.metrics().watermark.gaps(DeliveryGap::Dead.name()).get(), 0);
        assert_eq!(node.metrics().watermark.frozen.get(), 0);
    }
    cluster.stop().await;
}
