//! What strikes the store: its server dies or freezes under load, or has no schema.

use std::ops::Range;
use std::time::{Duration, Instant};

use narrowcast::client::Client;
use serde_json::json;

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::{Plant, READY};
use super::truth::judge;
use crate::cluster::chat::{login, publish, subscribe};
use crate::cluster::rooms::frame;
use crate::cluster::watch::log::Fact;
use crate::cluster::watch::trial::Trial;
use crate::cluster::watch::world::Nodes;
use crate::harness::{CqlServer, Process, RedisServer, eventually_within, token};

const NODES: usize = 3;

/// Acknowledgements around a fault.
const AROUND: usize = 60;

/// Sends without an acknowledgement that a fault lasts for at least.
const DURING: usize = 60;

/// Sends that may be under way when the server dies, and end without anybody knowing: a second's
/// worth. Of what comes later nothing leaves the node, and it can say so.
const UNDER_WAY: usize = 30;

/// How long the server is frozen: beyond what is waited for a write (3 s) and a lease (8 s).
const FROZEN: Duration = Duration::from_secs(10);

/// What a node without its store says of itself: it takes sessions, and no sends.
const AWAY: [&str; 2] =
    ["store: the cluster table was not read", "store: no heartbeat of this node"];

/// Between two events of a topic.
const BETWEEN_EVENTS: Duration = Duration::from_millis(100);

/// A topic that is spoken about on one node and heard on another.
struct Topic {
    speaker: Client,
    listener: Client,
    number: u64,
}

impl Topic {
    async fn start(plant: &Plant) -> Self {
        let speaker = login(&plant.url(0), &token("speaker")).await;
        let mut listener = login(&plant.url(1), &token("listener")).await;
        subscribe(&mut listener, "topic.scores.*").await;
        Self { speaker, listener, number: 0 }
    }

    /// Something is published and heard.
    async fn goes_on(&mut self) {
        self.number += 1;
        publish(&mut self.speaker, "topic.scores.goal", json!(self.number)).await;
        let heard = frame(&mut self.listener).await;
        assert_eq!((&heard["op"], &heard["data"]), (&json!("event"), &json!(self.number)));
    }
}

/// Everything, under load.
struct Stage {
    servers: Vec<CqlServer>,
    redis: Vec<RedisServer>,
    plant: Plant,
    trial: Trial,
    topic: Topic,
}

impl Stage {
    /// On a store of so many servers.
    async fn set(name: &str, servers: u8) -> Self {
        let servers = tokio::task::spawn_blocking(move || CqlServer::ring(servers));
        let servers = servers.await.expect("they answer");
        let redis: Vec<RedisServer> = (0..2).map(|_| RedisServer::start(&[])).collect();
        let layout = Named::new("a", MANY, &redis);
        let text = layouts(&layout, &[&layout]);
        let addresses = servers.iter().map(CqlServer::address).collect();
        let plant = Plant::start(NODES, Keyspace::on(addresses), &text).await;
        let topic = Topic::start(&plant).await;
        let trial = Trial::begin(name, &plant.urls()).await;
        trial.load.more(AROUND).await;
        Self { servers, redis, plant, trial, topic }
    }

    fn count(&self, wanted: impl Fn(&Fact) -> bool) -> usize {
        self.trial.log().lock().lines.iter().filter(|line| wanted(&line.fact)).count()
    }

    fn losses(&self) -> usize {
        self.count(|fact| matches!(fact, Fact::Lost))
    }

    fn unknown(&self) -> usize {
        self.count(|fact| matches!(fact, Fact::Unknown))
    }

    fn refusals(&self) -> usize {
        self.count(|fact| matches!(fact, Fact::Refused { .. }))
    }

    /// Sends that were answered, and not with `sent`.
    fn failures(&self) -> usize {
        self.count(|fact| matches!(fact, Fact::Unknown | Fact::Refused { .. }))
    }

    /// Sends fail from here on, and topics go on.
    async fn fails(&mut self) {
        let (goal, until) = (self.failures() + DURING, Instant::now() + READY);
        while self.failures() < goal {
            assert!(Instant::now() < until, "sends are not answered: {}", self.failures());
            self.topic.goes_on().await;
            tokio::time::sleep(BETWEEN_EVENTS).await;
        }
    }

