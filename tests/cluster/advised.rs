//! The closed loop: running nodes are asked for advice, it is followed to the letter under load, and
//! what it said comes true.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use narrowcast::client::Client;
use narrowcast::clock::MachineClock;
use narrowcast::config::Config;
use narrowcast::node::{Node, NodeOptions, open_store, redis_bus};
use narrowcast::store::Store;
use rand::RngExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::watch::trial::Trial;
use crate::harness::{
    Operator, Process, RedisServer, eventually, eventually_within, free_port, token,
};

/// Nodes, unless [`NODES_KEY`] says how many.
const NODES: usize = 3;
const NODES_KEY: &str = "NARROWCAST_SOAK_NODES";

/// The buckets at the beginning: too few for the topics.
const FEW: u32 = 4_096;

/// Sessions of a node that watch topics, each its own ones: as many as a session may hold.
const WATCHERS: usize = 20;
const TOPICS: usize = 100;

/// How long an asker watches, in seconds.
const WATCHED: &str = "4";

/// Between two events of a publisher.
const PUBLISH_PAUSE: Duration = Duration::from_millis(8);

/// How far what comes true may be from what was said.
const NEAR: f64 = 0.1;

/// How long a node may take to be ready, or sessions to be back.
const READY: Duration = Duration::from_secs(30);

/// Nodes of this process, each by a configuration file of its own.
struct Fleet {
    files: Vec<PathBuf>,
    ports: Vec<[u16; 2]>,
    nodes: Vec<Option<Node>>,
    store: Arc<dyn Store>,
    home: tempfile::TempDir,
}

impl Fleet {
    async fn start(count: usize, layouts: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let store_home = home.path().join("store");
        let config = Config::load(None, []).expect("the defaults");
        let store = open_store(&config, &store_home).expect("a store");
        let files = (1..=count).map(|node| home.path().join(format!("n{node}.toml"))).collect();
        let ports = (0..count).map(|_| [free_port(), free_port()]).collect();
        let nodes = (0..count).map(|_| None).collect();
        let mut fleet = Self { files, ports, nodes, store, home };
        for node in 0..count {
            fleet.roll(node, layouts).await;
        }
        for node in 0..count {
            fleet.ready(node).await;
        }
        fleet
    }

    /// Writes a node's file with these tables, and starts it anew by the file.
    async fn roll(&mut self, node: usize, layouts: &str) {
        let [clients, operator] = self.ports[node];
        let text = format!(
            "[node]\nname = \"n{}\"\n\
             [listen]\nclients = \"127.0.0.1:{clients}\"\noperator = \"127.0.0.1:{operator}\"\n\
             [rates]\nlimit_users = false\n[interest]\nlinger_ms = 100\n\
             [timeouts]\ndrain_timeout_ms = 2000\nlame_duck_ms = 0\nbucket_subscribe_timeout_ms = 15000\n\
             subscribe_timeout_ms = 15000\n\
             [repair]\nconversation_messages = 10000\nresume_messages = 100000\n{layouts}",
            node + 1,
        );
        std::fs::write(&self.files[node], text).expect("a file");
        if let Some(running) = self.nodes[node].take() {
            running.stop().await;
        }
        self.nodes[node] = Some(start(&self.files[node], &self.store));
    }

    async fn ready(&self, node: usize) {
        let node = self.nodes[node].as_ref().expect("it runs");
        let is_ready = || {
            let (state, reasons) = node.readiness().verdict();
            state.to_string() == "ready"
                && reasons.is_empty()
                && node.live_nodes() as usize == self.ports.len()
        };
        eventually_within(READY, "the node is ready", is_ready).await;
    }

    fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|[clients, _]| format!("ws://127.0.0.1:{clients}/v1/ws")).collect()
    }

    fn operators(&self) -> Vec<String> {
        self.ports.iter().map(|[_, operator]| format!("http://127.0.0.1:{operator}")).collect()
    }

    /// Node events and deliveries of all nodes so far.
    fn counted(&self) -> [u64; 2] {
        let nodes = self.nodes.iter().flatten().map(Node::metrics);
        nodes.fold([0, 0], |[events, deliveries], metrics| {
            let delivered = metrics.sessions.deliveries.get();
            [events + metrics.bus.node_events(), deliveries + delivered]
        })
    }

    /// All sessions are in, and no bucket lingers.
    async fn is_settled(&self, sessions: usize) {
        let all_in = || {
            let open = self.nodes.iter().flatten().map(|node| node.metrics().sessions.open.get());
            open.sum::<i64>() as usize == sessions
        };
        eventually_within(READY, "all sessions are in", all_in).await;
        let operators = self.operators();
        let lingers = |url: &String| Operator::new(url).metric("narrowcast_buckets_lingering") > 0;
        eventually_within(READY, "none lingers", || !operators.iter().any(lingers)).await;
    }

    /// Node events a delivery from now on, for some time.
    async fn measure(&self) -> f64 {
        let [events, deliveries] = self.counted();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let now = self.counted();
        (now[0] - events) as f64 / (now[1] - deliveries) as f64
    }

    async fn stop(self) {
        for node in self.nodes.into_iter().flatten() {
            node.stop().await;
        }
        self.store.close().await;
        drop(self.home);
    }
}

fn start(file: &Path, store: &Arc<dyn Store>) -> Node {
    let text = std::fs::read_to_string(file).expect("the file");
    let config = Arc::new(Config::load(Some(&text), []).expect("a configuration"));
    let (bus, store, machine) = (redis_bus(&config), Arc::clone(store), MachineClock::default());
    Node::start(&NodeOptions { config, bus, store, machine }).expect("it starts")
}

/// Sessions that watch topics, and publishers. All come back to their nodes.
#[derive(Default)]
struct Crowd {
    nodes: usize,
    watching: AtomicUsize,
    heard: AtomicUsize,
    published: AtomicUsize,
    /// Cancelled when nothing more is to be published.
    quiet: CancellationToken,
    end: CancellationToken,
}

/// Counts a session that watches, until it is dropped.
struct Watching<'a>(&'a AtomicUsize);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Crowd {
    fn gather(urls: &[String]) -> Arc<Self> {
        let crowd = Arc::new(Self { nodes: urls.len(), ..Self::default() });
        for (node, url) in urls.iter().enumerate() {
            for watcher in 0..WATCHERS {
                let number = node * WATCHERS + watcher;
                tokio::spawn(Arc::clone(&crowd).watch(number, url.clone()));
            }
            tokio::spawn(Arc::clone(&crowd).publish(node, url.clone()));
        }
        crowd
    }

