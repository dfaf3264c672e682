//! Shards whose primary sentinels name: failovers are followed, and what is wrong is told.

mod refusals;

use std::time::{Duration, Instant};

use super::stage::USEFUL;
use super::watch::trial::Trial;
use super::watch::world::Nodes;
use crate::harness::sentinels::{MASTER, info, shard};
use crate::harness::{
    Demo, FalseSentinel, RedisServer, Reply, Resp, Sentinels, eventually, eventually_within,
};

/// Two halves of the devices.
const NODES: usize = 2;

/// Acknowledgements before a failover, and after it.
const AROUND: usize = 60;

/// For a promotion: sentinels agree that a primary is down, elect a leader, and that one promotes.
const PROMOTED: Duration = Duration::from_mins(1);

/// How often the primary is killed; `scripts/soak --sentinel` asks for more.
const FAILOVERS: &str = "NARROWCAST_SOAK_FAILOVERS";

/// Sends are counted in Redis, and none is refused or decided late.
const COUNTED: [(&str, &str); 4] = [
    ("RATES__LIMIT_USERS", "true"),
    ("RATES__SEND_BURST", "100000"),
    ("RATES__SENDS_PER_S", "10000"),
    ("TIMEOUTS__LIMITER_TIMEOUT_MS", "10000"),
];

/// A subscriber asks something of a Redis that is silent, and would wait for an answer for longer
/// than a test does.
const WAITING: [(&str, &str); 2] =
    [("TIMEOUTS__REDIS_PING_MS", "100"), ("TIMEOUTS__REDIS_REPLY_TIMEOUT_MS", "60000")];

/// Decisions of limits that a node made by itself.
const UNSHARED: &str = "narrowcast_limiter_unshared_total";

fn nodes(shard: &str, more: &[(&str, &str)]) -> Demo {
    let shards = format!("[{shard}]");
    // A run may leave more behind a cursor than a resume sends: what it would name as a gap is not
    // what is judged here.
    let keys = [
        ("LAYOUTS__A__REDIS", shards.as_str()),
        ("REPAIR__CONVERSATION_MESSAGES", "10000"),
        ("REPAIR__RESUME_MESSAGES", "100000"),
    ];
    Demo::start(NODES, &[], &[keys.as_slice(), more].concat())
}

/// Messages from Redis that were handed to sessions, on all nodes.
fn live(demo: &Demo) -> u64 {
    demo.nodes.iter().map(|node| node.operator.metric(USEFUL)).sum()
}

async fn ready(demo: &Demo) {
    for node in &demo.nodes {
        eventually("the node is ready", || node.operator.readiness().1 == "ready").await;
    }
}

/// Waits until so many nodes subscribe at the server of a port.
async fn until_heard_by(port: u16, nodes: usize) {
    // Each look by a connection of its own: a sentinel closes those to a server that it demotes.
    let heard = || Resp::connect(port).subscribers("nc:main:all") == nodes as u64;
    eventually("the nodes subscribe", heard).await;
}

/// Waits until a sentinel names another primary: its port, and the moment.
async fn promoted(sentinels: &Sentinels, old: u16) -> (u16, Instant) {
    let mut new = None;
    let mut is_promoted = || {
        new = sentinels.told().into_iter().find(|port| *port != old);
        new.is_some()
    };
    eventually_within(PROMOTED, "a sentinel names another primary", &mut is_promoted).await;
    (new.expect("it is named"), Instant::now())
}

/// Waits until a message comes by Redis: how long after a moment.
async fn live_again(demo: &Demo, since: Instant) -> Duration {
    let before = live(demo);
    eventually("messages come live", || live(demo) > before).await;
    since.elapsed()
}

/// Kills the primary, and starts it again once another one has taken over.
async fn primary_dies(sentinels: &mut Sentinels, demo: &Demo, trial: &Trial) -> Duration {
    let old = sentinels.primary();
    sentinels.server(old).kill();
    let (_, moment) = promoted(sentinels, old).await;
    let time = live_again(demo, moment).await;
    trial.log().lock().note_healed();
    sentinels.server(old).restart();
    trial.load.more(AROUND).await;
    time
}

#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn a_primary_that_dies_costs_no_message() {
    let failovers = std::env::var(FAILOVERS).ok().and_then(|count| count.parse().ok()).unwrap_or(1);
    let mut sentinels = Sentinels::start();
    let demo = nodes(&sentinels.shard(), &[]);
    let trial = Trial::begin("a primary dies", &demo.urls()).await;
    trial.load.more(AROUND).await;
    for failover in 0..failovers {
        if failover > 0 {
            sentinels.until_healed();
        }
        let time = primary_dies(&mut sentinels, &demo, &trial).await;
        println!("failover {}: live {} ms after the promotion", failover + 1, time.as_millis());
    }
    ready(&demo).await;
    trial.end().await.assert_proven();
    Box::new(demo).end();
}

/// Connections of a server by which sends were counted last.
fn counting(port: u16) -> usize {
    match Resp::connect(port).ask(&["CLIENT", "LIST"]) {
        Reply::Text(list) => list.lines().filter(|line| line.contains(" cmd=evalsha ")).count(),
        other => panic!("{other:?} is no text"),
    }
}

/// Sends that a node counted by itself, on all nodes.
fn unshared(demo: &Demo) -> u64 {
    demo.nodes.iter().map(|node| node.operator.metric(UNSHARED)).sum()
}