    /// Every node says what it lacks, and goes on.
    async fn all_degraded(&self) {
        for node in 0..NODES {
            let operator = self.plant.operator(node);
            let said = || {
                let (status, verdict, reasons) = operator.readiness();
                let all = AWAY.iter().all(|part| reasons.contains(part));
                status == 200 && verdict == "degraded" && all
            };
            eventually_within(READY, "it says that its store is away", said).await;
        }
    }

    /// These servers start again, and topics go on meanwhile.
    async fn with_servers_back(self, which: Range<usize>) -> Self {
        let Self { mut servers, redis, plant, trial, mut topic } = self;
        let starting = tokio::task::spawn_blocking(move || {
            servers[which].iter_mut().for_each(CqlServer::restart);
            servers
        });
        while !starting.is_finished() {
            topic.goes_on().await;
            tokio::time::sleep(BETWEEN_EVENTS).await;
        }
        let servers = starting.await.expect("they answer");
        Self { servers, redis, plant, trial, topic }
    }

    /// The store is back: sends are acknowledged again, with nothing restarted.
    async fn recovers(&mut self) {
        let healed = Instant::now();
        self.trial.log().lock().note_healed();
        let goal = self.trial.log().lock().acked() + AROUND;
        let acked = || self.trial.log().lock().acked() >= goal;
        eventually_within(READY, "sends are acknowledged again", acked).await;
        println!("{AROUND} acknowledged {:.1} s later", healed.elapsed().as_secs_f64());
        self.topic.goes_on().await;
        assert!(self.plant.is_whole(), "a node has ended");
        self.plant.all_ready().await;
    }

    /// The store is back, and sessions went on: none was lost since there were these losses. Everything
    /// that was acknowledged is everywhere, and every answer was true.
    async fn ends_well(mut self, losses: usize) {
        self.recovers().await;
        assert_eq!(self.losses(), losses, "sessions went on");
        drop(self.topic);
        judge(self.trial, self.plant).await;
    }
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_store_that_dies_and_comes_back() {
    let mut stage = Stage::set("the store dies", 1).await;
    let (losses, unknown) = (stage.losses(), stage.unknown());
    stage.servers[0].kill();
    stage.fails().await;
    stage.all_degraded().await;
    let unknown = stage.unknown() - unknown;
    assert!(unknown <= UNDER_WAY, "{unknown} sends to a server that is not there may be stored");
    let stage = stage.with_servers_back(0..1).await;
    stage.ends_well(losses).await;
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_store_that_freezes() {
    let mut stage = Stage::set("the store freezes", 1).await;
    let losses = stage.losses();
    stage.servers[0].stop();
    let until = Instant::now() + FROZEN;
    while Instant::now() < until {
        stage.topic.goes_on().await;
        tokio::time::sleep(BETWEEN_EVENTS).await;
    }
    assert!(stage.failures() > 0, "sends are answered while it is frozen");
    stage.servers[0].cont();
    stage.ends_well(losses).await;
}

/// A quorum is left: nobody notices but those whose sends were under way.
#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn one_of_three_servers_dies_and_then_another() {
    let mut stage = Stage::set("one of three servers dies", 3).await;
    let (losses, refused, unknown) = (stage.losses(), stage.refusals(), stage.unknown());
    stage.servers[2].kill();
    let goal = stage.trial.log().lock().acked() + 10 * AROUND;
    let acked = || stage.trial.log().lock().acked() >= goal;
    eventually_within(READY, "sends go on", acked).await;
    assert_eq!(stage.refusals(), refused, "two of three are enough");
    let unknown = stage.unknown() - unknown;
    assert!(unknown <= UNDER_WAY, "{unknown} sends are unknown");
    stage.plant.all_ready().await;
    // One of three is no quorum.
    stage.servers[1].kill();
    stage.fails().await;
    stage.all_degraded().await;
    let stage = stage.with_servers_back(1..3).await;
    stage.ends_well(losses).await;
}

#[test]
#[ignore = "needs redis-server and a CQL server"]
fn a_node_without_a_schema_says_how_to_make_it() {
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("node.toml");
    let listen = "[listen]\nclients = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n";
    let store = Keyspace::on_the_shared_server().table();
    let text = format!("{listen}{}{store}", layouts(&layout, &[&layout]));
    std::fs::write(&config, text).expect("a file");
    let mut command = Process::narrowcast();
    let ended = Process::run(command.args(["serve", "--config"]).arg(&config));
    assert!(!matches!(ended.code, None | Some(0)), "it starts: {}", ended.errors);
    assert!(ended.errors.contains("narrowcast schema apply"), "{}", ended.errors);
}
