//! A bus that answers a publish and loses it: no break tells of that. The audit finds it.

use std::path::Path;
use std::sync::Arc;

use narrowcast::bus::{Bus, MemoryBus};
use narrowcast::client::{Client, Cursor, Device, DeviceOptions};
use narrowcast::config::Config;
use narrowcast::layout::ShardIndex;
use narrowcast::node::{Node, NodeOptions, open_store};
use narrowcast::store::Store;
use serde_json::json;

use super::chat::{body, history, login, next, send};
use super::nonces::placed_until;
use super::removed::held::Held;
use super::resume::resume;
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
pub struct Pair {
    bus: MemoryBus,
    pub store: Arc<Held>,
    pub nodes: Vec<Node>,
}

impl Pair {
    /// Two nodes that are ready.
    pub async fn ready(directory: &Path, audit: u32) -> Self {
        let pair = Self::start(directory, audit);
        pair.until_ready().await;
        pair
    }

    fn start(directory: &Path, audit: u32) -> Self {
        let bus = MemoryBus::new(1);
        let store = open_store(&config(1, audit), directory).expect("a store");
        let store = Arc::new(Held::new(store));
        let start = |number| {
            let bus: Arc<dyn Bus> = Arc::new(bus.clone());
            let store: Arc<dyn Store> = Arc::clone(&store) as _;
            let config = config(number, audit);
            Node::start(&NodeOptions {
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

    async fn until_ready(&self) {
        let is_ready = |node: &Node| node.readiness().verdict().1.is_empty();
        let moves = |node: &Node| node.metrics().watermark.frozen.get() == 0;
        eventually("both are there", || {
            self.nodes.iter().all(|node| is_ready(node) && moves(node) && node.live_nodes() == 2)
        })
        .await;
    }

    pub fn url(&self, node: usize) -> String {
        format!("ws://{}/v1/ws", self.nodes[node].clients())
    }

    pub async fn login(&self, node: usize, user: &str) -> Client {
        login(&self.url(node), &token(user)).await
    }

    /// Loses the next publish, and says that it did not: both copies, one for each user's bucket.
    pub fn lose_next(&self) {
        self.bus.drop_next(SHARD, 2);
    }

    pub async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
        self.store.close().await;
    }
}

/// Bob's session is new to the audit until it has had its first cursor for 10 s.
pub async fn until_owed(pair: &Pair) {
    let watermark = || pair.nodes[1].metrics().watermark.micros.get();
    for _half in 0..2 {
        let begun = watermark();
        eventually("the watermark moves on", || watermark() > begun + 6_000_000).await;
    }
}

#[tokio::test]
async fn what_a_bus_loses_and_says_it_did_not_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = Pair::ready(directory.path(), 100).await;
    let (mut alice, mut bob) = (pair.login(0, "alice").await, pair.login(1, "bob").await);
    until_owed(&pair).await;
    send(&mut alice, "bob", json!("heard")).await;
    assert_eq!(body(&mut bob).await, "heard");
    pair.lose_next();
    send(&mut alice, "bob", json!("lost")).await;
    assert_eq!(body(&mut bob).await, "lost", "the audit hands it over");
    assert_eq!(pair.nodes[1].metrics().recovery.audit_found.get(), 1);
    assert_eq!(pair.nodes[0].metrics().recovery.audit_found.get(), 0);
    drop((alice, bob));
    pair.stop().await;
}

/// A send of Alice that is stored and answered with `outcome_unknown`.
async fn sends_in_doubt(pair: &Pair, alice: &mut Client) {
    pair.store.doubt_next();
    let request = json!({"op": "send", "conversation": "user.bob", "body": "in doubt"});
    let refused = alice.ask(request).await.expect("the node answers");
    assert_eq!(refused["code"], "outcome_unknown", "{refused}");
}

#[tokio::test]
async fn a_send_whose_outcome_was_unknown_is_published_by_its_node_if_it_is_stored() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = Pair::ready(directory.path(), 0).await;
    let (mut alice, mut bob) = (pair.login(0, "alice").await, pair.login(1, "bob").await);
    sends_in_doubt(&pair, &mut alice).await;
    assert_eq!(body(&mut bob).await, "in doubt", "there is no audit, and no break");
    assert_eq!(pair.nodes[0].metrics().sends.published_late.get(), 1);
    drop((alice, bob));
    pair.stop().await;
}

/// An unacknowledged message turns up in the store, and its node is gone: no bug, and no alarm.
#[tokio::test]
async fn a_send_whose_outcome_was_unknown_is_counted_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut pair = Pair::ready(directory.path(), 100).await;
    let (mut alice, mut bob) = (pair.login(0, "alice").await, pair.login(1, "bob").await);
    until_owed(&pair).await;
    sends_in_doubt(&pair, &mut alice).await;
    drop(alice);
    pair.nodes.remove(0).stop().await;
    assert_eq!(body(&mut bob).await, "in doubt", "the audit hands it over");
    // By way of the other node's rows, which told of the time of its id.
    assert_eq!(pair.nodes[0].metrics().recovery.audit_unknown.get(), 1);
    assert_eq!(pair.nodes[0].metrics().recovery.audit_found.get(), 0);
    drop(bob);
    pair.stop().await;
}

/// A first try that turns up has the smaller id: the retry is the message, on every device and in
/// history.
#[tokio::test]
async fn a_retry_is_the_message_whatever_turns_up_of_the_first_try() {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = Pair::ready(directory.path(), 0).await;
    let (mut alice, mut bob) = (pair.login(0, "alice").await, pair.login(1, "bob").await);
    let cursor = resume(&pair.url(1), &token("bob"), None).await.text();
    let request = json!({"op": "send", "conversation": "user.bob", "body": "Hi!", "nonce": "n"});
    pair.store.doubt_next();
    assert_eq!(alice.ask(request.clone()).await.expect("an answer")["code"], "outcome_unknown");
    let sent = alice.ask(request).await.expect("an answer");
    assert_eq!(sent["op"], "sent", "{sent}");
    let id = sent["message"]["id"].as_str().expect("an id").to_owned();
    eventually("the first try is found", || {
        pair.nodes[0].metrics().sends.published_late.get() == 1
    })
    .await;
    send(&mut alice, "bob", json!("end")).await;
    // Live: the retry first. Its device takes what turns up for a repeat, by its smaller id.
    let mut ids = Vec::new();
    while ids.len() < 3 {
        let frame = next(&mut bob).await;
        if frame["op"] == "message" {
            ids.push(frame["message"]["id"].as_str().expect("an id").to_owned());
        }
    }
    assert_eq!(ids.iter().take(2).max(), Some(&id), "{ids:?}");
    let all = history(&mut alice, "bob").await;
    let of_send: Vec<_> = all.iter().filter(|(_, body)| *body == "Hi!").collect();
    assert_eq!(of_send.len(), 1, "{all:?}");
    assert_eq!(of_send[0].0, id);
    let plan = DeviceOptions::new(vec![pair.url(1)], token("bob"), "later".into());
    let plan = DeviceOptions { cursor: Some(Cursor::new(&cursor)), ..plan };
    let mut later = Device::new(plan).expect("addresses");
    assert_eq!(placed_until(&mut later, "end").await, id, "a device that comes later agrees");
    drop(later);
    drop((alice, bob));
    pair.stop().await;
}
