//! Nodes that are gone or do not answer.

use super::fleet::Fleet;
use super::session::{Session, open_all, users};
use crate::harness::{Balancer, token};
use crate::wire::raw::Raw;

/// Before any balancer has noticed it.
async fn a_node_that_was_killed_costs_no_connect(balancer: &Balancer, fleet: &mut Fleet) {
    drop(fleet.take(1));
    for session in open_all(balancer, &users("user", 60)).await {
        assert_ne!(session.node, "n2");
    }
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy_tries_another_node_than_one_that_was_killed() {
    let mut fleet = Fleet::start(3, "").await;
    let balancer = Balancer::haproxy(&fleet.addresses());
    a_node_that_was_killed_costs_no_connect(&balancer, &mut fleet).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_tries_another_node_than_one_that_was_killed() {
    let mut fleet = Fleet::start(3, "").await;
    let balancer = Balancer::nginx(&fleet.addresses());
    a_node_that_was_killed_costs_no_connect(&balancer, &mut fleet).await;
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn a_node_that_is_down_for_haproxy_keeps_its_sessions_and_gets_no_new_ones() {
    let fleet = Fleet::start(2, "").await;
    let mut balancer = Balancer::haproxy(&fleet.addresses());
    let mut before = open_all(&balancer, &users("before", 40)).await;
    assert!(before.iter().any(|session| session.node == "n1"));
    fleet.served(0).process.signal("STOP");
    balancer.notices(1, "DOWN");
    for session in open_all(&balancer, &users("meanwhile", 20)).await {
        assert_eq!(session.node, "n2");
    }
    fleet.served(0).process.signal("CONT");
    balancer.notices(1, "UP");
    for session in &mut before {
        session.ping().await;
    }
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn the_http_api_needs_no_hint() {
    let fleet = Fleet::start(3, "").await;
    for balancer in [Balancer::haproxy(&fleet.addresses()), Balancer::nginx(&fleet.addresses())] {
        let mut raw = Raw::connect(&balancer.url()).await;
        for _request in 0..3 {
            let head = format!("host: a\r\nauthorization: Bearer {}", token("alice"));
            let request = format!("GET /v1/users/me/rooms HTTP/1.1\r\n{head}\r\n\r\n");
            let answer = raw.http(&request).await;
            assert_eq!(answer.status, 200, "one connection of a client has many: {answer:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn all_devices_of_a_user_come_to_one_node_through_nginx() {
    let fleet = Fleet::start(3, "").await;
    let balancer = Balancer::nginx(&fleet.addresses());
    let users = users("user", 60);
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
