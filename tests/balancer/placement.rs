//! Where users come to.

use std::collections::{BTreeMap, BTreeSet};

use narrowcast::domain::{RoutingKey, UserId};
use narrowcast::layout::key_hash;

use super::fleet::{BEHIND_HAPROXY, BEHIND_NGINX, Fleet};
use super::session::{Session, open_all, users};
use crate::harness::Balancer;

/// What the bucket counts from here on have in common: buckets of keys with one such number differ
/// by a multiple of it.
const NUMBERS: u64 = 65_536;

/// Shows the number of a user in the answer to the upgrade.
const SHOW_NUMBER: &str =
    "    http-response set-header x-number %[var(txn.bucket)] if { var(txn.bucket) -m found }";

const NODES: usize = 8;

/// Sessions that are there before: of fewer, the bound on a node's load parts some users.
const OTHERS: usize = 400;

fn same(file: String) -> String {
    file
}

fn number(user: &UserId) -> u64 {
    key_hash(&RoutingKey::user(user)) % NUMBERS
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy_computes_the_number_of_a_users_key() {
    let fleet = Fleet::start(1, BEHIND_HAPROXY).await;
    let balancer = Balancer::haproxy_with(&fleet.addresses(), SHOW_NUMBER, same);
    let golden = [("42", Some(3029)), ("alice", Some(48_330))];
    let longest = "x".repeat(250);
    let others = ["a.b/c", "ü+~|=@:", "100% sure", "%2E", "user.", " ", "\u{0}x", "A-_z", &longest];
    for (raw, known) in golden.into_iter().chain(others.map(|raw| (raw, None))) {
        let user = UserId::from_raw(raw.as_bytes()).expect("it is an id");
        let session = Session::open(&balancer.url(), &user).await;
        let computed = session.answer.header("x-number").map(|text| text.parse().expect("it"));
        assert_eq!(computed, Some(number(&user)), "{raw:?}");
        assert_eq!(known.unwrap_or(number(&user)), number(&user), "{raw:?}");
        assert_eq!(session.user, user.as_str());
    }
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy_brings_all_devices_of_a_user_to_one_node() {
    let fleet = Fleet::start(NODES, BEHIND_HAPROXY).await;
    let balancer = Balancer::haproxy(&fleet.addresses());
    let _others = open_all(&balancer, &users("other", OTHERS)).await;
    let users = users("user", 200);
    let mut nodes: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let (mut sessions, mut loads) = (Vec::new(), BTreeMap::new());
    for _device in 0..3 {
        for (place, session) in open_all(&balancer, &users).await.into_iter().enumerate() {
            nodes.entry(place).or_default().insert(session.node.clone());
            *loads.entry(session.node.clone()).or_insert(0) += 1;
            sessions.push(session);
        }
    }
    let parted = nodes.values().filter(|nodes| nodes.len() > 1).count();
    println!("{parted} of 200 users are on several nodes; sessions on each: {loads:?}");
    assert_eq!(parted, 0, "{loads:?}");
    assert_eq!(loads.len(), NODES, "{loads:?}");
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn a_node_that_leaves_moves_its_own_users_and_few_others() {
    let mut fleet = Fleet::start(NODES, BEHIND_HAPROXY).await;
    let mut balancer = Balancer::haproxy(&fleet.addresses());
    let users = users("user", 400);
    let before = open_all(&balancer, &users).await;
    let left = fleet.take(3);
    left.process.signal("TERM");
    balancer.notices(4, "DOWN");
    let after = open_all(&balancer, &users).await;
    let (mut stranded, mut moved) = (0, 0);
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(after.node, "n4");
        stranded += u32::from(before.node == "n4");
        moved += u32::from(before.node != "n4" && before.node != after.node);
    }
    println!("of 400 users {stranded} were on the node that left; {moved} others moved");
    assert!(stranded <= 75, "the bound: 1.5 times the mean of 50");
    assert!(moved <= 20, "a twentieth for the bound, which parts the first ones: {moved}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_brings_all_devices_of_a_user_to_one_node() {
    let fleet = Fleet::start(3, BEHIND_NGINX).await;
    let balancer = Balancer::nginx(&fleet.addresses());
    let users = users("user", 50);
    let first = open_all(&balancer, &users).await;
    let nodes = |sessions: &[Session]| -> Vec<String> {
        sessions.iter().map(|session| session.node.clone()).collect()
    };
    for _device in 0..2 {
        assert_eq!(nodes(&open_all(&balancer, &users).await), nodes(&first));
    }
    for node in ["n1", "n2", "n3"] {
        assert!(first.iter().any(|session| session.node == node), "{node} has users");
    }
}
