//! A change of layout: nodes at neighbouring rolls of it live at once and hear each other, from
//! few buckets on one shard to many on two.

use std::collections::BTreeMap;

use narrowcast::client::Client;
use narrowcast::node::{Cluster, ClusterOptions, Node};
use serde_json::{Value, json};

use super::chat::{body, login, next, publish, send, subscribe};
use super::shards::{channel, name_on};
use super::stage::{USEFUL, WASTED, probes, published};
use crate::harness::{Operator, RedisServer, Resp, eventually, token};

/// The buckets of the old layout.
const OLD: u32 = 65_536;

/// The buckets of the new one.
const NEW: u32 = 1 << 20;

const ROUNDS: u64 = 50;

/// How far a node is in the change.
#[derive(Debug, Clone, Copy)]
enum Roll {
    /// Knows the old layout alone.
    Before,
    /// Listens by both.
    Hears,
    /// Publishes by the new one as well.
    Publishes,
    /// Is done with the old one.
    Done,
}

impl Roll {
    const fn publish(self) -> &'static str {
        if matches!(self, Self::Before | Self::Hears) { "a" } else { "b" }
    }

    const fn subscribe(self) -> &'static [&'static str] {
        match self {
            Self::Before => &["a"],
            Self::Hears | Self::Publishes => &["a", "b"],
            Self::Done => &["b"],
        }
    }

    /// What a node's configuration has beside layout `a`.
    fn tables(self, shards: &[String], wait_ms: u32) -> String {
        let (publish, subscribe) = (self.publish(), self.subscribe());
        format!(
            "[layouts.b]\nbuckets = {{ user = {NEW}, room = {NEW}, topic = {NEW} }}\n\
             redis = [{}]\n\
             [routing]\npublish = {publish:?}\nsubscribe = {subscribe:?}\n\
             [timeouts]\nbucket_subscribe_timeout_ms = {wait_ms}\nsubscribe_timeout_ms = {wait_ms}\n\
             redis_backoff_max_ms = 50\n",
            shards.join(", "),
        )
    }
}

/// A node a roll.
struct Change {
    rolls: Vec<Roll>,
    redis: Vec<RedisServer>,
    cluster: Cluster,
    _directory: tempfile::TempDir,
}

/// For confirmations, on however slow a machine.
const PATIENT_MS: u32 = 15_000;

impl Change {
    /// Two shards, the first of them the old layout's; or the memory of this process.
    async fn start(rolls: &[Roll], redis: Vec<RedisServer>, wait_ms: u32) -> Self {
        let change = Self::begin(rolls, redis, wait_ms);
        change.cluster.ready().await.expect("its links come up");
        change
    }

    fn begin(rolls: &[Roll], redis: Vec<RedisServer>, wait_ms: u32) -> Self {
        let shard = |(index, redis): (usize, &RedisServer)| {
            format!("{{ name = \"r{}\", url = {:?} }}", index + 1, redis.url())
        };
        let shards: Vec<String> = redis.iter().enumerate().map(shard).collect();
        let plan = ClusterOptions {
            unlimited: true,
            unknown_frames: false,
            nodes: rolls.len() as u32,
            buckets: Some(OLD),
            redis: redis.iter().take(1).map(RedisServer::url).collect(),
            tables: rolls.iter().map(|roll| roll.tables(&shards, wait_ms)).collect(),
            addresses: Vec::new(),
        };
        let directory = tempfile::tempdir().expect("a directory");
        let cluster = Cluster::start(&plan, directory.path()).expect("it starts");
        Self { rolls: rolls.to_vec(), redis, cluster, _directory: directory }
    }

    async fn login(&self, node: usize, user: &str) -> Client {
        login(&self.cluster.url(node), &token(user)).await
    }

    fn metric(&self, start: &str) -> Vec<u64> {
        self.cluster.nodes.iter().map(|node| operator(node).metric(start)).collect()
    }

    /// The connections that hear a key by the old layout and by the new one, told by the shards.
    fn listeners(&self, key: &str) -> [u64; 2] {
        [OLD, NEW].map(|buckets| {
            let channel = channel(key, buckets.into());
            self.redis.iter().map(|redis| Resp::connect(redis.port()).subscribers(&channel)).sum()
        })
    }

