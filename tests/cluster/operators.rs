//! What any node tells its operator of all nodes, also while the store is away.

use std::sync::Arc;

use narrowcast::clock::MachineClock;
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus, open_store};
use narrowcast::store::Store;
use serde_json::{Value, json};

use super::chat::{login, subscribe};
use super::removed::held::Held;
use crate::harness::{Operator, eventually, token};

/// Two nodes of this process on one store, joined in memory.
struct Pair {
    nodes: Vec<Node>,
    store: Arc<Held>,
    _home: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let plan = ClusterOptions { nodes: 2, buckets: Some(4096), ..ClusterOptions::default() };
        let config = |number| Arc::new(plan.config(number).expect("a configuration"));
        let store = Arc::new(Held::new(open_store(&config(1), home.path()).expect("a store")));
        let bus = memory_bus(&config(1));
        let start = |number| {
            let (bus, store) = (Arc::clone(&bus), Arc::clone(&store) as Arc<dyn Store>);
            let machine = MachineClock::default();
            Node::start(&NodeOptions { config: config(number), bus, store, machine })
                .expect("it starts")
        };
        let pair = Self { nodes: (1..=2).map(start).collect(), store, _home: home };
        let knows_both = |node: &Node| node.live_nodes() == 2;
        eventually("both know each other", || pair.nodes.iter().all(knows_both)).await;
        pair
    }

    fn operator(&self, node: usize) -> Operator {
        Operator::new(&format!("http://{}", self.nodes[node].operator()))
    }

    /// What a node tells of all.
    fn document(&self, node: usize) -> Value {
        let (status, text) = self.operator(node).get("/v1/cluster");
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("a JSON document")
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
        self.store.close().await;
    }
}

/// A node in a document.
fn named<'a>(document: &'a Value, name: &str) -> &'a Value {
    let nodes = document["nodes"].as_array().expect("a list");
    nodes.iter().find(|node| node["name"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn every_node_tells_of_all() {
    let pair = Pair::start().await;
    let url = format!("ws://{}/v1/ws", pair.nodes[0].clients());
    let mut alice = login(&url, &token("alice")).await;
    subscribe(&mut alice, "topic.scores.*").await;
    let told = || {
        [0, 1].map(|node| pair.document(node)).iter().all(|document| {
            let is_well = |name| named(document, name)["status"] == "ready";
            named(document, "n1")["sessions"] == 1 && is_well("n1") && is_well("n2")
        })
    };
    eventually("both tell of the session", told).await;
    let document = pair.document(1);
    let layout = json!({"user": 4096, "room": 4096, "topic": 4096, "shards": ["memory"]});
    let node = named(&document, "n1");
    assert_eq!(node["layouts"], json!({"publish": layout, "subscribe": [layout]}));
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node["address"], pair.nodes[0].clients().to_string());
    assert_eq!(node["operator"], pair.nodes[0].operator().to_string());
    assert_eq!((&node["state"], &node["reasons"]), (&json!("serving"), &json!([])));
    assert!(node["since"].as_u64() <= document["as_of"].as_u64(), "{document}");
    assert_eq!(document["boot"], named(&document, "n2")["boot"]);
    assert_eq!(document["routing"], json!({"publish": "a", "subscribe": ["a"]}));
    let shard = &document["shards"][0];
    assert_eq!((&shard["up"], &shard["version"]), (&json!(true), &Value::Null));
    eventually("the watermark is told", || {
        named(&pair.document(1), "n1")["watermark_lag_ms"].is_u64()
    })
    .await;
    let operator = pair.operator(0);
    for (sample, value) in [
        ("narrowcast_live_nodes", 2),
        ("narrowcast_layout_shards", 1),
        ("narrowcast_layout_buckets{class=\"topic\"}", 4096),
        ("narrowcast_keys_held{class=\"topic\"}", 1),
        ("narrowcast_buckets_held{class=\"user\"}", 1),
        ("narrowcast_buckets_lingering", 0),
        ("narrowcast_shard_up{shard=\"memory\"}", 1),
        ("narrowcast_hello_to_cursor_seconds_count", 1),
        ("narrowcast_resumes_total{outcome=\"no_cursor\"}", 1),
    ] {
        assert_eq!(operator.metric(sample), value, "{sample}");
    }
    let counts = || operator.metric("narrowcast_shard_echo_seconds_count{shard=\"memory\"}") > 0;
    eventually("echoes are timed", counts).await;
    let looked = || operator.metric("narrowcast_worker_lag_seconds_count{worker=\"0\"}") > 0;
    eventually("the event loop is watched", looked).await;
    assert_eq!(operator.get("/v1/nothing").0, 404);
    drop(alice);
    pair.stop().await;
}

#[tokio::test]
async fn with_the_store_away_a_node_tells_what_it_knew_and_since_when() {
    let pair = Pair::start().await;
    eventually("a read is there", || pair.document(0)["as_of"].is_u64()).await;
    pair.store.set_away(true);
    let says_so = || pair.operator(0).readiness().2.contains("the cluster table was not read");
    eventually("it says that it does not read", says_so).await;
    let known = pair.document(0);
    assert!(known["age_ms"].as_u64() > Some(4_000), "{known}");
    assert_eq!(known["nodes"].as_array().map(Vec::len), Some(2), "{known}");
    pair.store.set_away(false);
    let is_fresh = || pair.document(0)["as_of"].as_u64() > known["as_of"].as_u64();
    eventually("it reads again", is_fresh).await;
    pair.stop().await;
}
