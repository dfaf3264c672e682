//! A change of layout while everybody talks: in three rolls, and by a newcomer who got it wrong.

use std::time::Instant;

use narrowcast::client::Client;
use serde_json::json;

use super::keyspace::Keyspace;
use super::layout::{FEW, MANY, Named, layouts};
use super::plant::{Plant, READY};
use super::truth::judge;
use crate::cluster::chat::{body, login, send};
use crate::cluster::shards::channel;
use crate::cluster::watch::trial::Trial;
use crate::cluster::watch::world::Nodes;
use crate::harness::{RedisServer, Resp, eventually, eventually_within, token};

const NODES: usize = 3;

/// Acknowledgements before the first roll, and after each restart.
const BETWEEN: usize = 40;

fn two_shards() -> Vec<RedisServer> {
    (0..2).map(|_| RedisServer::start(&[])).collect()
}

/// Whether anybody hears a user by few buckets, and by many, as the shards tell.
fn is_heard(redis: &[RedisServer], user: &str) -> [bool; 2] {
    [FEW, MANY].map(|buckets| {
        let channel = channel(&format!("user.{user}"), buckets.into());
        redis.iter().any(|redis| Resp::connect(redis.port()).subscribers(&channel) > 0)
    })
}

/// From few buckets on one shard to many on two, nodes restarted one after another.
#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn three_rolls_under_load_lose_nothing() {
    let redis = two_shards();
    let old = Named::new("a", FEW, &redis[..1]);
    let new = Named::new("b", MANY, &redis);
    let rolls = [
        (layouts(&old, &[&old, &new]), [true, true]),
        (layouts(&new, &[&old, &new]), [true, true]),
        (layouts(&new, &[&new]), [false, true]),
    ];
    let before = layouts(&old, &[&old]);
    let mut plant = Plant::start(NODES, Keyspace::on_the_shared_server(), &before).await;
    let mut trial = Trial::begin("three rolls", &plant.urls()).await;
    let user = trial.users[0].name.clone();
    assert_eq!(is_heard(&redis, &user), [true, false]);
    trial.wander();
    trial.load.more(BETWEEN).await;
    for (roll, (text, heard)) in rolls.iter().enumerate() {
        let begin = (Instant::now(), trial.log().lock().acked());
        for node in 0..NODES {
            plant.restart(node, text).await;
            trial.load.more(BETWEEN).await;
        }
        eventually("the roll is heard", || is_heard(&redis, &user) == *heard).await;
        let acked = trial.log().lock().acked() - begin.1;
        println!("roll {}: {acked} acked in {:.1} s", roll + 1, begin.0.elapsed().as_secs_f64());
    }
    trial.log().lock().note_healed();
    judge(trial, plant).await;
}

/// Alice on the first node and Bob on the second hear each other.
async fn talk(alice: &mut Client, bob: &mut Client) {
    for number in 0..10 {
        send(alice, "bob", json!(number)).await;
        assert_eq!(body(bob).await, json!(number));
    }
}

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_newcomer_whom_nobody_would_hear_stays_out_alone() {
    let redis = two_shards();
    let right = Named::new("a", MANY, &redis);
    let wrong = Named::new("b", FEW, &redis);
    let right = layouts(&right, &[&right]);
    let mut plant = Plant::start(2, Keyspace::on_the_shared_server(), &right).await;
    let mut alice = login(&plant.url(0), &token("alice")).await;
    let mut bob = login(&plant.url(1), &token("bob")).await;
    let newcomer = plant.add(&layouts(&wrong, &[&wrong])).await;
    let operators = plant.operators();
    let says_why = || {
        let (status, verdict, reasons) = operators[newcomer].readiness();
        let named = reasons.contains("routing.subscribe")
            && ["n1", "n2"].iter().any(|node| reasons.contains(node));
        (status, verdict.as_str(), named) == (503, "starting", true)
    };
    eventually_within(READY, "it names the key and a node", says_why).await;
    println!("the newcomer says {}", operators[newcomer].readiness().2);
    assert!(Client::connect(&plant.url(newcomer)).await.is_err(), "it takes no sessions");
    talk(&mut alice, &mut bob).await;
    assert!(says_why(), "nothing has changed");
    for operator in &operators[..newcomer] {
        let (status, verdict, reasons) = operator.readiness();
        assert_eq!((status, verdict.as_str()), (200, "ready"), "{reasons}");
    }
    plant.restart(newcomer, &right).await;
    let mut phone = login(&plant.url(newcomer), &token("bob")).await;
    send(&mut alice, "bob", json!("in time")).await;
    assert_eq!([body(&mut phone).await, body(&mut bob).await], ["in time", "in time"]);
    drop((alice, bob, phone));
    plant.end_all();
}
