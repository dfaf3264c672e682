//! A part that lies. No fault of a real part was found that fires this alert: Redis, its failovers
//! and its network either deliver or show that they did not. So the bus here is one of the tests.

use serde_json::json;

use crate::alarms::watch::Watch;
use crate::cluster::chat::{body, send};
use crate::cluster::lies::{Pair, until_owed};

pub const ALERTS: [&str; 1] = ["NarrowcastAuditFound"];

#[tokio::test]
#[ignore = "needs prometheus, and takes minutes"]
async fn a_bus_that_loses_and_says_it_did_not_fires_an_alert() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = Pair::ready(directory.path(), 100).await;
    let targets: Vec<String> = pair.nodes.iter().map(|node| node.operator().to_string()).collect();
    let mut watch = Watch::start(&targets).await;
    let (mut alice, mut bob) = (pair.login(0, "alice").await, pair.login(1, "bob").await);
    until_owed(&pair).await;
    watch.expect("a bus loses a publish and says it did not (a double)", &ALERTS).await;
    pair.lose_next();
    send(&mut alice, "bob", json!("lost")).await;
    assert_eq!(body(&mut bob).await, "lost", "the audit hands it over");
    watch.fire(crate::harness::PATIENCE).await;
    watch.heal();
    watch.end().await;
    drop((alice, bob));
    pair.stop().await;
}