/// A sentinel makes the old primary a replica, and closes its connections, 8 s later: the nodes
/// do not wait for that.
#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn a_primary_that_is_demoted_is_left_at_once() {
    let sentinels = Sentinels::start();
    let demo = nodes(&sentinels.shard(), &COUNTED);
    let trial = Trial::begin("a primary is demoted", &demo.urls()).await;
    trial.load.more(AROUND).await;
    let old = sentinels.primary();
    until_heard_by(old, NODES).await;
    assert!(counting(old) >= NODES, "each node counts in Redis");
    sentinels.sentinels[0].ask(&["SENTINEL", "FAILOVER", MASTER]);
    let (new, moment) = promoted(&sentinels, old).await;
    until_heard_by(old, 0).await;
    eventually("sends are counted by the new one alone", || {
        counting(new) >= NODES && counting(old) == 0
    })
    .await;
    let left = moment.elapsed();
    assert!(info(old, "replication").contains("role:master"), "it is no replica yet: {left:?}");
    until_heard_by(new, NODES).await;
    let time = live_again(&demo, moment).await;
    println!("left {} ms after the promotion, live after {}", left.as_millis(), time.as_millis());
    trial.log().lock().note_healed();
    let by_itself = unshared(&demo);
    trial.load.more(AROUND).await;
    assert_eq!(unshared(&demo), by_itself, "every send is counted in Redis again");
    ready(&demo).await;
    trial.end().await.assert_proven();
    Box::new(demo).end();
}

/// It answers nothing and closes nothing; the nodes hear of the new one all the same.
#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn a_primary_that_freezes_is_left() {
    let mut sentinels = Sentinels::start();
    let demo = nodes(&sentinels.shard(), &WAITING);
    let trial = Trial::begin("a primary freezes", &demo.urls()).await;
    trial.load.more(AROUND).await;
    let old = sentinels.primary();
    sentinels.server(old).process().signal("STOP");
    let (new, moment) = promoted(&sentinels, old).await;
    until_heard_by(new, NODES).await;
    let time = live_again(&demo, moment).await;
    println!("live {} ms after the promotion", time.as_millis());
    trial.log().lock().note_healed();
    sentinels.server(old).process().signal("CONT");
    trial.load.more(AROUND).await;
    ready(&demo).await;
    trial.end().await.assert_proven();
    Box::new(demo).end();
}

#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn sentinels_that_go_away_change_nothing_for_a_live_link() {
    let mut sentinels = Sentinels::start();
    let mut demo = nodes(&sentinels.shard(), &[]);
    let primary = sentinels.primary();
    let connections = |port: u16| {
        let text = info(port, "stats");
        let line = text.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.and_then(|count| count.trim().parse::<u64>().ok()).expect("a number")
    };
    let before = connections(primary);
    for sentinel in &mut sentinels.sentinels {
        sentinel.kill();
    }
    // So that the nodes have missed each sentinel twice.
    tokio::time::sleep(Duration::from_secs(3)).await;
    ready(&demo).await;
    let own = 2;
    assert_eq!(connections(primary), before + own - 1, "no node has connected again");
    // Without a sentinel a lost connection cannot come back, and the reasons say so.
    Resp::connect(primary).ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    for node in &demo.nodes {
        let told = || {
            let (_, verdict, reasons) = node.operator.readiness();
            let all = sentinels.sentinels.iter().all(|one| reasons.contains(&one.address()));
            verdict != "ready" && reasons.contains("no primary of master") && all
        };
        eventually("the node names every sentinel", told).await;
    }
    sentinels.sentinels[2].launch();
    ready(&demo).await;
    demo.process.signal("TERM");
    let (code, log) = demo.process.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    for one in &sentinels.sentinels {
        let line = format!("sentinel {} is of no use", one.address());
        assert_eq!(lines(&line), NODES, "{line}, once by each node: {log}");
    }
}

#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn a_sentinel_that_lies_and_one_that_is_down_do_no_harm() {
    let mut sentinels = Sentinels::start();
    let replica = sentinels.servers[1].port();
    let liar = FalseSentinel::naming("127.0.0.1", &replica.to_string());
    sentinels.sentinels[1].kill();
    let [real, down] = [0, 1].map(|place: usize| sentinels.sentinels[place].address());
    let demo = nodes(&shard(&[liar.address(), down, real], ""), &[]);
    let old = sentinels.primary();
    until_heard_by(old, NODES).await;
    until_heard_by(replica, 0).await;
    sentinels.server(old).kill();
    let (new, moment) = promoted(&sentinels, old).await;
    until_heard_by(new, NODES).await;
    println!("all listen {} ms after the promotion", moment.elapsed().as_millis());
    ready(&demo).await;
    Box::new(demo).end();
}

/// Publishers of a node with so many workers, and its subscriber.
const WORKERS: &str = "32";
const CONNECTIONS: u64 = 33;

#[tokio::test]
#[ignore = "needs redis-server"]
async fn connections_that_are_lost_together_ask_the_sentinels_together() {
    let redis = RedisServer::start(&[]);
    let sentinel = FalseSentinel::naming("127.0.0.1", &redis.port().to_string());
    let shards = format!("[{}]", shard(&[sentinel.address()], ""));
    let keys = [("LAYOUTS__A__REDIS", shards.as_str()), ("WORKERS", WORKERS)];
    let demo = Demo::start(1, &[], &keys);
    ready(&demo).await;
    let mut resp = Resp::connect(redis.port());
    let (greeted, asked, begun) = (resp.calls("hello"), sentinel.questions(), Instant::now());
    for kind in ["normal", "pubsub"] {
        resp.ask(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
    }
    let are_back = || resp.calls("hello") >= greeted + CONNECTIONS;
    eventually("all connections are back", are_back).await;
    let by_watch = begun.elapsed().as_secs() + 1;
    let asked = (sentinel.questions() - asked).saturating_sub(by_watch);
    assert!(asked < CONNECTIONS / 2, "{asked} questions for {CONNECTIONS} connections");
}
