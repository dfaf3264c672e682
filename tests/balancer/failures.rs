//! Nodes that are gone or do not answer.

use super::fleet::{BEHIND_HAPROXY, BEHIND_NGINX, Fleet};
use super::session::{open_all, users};
use crate::harness::Balancer;

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
    let mut fleet = Fleet::start(3, BEHIND_HAPROXY).await;
    let balancer = Balancer::haproxy(&fleet.addresses());
    a_node_that_was_killed_costs_no_connect(&balancer, &mut fleet).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_tries_another_node_than_one_that_was_killed() {
    let mut fleet = Fleet::start(3, BEHIND_NGINX).await;
    let balancer = Balancer::nginx(&fleet.addresses());
    a_node_that_was_killed_costs_no_connect(&balancer, &mut fleet).await;
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn a_node_that_is_down_for_haproxy_keeps_its_sessions_and_gets_no_new_ones() {
    let fleet = Fleet::start(2, BEHIND_HAPROXY).await;
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
