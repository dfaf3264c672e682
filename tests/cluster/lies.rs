//! A bus that answers a publish and loses it: no break tells of that. The audit finds it.

use std::path::Path;
use std::sync::Arc;

use narrowcast::bus::{Bus, MemoryBus};
use narrowcast::client::Client;
use narrowcast::config::Config;
use narrowcast::layout::ShardIndex;
use narrowcast::node::{Node, NodePlan, open_store};
use narrowcast::store::Store;
use serde_json::json;

use super::chat::{body, login, send};
use crate::harness::{eventually, token};

const SHARD: ShardIndex = ShardIndex(0);

fn config(number: u32, audit: u32) -> Arc<Config> {
    let text = format!(
        "[node]\nname = \"n{number}\"\n\
         [listen]\nclients = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
         [audit]\nreads_per_s = {audit}\n"
    );
    Arc::new(Config::load(Some(&text), []).expect("it is within its bounds"))
}

/// Two nodes of one process on a bus that can be made to lie.
struct Pair {
    bus: MemoryBus,
    store: Arc<dyn Store>,
    nodes: Vec<Node>,
}

impl Pair {
    fn start(directory: &Path, audit: u32) -> Self {
        let bus = MemoryBus::new(1);
        let store = open_store(&config(1, audit), directory).expect("a store");
        let start = |number| {
            let bus: Arc<dyn Bus> = Arc::new(bus.clone());
            let (config, store) = (config(number, audit), Arc::clone(&store));
            Node::start(&NodePlan {
                config,
                bus,
                store,
                machine: narrowcast::clock::MachineClock::default(),
            })
            .expect("it starts")
        };
        let nodes: Vec<Node> = [1, 2].map(start).into();
        Self { bus, store, nodes }
    }

    async fn ready(&self) {
        let is_ready = |node: &Node| node.readiness().verdict().1.is_empty();
        let moves = |node: &Node| node.metrics().frozen.get() == 0;
        eventually("both are there", || {
            self.nodes.iter().all(|node| is_ready(node) && moves(node) && node.live_nodes() == 2)
        })
        .await;
    }

    async fn login(&self, node: usize, user: &str) -> Client {
        login(&format!("ws://{}/v1/ws", self.nodes[node].clients()), &token(user)).await
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
        self.store.close().await;
    }
}

/// Bob's session is new to the audit until it has had its first cursor for 10 s.
async fn until_owed(pair: &Pair) {
    let watermark = || pair.nodes[1].metrics().watermark.get();
    for _half in 0..2 {
        let begun = watermark();
        eventually("the watermark moves on", || watermark() > begun + 6_000_000).await;
    }
}

#[tokio::test]
async fn what_a_bus_loses_and_says_it_did_not_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = Pair::start(directory.path(), 1000);
    pair.ready().await;
    let (mut alice, mut bob) = (pair.login(0, "alice").await, pair.login(1, "bob").await);
    until_owed(&pair).await;
    send(&mut alice, "bob", json!("heard")).await;
    assert_eq!(body(&mut bob).await, "heard");
    // Both copies of it: each user's bucket has one.
    pair.bus.drop_next(SHARD, 2);
    send(&mut alice, "bob", json!("lost")).await;
    assert_eq!(body(&mut bob).await, "lost", "the audit hands it over");
    assert_eq!(pair.nodes[1].metrics().audit_found.get(), 1);
    assert_eq!(pair.nodes[0].metrics().audit_found.get(), 0);
    drop((alice, bob));
    pair.stop().await;
}
