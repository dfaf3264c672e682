//! Two nodes of one name: both work, and both tell of the other.

use std::path::Path;
use std::sync::Arc;

use narrowcast::bus::Bus;
use narrowcast::clock::MachineClock;
use narrowcast::config::Config;
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus, open_store, redis_bus};
use narrowcast::store::Store;
use serde_json::json;

use super::chat::{body, login, send};
use crate::harness::{Operator, RedisServer, Resp, eventually, token};

const NAMESAKES: &str = "narrowcast_nodes_of_same_name";

struct Twins {
    nodes: Vec<Node>,
    store: Arc<dyn Store>,
}

impl Twins {
    fn start(home: &Path, plan: &ClusterOptions, bus: impl Fn(&Config) -> Arc<dyn Bus>) -> Self {
        let config = Arc::new(plan.config(1).expect("a configuration"));
        let store = open_store(&config, home).expect("a store");
        let bus = bus(&config);
        let start = |_| {
            let (config, store) = (Arc::clone(&config), Arc::clone(&store));
            let (bus, machine) = (Arc::clone(&bus), MachineClock::default());
            Node::start(&NodeOptions { config, bus, store, machine }).expect("it starts")
        };
        Self { nodes: (0..2).map(start).collect(), store }
    }

    fn operator(&self, node: usize) -> Operator {
        Operator::new(&format!("http://{}", self.nodes[node].operator()))
    }

    /// Both name the other with its address, and take sessions all the same.
    async fn tell_of_each_other(&self) {
        for (here, there) in [(0, 1), (1, 0)] {
            let addresses = [here, there].map(|node| self.nodes[node].clients().to_string());
            let operator = self.operator(here);
            let is_told = || {
                let (status, verdict, reasons) = operator.readiness();
                let named = addresses.iter().all(|address| reasons.contains(address));
                let text = reasons.contains("two nodes are called n1");
                (status, verdict.as_str(), named && text) == (200, "degraded", true)
            };
            eventually("it names the other node", is_told).await;
            assert_eq!(operator.metric(NAMESAKES), 1);
        }
    }

    /// A message of either node's user reaches the other's, and cursors move.
    async fn work(&self) {
        let url = |node: usize| format!("ws://{}/v1/ws", self.nodes[node].clients());
        let mut alice = login(&url(0), &token("alice")).await;
        let mut bob = login(&url(1), &token("bob")).await;
        for number in 0..10 {
            send(&mut alice, "bob", json!(number)).await;
            assert_eq!(body(&mut bob).await, json!(number));
            send(&mut bob, "alice", json!(number)).await;
            assert_eq!(body(&mut alice).await, json!(number));
        }
        let marks = || self.nodes.iter().map(|node| node.metrics().watermark.micros.get());
        let begun: Vec<i64> = marks().collect();
        eventually("both watermarks move", || marks().zip(&begun).all(|(now, then)| now > *then))
            .await;
    }

    async fn stop(mut self) {
        let last = self.nodes.pop().expect("two nodes");
        last.stop().await;
        let operator = self.operator(0);
        eventually("the name is its own again", || operator.metric(NAMESAKES) == 0).await;
        assert_eq!(operator.readiness().1, "ready");
        self.nodes.pop().expect("the first node").stop().await;
        self.store.close().await;
    }
}

#[tokio::test]
async fn two_nodes_of_one_name_work_and_tell_of_each_other() {
    let home = tempfile::tempdir().expect("a directory");
    let plan = ClusterOptions { nodes: 2, unlimited: true, ..ClusterOptions::default() };
    let twins = Twins::start(home.path(), &plan, memory_bus);
    twins.tell_of_each_other().await;
    twins.work().await;
    twins.stop().await;
}

/// What only one node may hear goes by its boot.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn nodes_of_one_name_have_channels_of_their_own() {
    let (home, redis) = (tempfile::tempdir().expect("a directory"), RedisServer::start(&[]));
    let plan = ClusterOptions {
        nodes: 2,
        unlimited: true,
        redis: vec![redis.url()],
        ..ClusterOptions::default()
    };
    let twins = Twins::start(home.path(), &plan, redis_bus);
    twins.tell_of_each_other().await;
    let mut resp = Resp::connect(redis.port());
    let own = resp.channels("nc:main:n:*");
    assert_eq!(own.len(), 2, "{own:?}");
    assert!(own.iter().all(|channel| resp.subscribers(channel) == 1), "{own:?}");
    twins.work().await;
    twins.stop().await;
}
