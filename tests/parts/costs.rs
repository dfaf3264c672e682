//! What a resume reads of the store and a send writes to it, counted on a real server.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use narrowcast::client::Client;
use serde_json::json;

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::{Plant, READY};
use crate::cluster::chat::{login, send};
use crate::cluster::resume::resume;
use crate::cluster::rooms::{room, say};
use crate::harness::{Operator, RedisServer, eventually_within, token};

const FROZEN: &str = "narrowcast_watermark_frozen";

/// What a node reads and writes for itself.
const UPKEEP: [&str; 3] = ["read_heartbeats", "read_time", "write_heartbeat"];

type Counts = BTreeMap<String, u64>;

/// What a node has issued of a kind, `read_` or `write_`, by statement.
fn issued(operator: &Operator, kind: &str) -> Counts {
    const START: &str = "narrowcast_store_statements_total{statement=\"";
    let (_, text) = operator.get("/metrics");
    let counts = text.lines().filter_map(|line| line.strip_prefix(START)?.split_once("\"} "));
    counts
        .filter(|(name, _)| name.starts_with(kind) && !UPKEEP.contains(name))
        .map(|(name, count)| (name.to_owned(), count.parse().expect("a count")))
        .collect()
}

/// What it has issued since.
fn issued_since(before: &Counts, operator: &Operator, kind: &str) -> Counts {
    let since = |(name, count): (String, u64)| {
        let count = count - before.get(&name).unwrap_or(&0);
        (count > 0).then_some((name, count))
    };
    issued(operator, kind).into_iter().filter_map(since).collect()
}

/// Who was away, and is told what he missed.
struct Away {
    user: &'static str,
    cursor: String,
}

/// A node, and friends who write.
struct Scene {
    plant: Plant,
    url: String,
    friends: [Client; 2],
}

impl Scene {
    async fn leaves(&self, user: &'static str) -> Away {
        Away { user, cursor: resume(&self.url, &token(user), None).await.text() }
    }

    /// So many messages of each friend.
    async fn write(&mut self, away: &Away, messages: [usize; 2]) {
        for (friend, count) in self.friends.iter_mut().zip(messages) {
            for number in 0..count {
                send(friend, away.user, json!(number)).await;
            }
        }
    }

    /// The reads that his coming back costs, which hands him so many messages.
    async fn comes_back(&self, away: Away, missed: usize) -> Counts {
        let operator = self.plant.operator(0);
        let before = issued(&operator, "read_");
        let back = resume(&self.url, &token(away.user), Some(&away.cursor)).await;
        assert_eq!(back.missed.len(), missed, "{}: {:?}", away.user, back.missed);
        back.assert_whole();
        let counts = issued_since(&before, &operator, "read_");
        println!("{}: {counts:?}", away.user);
        counts
    }
}

/// One read of his rooms, one of each day since (two within half a minute of midnight), and these.
fn assert_costs(counts: &Counts, others: &[(&str, RangeInclusive<u64>)]) {
    let own = [("read_memberships", 1..=1), ("read_activity", 1..=2)];
    let wanted = own.iter().chain(others);
    assert_eq!(wanted.clone().count(), counts.len(), "{counts:?}");
    for (name, range) in wanted {
        let count = counts.get(*name).copied().unwrap_or_default();
        assert!(range.contains(&count), "{name} {range:?}: {counts:?}");
    }
}

/// Of conversations that have something new: each in one read, unless the window of the messages
/// (a day of a direct conversation, an hour of a room) ends meanwhile or within half a minute.
const fn pages(conversations: u64) -> (&'static str, RangeInclusive<u64>) {
    ("read_messages_above", conversations..=2 * conversations)
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_resume_reads_what_was_missed_and_a_head_a_room() {
    const ROOMS: u64 = 10;
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    // Looking for what should not be there is reading too.
    let tables = format!("{}[audit]\nreads_per_s = 0\n", layouts(&layout, &[&layout]));
    let plant = Plant::start(1, Keyspace::on_the_shared_server(), &tables).await;
    let url = plant.url(0);
    // Its first repair reads for all who are there.
    let operator = plant.operator(0);
    eventually_within(READY, "cursors move", || operator.metric(FROZEN) == 0).await;
    let friends = [login(&url, &token("alice")).await, login(&url, &token("carol")).await];
    let mut scene = Scene { plant, url, friends };

    let idle = scene.leaves("idle").await;
    assert_costs(&scene.comes_back(idle, 0).await, &[]);

    let one = scene.leaves("one").await;
    scene.write(&one, [30, 0]).await;
    assert_costs(&scene.comes_back(one, 30).await, &[pages(1)]);

    // What was there before is not read.
    let two = scene.leaves("two").await;
    scene.write(&two, [2, 3]).await;
    assert_costs(&scene.comes_back(two, 5).await, &[pages(2)]);

    for number in 0..ROOMS {
        room(&scene.url, &format!("r{number}"), "all", &["alice", "member"]).await;
    }
    let member = scene.leaves("member").await;
    for number in 0..2 {
        let said = say(&mut scene.friends[0], &format!("r{number}"), json!(number)).await;
        assert_eq!(said["op"], "sent", "{said}");
    }
    let counts = scene.comes_back(member, 2).await;
    assert_costs(&counts, &[("read_head", ROOMS..=ROOMS), pages(2)]);
    let Scene { mut plant, friends, .. } = scene;
    drop(friends);
    plant.end_all();
}

/// Members are not written to one by one: a message is its row and the room's head, whoever is in it
/// and whoever of them is there.
#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_send_writes_as_much_to_a_room_of_hundreds_as_to_one_of_three() {
    const MESSAGES: u64 = 20;
    const HERE: usize = 40;
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    let tables = layouts(&layout, &[&layout]);
    let mut plant = Plant::start(1, Keyspace::on_the_shared_server(), &tables).await;
    let (url, operator) = (plant.url(0), plant.operator(0));
    let names: Vec<String> = (0..300).map(|number| format!("member{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    room(&url, "small", "all", &names[..3]).await;
    room(&url, "large", "all", &names).await;
    let mut clients = Vec::new();
    for name in &names[..HERE] {
        clients.push(login(&url, &token(name)).await);
    }
    for id in ["small", "large"] {
        // The first one of a window writes that there is one.
        assert_eq!(say(&mut clients[0], id, json!("first")).await["op"], "sent");
        let before = issued(&operator, "write_");
        for number in 0..MESSAGES {
            assert_eq!(say(&mut clients[0], id, json!(number)).await["op"], "sent");
        }
        let mut counts = issued_since(&before, &operator, "write_");
        // Its hour may end meanwhile.
        assert!(counts.remove("write_window").unwrap_or_default() <= 1, "{id}");
        let wanted = [("write_head", MESSAGES), ("write_message", MESSAGES)];
        assert_eq!(counts, wanted.map(|(name, count)| (name.to_owned(), count)).into(), "{id}");
    }
    drop(clients);
    plant.end_all();
}