    /// How many nodes listen by the old layout and by the new one.
    fn expected_listeners(&self) -> [u64; 2] {
        ["a", "b"].map(|layout| {
            self.rolls.iter().filter(|roll| roll.subscribe().contains(&layout)).count() as u64
        })
    }

    fn published(&self) -> Option<u64> {
        published(&self.redis, || {
            self.cluster.nodes.iter().map(|node| probes(&operator(node))).sum()
        })
    }
}

fn operator(node: &Node) -> Operator {
    Operator::new(&format!("http://{}", node.operator()))
}

fn two_shards() -> Vec<RedisServer> {
    (0..2).map(|_| RedisServer::start(&[])).collect()
}

/// Alice's bucket moves to the second shard, Bob's stays on the first.
fn alice_and_bob() -> [String; 2] {
    [name_on(1, "user", "alice"), name_on(0, "user", "bob")]
}

/// What a frame is, who said it, and its number.
fn heard(frame: &Value) -> (String, u64) {
    let (what, by, number) = match frame["op"].as_str() {
        Some("message") => ("message", &frame["message"]["from"], &frame["message"]["body"]),
        Some("event") => ("event", &frame["data"]["by"], &frame["data"]["number"]),
        _ => panic!("neither a message nor an event: {frame}"),
    };
    let by = by.as_str().expect("somebody");
    (format!("{what} of {by}"), number.as_u64().expect("a number"))
}

/// The next frames are these, each story told once, from its beginning to its end.
async fn hears_stories(client: &mut Client, stories: &[String]) {
    let mut told: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for _ in 0..stories.len() as u64 * ROUNDS {
        let (story, number) = heard(&next(client).await);
        told.entry(story).or_default().push(number);
    }
    let whole = |story: &String| (story.clone(), (0..ROUNDS).collect());
    assert_eq!(told, stories.iter().map(whole).collect());
}

/// Alice and Bob, each with a phone on one of two nodes and a tablet on the other.
struct Friends {
    names: [String; 2],
    phones: [Client; 2],
    tablets: [Client; 2],
}

impl Friends {
    async fn login(change: &Change) -> Self {
        let names = alice_and_bob();
        let phones = [change.login(0, &names[0]).await, change.login(1, &names[1]).await];
        let mut tablets = [change.login(1, &names[0]).await, change.login(0, &names[1]).await];
        for tablet in &mut tablets {
            subscribe(tablet, "topic.scores.*").await;
        }
        Self { names, phones, tablets }
    }

    /// Each writes to the other and announces to all.
    async fn talk(&mut self) {
        for number in 0..ROUNDS {
            for me in 0..2 {
                let event = json!({"by": self.names[me], "number": number});
                send(&mut self.phones[me], &self.names[1 - me], json!(number)).await;
                publish(&mut self.phones[me], "topic.scores.goal", event).await;
            }
        }
    }

    /// Every device hears all that is for it, and nothing twice: the end comes right after.
    async fn hear(&mut self) {
        let stories = |what: &str| self.names.clone().map(|by| format!("{what} of {by}"));
        let (messages, events) = (stories("message"), stories("event"));
        for me in 0..2 {
            hears_stories(&mut self.phones[me], &messages[1 - me..2 - me]).await;
            let all = [messages.clone(), events.clone()].concat();
            hears_stories(&mut self.tablets[me], &all).await;
        }
        for me in 0..2 {
            send(&mut self.phones[me], &self.names[1 - me], json!("end")).await;
        }
        for me in 0..2 {
            assert_eq!(body(&mut self.phones[me]).await, "end");
            for _ in 0..2 {
                assert_eq!(body(&mut self.tablets[me]).await, "end");
            }
        }
    }
}

/// Of each round of one friend: a message to two users' buckets and an event to one; and an end.
const PUBLISHES_OF_ONE: u64 = 3 * ROUNDS + 2;

