//! Nodes of the version before beside those of this one, while everybody talks. `scripts/upgrade`
//! builds the version before, and says where it is.

use std::path::{Path, PathBuf};

use narrowcast::client::Client;
use serde_json::{Value, json};

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::Plant;
use super::truth::judge;
use crate::cluster::chat::{login, next, publish, send, subscribe};
use crate::cluster::resume::resume;
use crate::cluster::rooms::{room, say};
use crate::cluster::watch::trial::Trial;
use crate::cluster::watch::world::Nodes;
use crate::harness::{PROGRAM, RedisServer, token};

/// The variable that says where a program of the version before is.
const OLDER: &str = "NARROWCAST_TEST_OLDER";

const NODES: usize = 3;

/// Acknowledgements around each restart.
const BETWEEN: usize = 40;

/// The program of the version before.
fn older() -> PathBuf {
    let path = std::env::var(OLDER).unwrap_or_else(|_| {
        panic!("{OLDER} does not say where an older program is: `scripts/upgrade` builds one")
    });
    let path = Path::new(&path).canonicalize();
    let path = path.unwrap_or_else(|error| panic!("{OLDER}: {error}"));
    let read = |path: &Path| std::fs::read(path).expect("it can be read");
    assert!(read(&path) != read(Path::new(PROGRAM)), "{OLDER} is the program under test");
    path
}

/// The next frame of this kind, others aside.
async fn next_of(client: &mut Client, op: &str) -> Value {
    loop {
        let frame = next(client).await;
        if frame["op"] == op {
            return frame;
        }
    }
}

/// A node of one version, and one of the other that hears it.
struct Crossing {
    from: String,
    to: String,
    /// What no other crossing is called.
    name: String,
}

impl Crossing {
    /// All that travels from node to node, from the one to the other.
    async fn is_passed(&self) {
        let (ann, ben) = (format!("ann-{}", self.name), format!("ben-{}", self.name));
        let mut speaker = login(&self.from, &token(&ann)).await;
        let mut listener = self.a_cursor_is_resumed(&mut speaker, &ben).await;
        send(&mut speaker, &ben, json!("live")).await;
        assert_eq!(next_of(&mut listener, "message").await["message"]["body"], "live");
        self.a_room_is_heard(&mut speaker, &mut listener, [&ann, &ben]).await;
        self.an_event_is_heard(&mut speaker, &mut listener).await;
    }

    /// A cursor of the one is believed by the other, which has what was missed.
    async fn a_cursor_is_resumed(&self, speaker: &mut Client, user: &str) -> Client {
        let cursor = resume(&self.from, &token(user), None).await.text();
        send(speaker, user, json!("missed")).await;
        let back = resume(&self.to, &token(user), Some(&cursor)).await;
        assert_eq!(back.missed, ["missed"], "{}", self.name);
        back.assert_whole();
        back.client
    }

    /// A room that is made at the one: who was added is told at the other, and hears it.
    async fn a_room_is_heard(&self, speaker: &mut Client, listener: &mut Client, users: [&str; 2]) {
        let id = format!("room-{}", self.name);
        room(&self.from, &id, "all", &users).await;
        assert_eq!(next_of(listener, "joined").await["user"], users[1]);
        assert_eq!(say(speaker, &id, json!("all")).await["op"], "sent");
        assert_eq!(next_of(listener, "message").await["message"]["body"], "all");
    }

    /// By a narrow pattern, and by a wide one, which is served by copies.
    async fn an_event_is_heard(&self, speaker: &mut Client, listener: &mut Client) {
        let mut wide = login(&self.to, &token(&format!("wide-{}", self.name))).await;
        subscribe(listener, &format!("topic.{}.*", self.name)).await;
        subscribe(&mut wide, "topic.*.goal").await;
        publish(speaker, &format!("topic.{}.goal", self.name), json!(1)).await;
        for client in [listener, &mut wide] {
            assert_eq!(next_of(client, "event").await["data"], 1, "{}", self.name);
        }
    }
}

/// Nodes under load, each of a version.
struct Fleet {
    plant: Plant,
    trial: Trial,
    layouts: String,
}

impl Fleet {
    async fn of(program: &Path, redis: &[RedisServer]) -> Self {
        let layout = Named::new("a", MANY, redis);
        let layouts = layouts(&layout, &[&layout]);
        let mut plant = Plant::of(program.to_owned(), Keyspace::on_the_shared_server());
        for _ in 0..NODES {
            plant.add(&layouts).await;
        }
        plant.all_ready().await;
        let mut trial = Trial::begin("an upgrade", &plant.urls()).await;
        trial.wander();
        trial.load.more(BETWEEN).await;
        Self { plant, trial, layouts }
    }

    /// Restarts a node; then everything passes between the versions.
    async fn roll(&mut self, node: usize) {
        self.plant.restart(node, &self.layouts).await;
        self.goes_on(node).await;
    }

    /// Kills a node, which then starts anew.
    async fn replace(&mut self, node: usize) {
        self.plant.kill(node);
        self.trial.load.more(BETWEEN).await;
        self.plant.launch(node, &self.layouts).await;
        self.plant.all_ready().await;
        self.goes_on(node).await;
    }

    async fn goes_on(&self, started: usize) {
        self.trial.load.more(BETWEEN).await;
        let programs: Vec<PathBuf> = (0..NODES).map(|node| self.plant.program_of(node)).collect();
        let crosses = |node: &usize| programs[*node] != programs[started];
        for node in (0..NODES).filter(crosses) {
            for [from, to] in [[started, node], [node, started]] {
                let name = format!("{:08x}", rand::random::<u32>());
                let [from, to] = [from, to].map(|node| self.plant.url(node));
                Crossing { from, to, name }.is_passed().await;
            }
        }
        let shown: Vec<_> = programs.iter().map(|program| program.display()).collect();
        println!("n{} started: the nodes run {shown:?}", started + 1);
    }

    /// What each node runs.
    fn assert_runs(&self, programs: [&Path; NODES]) {
        let found: Vec<PathBuf> = (0..NODES).map(|node| self.plant.program_of(node)).collect();
        assert_eq!(found, programs);
    }
}

/// All nodes to this version, one after another; one back, in a hurry; and to this version again.
#[tokio::test]
#[ignore = "needs an older build, redis-server and a CQL server"]
async fn two_versions_run_side_by_side_and_lose_nothing() {
    let older = older();
    let newer = Path::new(PROGRAM);
    let redis: Vec<RedisServer> = (0..2).map(|_| RedisServer::start(&[])).collect();
    let mut fleet = Fleet::of(&older, &redis).await;
    fleet.assert_runs([&older; NODES]);
    fleet.plant.upgrade(newer.to_owned());
    for node in 0..NODES {
        fleet.roll(node).await;
    }
    fleet.assert_runs([newer; NODES]);
    fleet.plant.go_back(older.clone());
    fleet.replace(1).await;
    fleet.assert_runs([newer, &older, newer]);
    fleet.plant.upgrade(newer.to_owned());
    fleet.roll(1).await;
    fleet.assert_runs([newer; NODES]);
    let Fleet { plant, trial, .. } = fleet;
    trial.log().lock().note_healed();
    judge(trial, plant).await;
}
