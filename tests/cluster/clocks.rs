//! Nodes whose clocks do not agree with the store's.

mod amid_faults;
mod behind_answers;
mod skewed;

use std::sync::Arc;
use std::time::Duration;

use narrowcast::auth::Claims;
use narrowcast::client::{Client, ClientError};
use narrowcast::clock::{MachineClock, WallClock};
use narrowcast::config::Config;
use narrowcast::node::{ClusterOptions, Node, NodeOptions, memory_bus, open_store};
use narrowcast::store::Store;
use serde_json::{Value, json};

use self::skewed::{MUTE, Skewed};
use super::chat::{login, send};
use super::resume::resume;
use super::rooms::{as_user, backend, room};
use crate::harness::tokens::{claims, now, sign};
use crate::harness::{Operator, eventually, token};

const KNOWN: &str = "narrowcast_clock_known";
const FROZEN: &str = "narrowcast_watermark_frozen";
const WATERMARK: &str = "narrowcast_watermark_micros";
const READS: &str = "narrowcast_cluster_reads_total";

/// Nodes of this process, each of which sees the store's clock in its own way.
struct Scene {
    nodes: Vec<Node>,
    skews: Vec<Arc<Skewed>>,
    machines: Vec<MachineClock>,
    store: Arc<dyn Store>,
    _home: tempfile::TempDir,
}

impl Scene {
    fn start(nodes: u32, skew: impl Fn(Skewed) -> Skewed) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let plan = ClusterOptions { nodes, unlimited: true, ..ClusterOptions::default() };
        let config = |number| Arc::new(plan.config(number).expect("a configuration"));
        let first: Arc<Config> = config(1);
        let store = open_store(&first, home.path()).expect("a store");
        let bus = memory_bus(&first);
        let skews: Vec<Arc<Skewed>> =
            (0..nodes).map(|_| Arc::new(skew(Skewed::new(Arc::clone(&store), 0)))).collect();
        let machines: Vec<_> = (0..nodes).map(|_| MachineClock::default()).collect();
        let start = |(number, (store, machine)): (u32, (&Arc<Skewed>, &MachineClock))| {
            let (bus, store) = (Arc::clone(&bus), Arc::clone(store) as Arc<dyn Store>);
            let (config, machine) = (config(number), machine.clone());
            Node::start(&NodeOptions { config, bus, store, machine }).expect("it starts")
        };
        let nodes = (1..).zip(skews.iter().zip(&machines)).map(start).collect();
        Self { nodes, skews, machines, store, _home: home }
    }

    /// Nodes that are ready.
    async fn ready(nodes: u32, skew: impl Fn(Skewed) -> Skewed) -> Self {
        let scene = Self::start(nodes, skew);
        scene.until_ready().await;
        scene
    }

    async fn until_ready(&self) {
        let count = self.nodes.len() as u32;
        let is_ready =
            |node: &Node| node.readiness().verdict().1.is_empty() && node.live_nodes() == count;
        eventually("all are ready", || self.nodes.iter().all(is_ready)).await;
    }

    fn url(&self, node: usize) -> String {
        format!("ws://{}/v1/ws", self.nodes[node].clients())
    }

    fn operator(&self, node: usize) -> Operator {
        Operator::new(&format!("http://{}", self.nodes[node].operator()))
    }

    /// Sets how far the store's clock is ahead as a node sees it, and waits until it noticed.
    async fn skew(&self, node: usize, millis: i64) {
        self.skews[node].set_ahead(millis);
        let (operator, known) = (self.operator(node), u64::from(millis.abs() < 2500));
        eventually("the node has checked its clock", || operator.metric(KNOWN) == known).await;
    }

    /// Waits until a node has read the cluster table a few times: cursors had their chance to move.
    async fn some_reads(&self, node: usize) {
        let operator = self.operator(node);
        let before = operator.metric(READS);
        eventually("the cluster table is read", || operator.metric(READS) >= before + 4).await;
    }

    async fn strike(self) {
        for node in self.nodes {
            node.stop().await;
        }
        self.store.close().await;
    }
}

async fn try_send(client: &mut Client) -> Value {
    let request = json!({"op": "send", "conversation": "user.bob", "body": "hi"});
    client.ask(request).await.expect("the node answers")
}

fn assert_names_the_clock(text: &str) {
    assert!(text.contains("this node's clock is 3"), "{text}");
    assert!(text.contains("ahead of the store's"), "{text}");
    assert!(text.contains("at most 2500 ms are allowed"), "{text}");
}