/// A node at each of two rolls: everything comes everywhere, once.
async fn two_rolls_hear_each_other(rolls: [Roll; 2], redis: Vec<RedisServer>) {
    let change = Change::start(&rolls, redis, PATIENT_MS).await;
    let mut friends = Friends::login(&change).await;
    if !change.redis.is_empty() {
        for key in
            friends.names.iter().map(|name| format!("user.{name}")).chain(["topic.scores".into()])
        {
            assert_eq!(change.listeners(&key), change.expected_listeners(), "{key}");
        }
    }
    friends.talk().await;
    friends.hear().await;
    let useful = || change.metric(USEFUL);
    let all = || useful().iter().all(|count| *count >= PUBLISHES_OF_ONE);
    eventually("what was handed over is counted", all).await;
    assert_eq!(useful(), [PUBLISHES_OF_ONE; 2], "each hears the other, once");
    assert_eq!(change.metric(WASTED), [0; 2]);
    if !change.redis.is_empty() {
        let all = || change.published() == Some(2 * PUBLISHES_OF_ONE);
        eventually("a publish goes by one layout", all).await;
    }
    drop(friends);
    change.cluster.stop().await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_node_that_hears_the_new_layout_too_hears_the_old_one() {
    two_rolls_hear_each_other([Roll::Before, Roll::Hears], two_shards()).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_node_that_publishes_by_the_new_layout_hears_both_and_is_heard() {
    two_rolls_hear_each_other([Roll::Hears, Roll::Publishes], two_shards()).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_node_that_drops_the_old_layout_hears_and_is_heard() {
    two_rolls_hear_each_other([Roll::Publishes, Roll::Done], two_shards()).await;
}

#[tokio::test]
async fn nodes_joined_in_memory_change_their_layout_too() {
    two_rolls_hear_each_other([Roll::Hears, Roll::Publishes], Vec::new()).await;
}

/// Why the rolls come one after the other: who is two ahead would be deaf to who is two behind. It
/// stays out, alone, and says why.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_roll_that_begins_too_early_stays_out_alone() {
    let rolls = [Roll::Hears, Roll::Publishes, Roll::Done];
    let change = Change::begin(&rolls, two_shards(), PATIENT_MS);
    let verdict = |node: usize| operator(&change.cluster.nodes[node]).readiness();
    eventually("the two in step serve", || (0..2).all(|node| verdict(node).1 == "ready")).await;
    let says_why = || {
        let (status, verdict, reasons) = verdict(2);
        let named = ["routing.subscribe", "n1"].iter().all(|text| reasons.contains(text));
        (status, verdict.as_str(), named) == (503, "starting", true)
    };
    eventually("the third names the key and the node", says_why).await;
    assert!(Client::connect(&change.cluster.url(2)).await.is_err(), "it takes no sessions");
    let mut friends = Friends::login(&change).await;
    friends.talk().await;
    friends.hear().await;
    assert!(says_why() && (0..2).all(|node| verdict(node).1 == "ready"), "nothing has changed");
    drop(friends);
    change.cluster.stop().await;
}

/// An `ok` means heard by whichever layout: with a shard of one of them down there is none.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn an_ok_waits_for_every_layout() {
    const WAIT_MS: u32 = 3_000;
    let mut change = Change::start(&[Roll::Hears], two_shards(), WAIT_MS).await;
    let mut bob = change.login(0, "bob").await;
    let [stays, moves] = [0, 1].map(|shard| format!("topic.{}", name_on(shard, "topic", "scores")));
    change.redis[1].kill();
    subscribe(&mut bob, &stays).await;
    let request = json!({"op": "subscribe", "patterns": [moves]});
    let answer = bob.ask(request).await.expect("the node answers");
    assert_eq!(
        (&answer["op"], &answer["code"]),
        (&json!("error"), &json!("unavailable")),
        "{answer}"
    );
    change.redis[1].restart();
    let node = operator(&change.cluster.nodes[0]);
    eventually("the shard is back", || node.readiness().1 == "ready").await;
    subscribe(&mut bob, &moves).await;
    assert_eq!(change.listeners(&moves), [1, 1]);
    drop(bob);
    change.cluster.stop().await;
}