    async fn watch(self: Arc<Self>, number: usize, url: String) {
        while !self.end.is_cancelled() {
            let _ended = self.watch_once(number, &url).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn watch_once(&self, number: usize, url: &str) -> Option<()> {
        let mut client = Client::login(url, &token(&format!("watcher{number}"))).await.ok()?;
        let topics = (0..TOPICS).map(|topic| format!("topic.t{}.>", number * TOPICS + topic));
        let request = json!({"op": "subscribe", "patterns": topics.collect::<Vec<_>>()});
        let answer = client.ask(request).await.ok()?;
        (answer["op"] == "ok").then_some(())?;
        self.watching.fetch_add(1, Ordering::SeqCst);
        let _watching = Watching(&self.watching);
        loop {
            tokio::select! {
                () = self.end.cancelled() => return None,
                frame = client.next() => {
                    if frame.ok()?["op"] == "event" {
                        self.heard.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        }
    }

    async fn publish(self: Arc<Self>, number: usize, url: String) {
        while !self.quiet.is_cancelled() {
            let _ended = self.publish_on(number, &url).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn publish_on(&self, number: usize, url: &str) -> Option<()> {
        let mut client = Client::login(url, &token(&format!("publisher{number}"))).await.ok()?;
        while !self.quiet.is_cancelled() {
            let topic = rand::rng().random_range(0..self.watchers() * TOPICS);
            let subject = format!("topic.t{topic}.x");
            let request = json!({"op": "publish", "subject": subject, "data": 1});
            let answer = client.ask(request).await.ok()?;
            if answer["op"] == "ok" {
                self.published.fetch_add(1, Ordering::SeqCst);
            }
            tokio::time::sleep(PUBLISH_PAUSE).await;
        }
        None
    }

    const fn watchers(&self) -> usize {
        self.nodes * WATCHERS
    }

    async fn is_whole(&self) {
        let all = || self.watching.load(Ordering::SeqCst) == self.watchers();
        eventually_within(READY, "all watch", all).await;
    }

    fn counts(&self) -> [usize; 2] {
        [&self.published, &self.heard].map(|count| count.load(Ordering::SeqCst))
    }
}

/// What `advise` prints about these nodes.
async fn ask(operators: Vec<String>) -> Value {
    let asked = tokio::task::spawn_blocking(move || {
        let mut command = Process::narrowcast();
        command.args(["advise", "--json", "--seconds", WATCHED, "--from"]).args(operators);
        Process::run(&mut command)
    });
    let asked = asked.await.expect("it runs");
    assert_eq!(asked.code, Some(0), "{}", asked.errors);
    serde_json::from_str(&asked.output).expect("a JSON object")
}

fn is_near(found: f64, said: &Value) -> bool {
    let said = said.as_f64().expect("a number");
    println!("node events a delivery: {said:.3} said, {found:.3} found");
    (found / said - 1.0).abs() < NEAR
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn advice_that_is_followed_comes_true_and_loses_nothing() {
    let redis = RedisServer::start(&[]);
    let before = format!(
        "[layouts.a]\nbuckets = {{ user = {FEW}, room = {FEW}, topic = {FEW} }}\n\
         redis = [{{ name = \"r1\", url = {:?} }}]\n[routing]\npublish = \"a\"\nsubscribe = [\"a\"]\n",
        redis.url()
    );
    let nodes = std::env::var(NODES_KEY).map_or(NODES, |count| count.parse().expect("a number"));
    let mut fleet = Fleet::start(nodes, &before).await;
    let crowd = Crowd::gather(&fleet.urls());
    let trial = Trial::begin("advised", &fleet.urls()).await;
    crowd.is_whole().await;
    // Who talks, where, is the same before and after: watchers, a publisher of each node, devices.
    let sessions = crowd.watchers() + nodes + trial.load.devices();
    fleet.is_settled(sessions).await;
    let said = ask(fleet.operators()).await;
    let advice = &said["advice"];
    assert!(is_near(fleet.measure().await, &advice["node_events_per_delivery_now"]), "{advice}");
    let class = |at: usize, field: &str| advice["classes"][at][field].clone();
    assert_eq!((class(0, "buckets"), class(1, "buckets")), (json!(FEW), json!(FEW)), "{advice}");
    assert!(class(2, "buckets").as_u64() > Some(FEW.into()), "{advice}");
    let edits = said["edits"].as_array().expect("a list");
    assert_eq!(edits.len(), 3, "{said}");
    for edit in edits {
        for node in 0..nodes {
            fleet.roll(node, edit.as_str().expect("a text")).await;
            fleet.ready(node).await;
        }
    }
    trial.load.go_home();
    crowd.is_whole().await;
    fleet.is_settled(sessions).await;
    let begun = crowd.counts();
    assert!(is_near(fleet.measure().await, &advice["node_events_per_delivery"]), "{advice}");
    crowd.quiet.cancel();
    let since = || crowd.counts().iter().zip(begun).map(|(now, then)| now - then).collect();
    let all_heard = || {
        let counts: Vec<usize> = since();
        counts[0] > 100 && counts[1] >= counts[0]
    };
    eventually("every event is heard", all_heard).await;
    let again = ask(fleet.operators()).await;
    assert_eq!((&again["is_change"], &again["edits"]), (&json!(false), &json!([])), "{again}");
    trial.end().await.assert_proven();
    crowd.end.cancel();
    fleet.stop().await;
}