#[tokio::test]
async fn a_node_whose_clock_is_off_takes_no_sends_and_moves_no_cursor_until_it_is_right() {
    let scene = Scene::ready(1, |skew| skew).await;
    let (url, operator) = (scene.url(0), scene.operator(0));
    room(&url, "r", "all", &["alice"]).await;
    let mut alice = login(&url, &token("alice")).await;
    send(&mut alice, "bob", json!("before")).await;

    scene.skew(0, -3500).await;
    let refused = try_send(&mut alice).await;
    let is = |refused: &Value| (refused["code"].clone(), refused["retry"].clone());
    assert_eq!(is(&refused), (json!("unavailable"), json!("later")), "{refused}");
    assert_names_the_clock(refused["detail"].as_str().expect("a text"));
    for (path, body) in [("/v1/rooms/r/members/bob", json!({})), ("/v1/rooms/r2", json!({}))] {
        let (status, problem) = backend(&url, "PUT", path, &body).await;
        assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
        assert_names_the_clock(problem["detail"].as_str().expect("a text"));
    }
    // There is nobody who would do better: whoever is here stays.
    let (status, verdict, reasons) = operator.readiness();
    assert_eq!((status, verdict.as_str()), (200, "degraded"), "{reasons}");
    assert_names_the_clock(&reasons);
    let offset = operator.sample("narrowcast_clock_offset_seconds");
    assert!((3.4..3.6).contains(&offset), "{offset}");
    let watermark = operator.metric(WATERMARK);
    scene.some_reads(0).await;
    assert_eq!(operator.metric(WATERMARK), watermark, "no cursor moves");
    assert_eq!(operator.metric(FROZEN), 1, "and it says so");

    scene.skew(0, 0).await;
    scene.until_ready().await;
    send(&mut alice, "bob", json!("after")).await;
    eventually("cursors move again", || operator.metric(WATERMARK) > watermark).await;
    assert_eq!(operator.metric(FROZEN), 0);
    assert_eq!(operator.metric("narrowcast_fences_total"), 1, "a fresh incarnation");
    scene.strike().await;
}

/// What a node says the time is, against this machine's, in milliseconds.
async fn ahead(scene: &Scene) -> i64 {
    let mut alice = login(&scene.url(0), &token("alice")).await;
    let pong = alice.ask(json!({"op": "ping"})).await.expect("an answer");
    pong["now"].as_i64().expect("a time") - WallClock::system().millis() as i64
}

#[tokio::test]
async fn a_node_whose_machine_is_set_right_goes_on() {
    let scene = Scene::ready(1, |skew| skew).await;
    let operator = scene.operator(0);
    scene.machines[0].set_ahead(60_000_000);
    eventually("the node has noticed", || operator.metric(KNOWN) == 0).await;
    let (_, _, reasons) = operator.readiness();
    assert!(reasons.contains("clock: this node's clock is"), "{reasons}");
    scene.machines[0].set_ahead(0);
    scene.until_ready().await;
    assert!(ahead(&scene).await.abs() < 1000);
    scene.strike().await;
}

/// Tokens go by the wall clock of the moment: a machine that is set right judges rightly at once.
#[tokio::test]
async fn tokens_are_judged_by_what_the_machine_shows_now() {
    const HOUR: i64 = 3_600_000_000;
    let scene = Scene::ready(1, |skew| skew).await;
    let url = scene.url(0);
    let later = now() + 3600;
    let ends_before = sign(&Claims { exp: now() + 1800, ..claims("alice") });
    let made_later = sign(&Claims::of_user("alice", later, 3600));
    let status =
        async |token: &str| as_user(&url, token, "GET", "/v1/openapi.json", &Value::Null).await.0;
    assert_eq!((status(&ends_before).await, status(&made_later).await), (200, 401));
    // The node itself takes no requests while its machine is off; who calls is looked at before.
    scene.machines[0].set_ahead(HOUR);
    assert_eq!(status(&ends_before).await, 401);
    assert_ne!(status(&made_later).await, 401);
    scene.machines[0].set_ahead(0);
    scene.until_ready().await;
    assert_eq!((status(&ends_before).await, status(&made_later).await), (200, 401));
    scene.strike().await;
}

/// A machine that is off by less than is allowed says nothing about ids: the store's clocks do.
#[tokio::test]
async fn ids_are_of_the_stores_time_whatever_the_machine_shows() {
    let scene = Scene::start(1, |skew| skew);
    scene.machines[0].set_ahead(2_000_000);
    scene.until_ready().await;
    assert!(ahead(&scene).await.abs() < 500);
    scene.strike().await;
}

#[tokio::test]
async fn a_store_node_whose_clock_stands_apart_does_not_count() {
    let scene = Scene::ready(1, |skew| {
        skew.set_one_ahead(1, 5_000);
        skew
    })
    .await;
    let operator = scene.operator(0);
    eventually("it is counted", || operator.metric("narrowcast_clocks_apart") == 1).await;
    assert!(ahead(&scene).await.abs() < 500);
    assert!(operator.sample("narrowcast_clock_uncertainty_seconds") < 0.5);
    scene.strike().await;
}

/// The negative control: where nobody heeds the store's clock, the story above is another one.
#[tokio::test]
async fn a_clock_that_nobody_heeds_is_as_if_it_were_right() {
    let scene = Scene::start(1, Skewed::unheeded);
    scene.skews[0].set_ahead(-3500);
    scene.until_ready().await;
    let (url, operator) = (scene.url(0), scene.operator(0));
    let mut alice = login(&url, &token("alice")).await;
    assert_eq!(try_send(&mut alice).await["op"], "sent");
    let watermark = operator.metric(WATERMARK);
    eventually("cursors move", || operator.metric(WATERMARK) > watermark).await;
    assert_eq!(operator.metric(KNOWN), 1);
    scene.strike().await;
}

#[tokio::test]
async fn a_node_that_never_knew_the_time_takes_nobody_in() {
    let scene = Scene::start(1, |skew| {
        skew.set_ahead(MUTE);
        skew
    });
    let operator = scene.operator(0);
    scene.some_reads(0).await;
    let (status, verdict, reasons) = operator.readiness();
    assert_eq!((status, verdict.as_str()), (503, "starting"), "{reasons}");
    assert!(reasons.contains("clock: this node's clock is not known to be right"), "{reasons}");
    assert_eq!(operator.metric("narrowcast_heartbeats_written_total"), 0, "no node learns of it");
    assert!(Client::login(&scene.url(0), &token("alice")).await.is_err());

    scene.skew(0, 0).await;
    scene.until_ready().await;
    let mut alice = login(&scene.url(0), &token("alice")).await;
    send(&mut alice, "bob", json!("at last")).await;
    scene.strike().await;
}

#[tokio::test]
async fn a_node_that_is_off_hands_its_sessions_to_the_others() {
    let scene = Scene::ready(2, |skew| skew).await;
    let mut alice = login(&scene.url(0), &token("alice")).await;
    let mut bob = login(&scene.url(1), &token("bob")).await;
    scene.skew(0, -3500).await;
    let closed = alice.next_within(crate::harness::PATIENCE).await;
    assert!(matches!(closed, Err(ClientError::Closed { code: 4200, .. })), "{closed:?}");
    let (status, verdict, reasons) = scene.operator(0).readiness();
    assert_eq!((status, verdict.as_str()), (503, "unready"), "{reasons}");
    assert_names_the_clock(&reasons);
    assert!(Client::login(&scene.url(0), &token("alice")).await.is_err());

    send(&mut bob, "alice", json!("over here")).await;
    let mut alice = login(&scene.url(1), &token("alice")).await;
    send(&mut alice, "bob", json!("I see")).await;
    scene.skew(0, 0).await;
    scene.until_ready().await;
    login(&scene.url(0), &token("alice")).await;
    scene.strike().await;
}

/// What a device missed may have expired: it loads its inbox.
#[tokio::test]
async fn a_cursor_that_is_older_than_what_is_kept_is_of_no_use() {
    for (kept, resumed) in [(Duration::ZERO, false), (Duration::from_hours(24), true)] {
        let scene = Scene::ready(1, |skew| skew.keeping(kept)).await;
        let (url, bob) = (scene.url(0), token("bob"));
        let cursor = resume(&url, &bob, None).await.text();
        let mut alice = login(&url, &token("alice")).await;
        send(&mut alice, "bob", json!("missed")).await;
        let back = resume(&url, &bob, Some(&cursor)).await;
        assert_eq!(back.cursor["resumed"], resumed, "{kept:?}: {}", back.cursor);
        assert_eq!(back.cursor["reason"] == "retention", !resumed, "{kept:?}: {}", back.cursor);
        assert_eq!(back.missed.contains(&json!("missed")), resumed, "{:?}", back.missed);
        drop((alice, back));
        scene.strike().await;
    }
}
