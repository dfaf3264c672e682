//! The HTTP API behind a load balancer.

use super::fleet::{BEHIND_HAPROXY, BEHIND_NGINX, Fleet};
use crate::harness::{Balancer, token};
use crate::wire::raw::Raw;

/// Requests on one connection of a client, without a hint.
async fn the_http_api_is_there(balancer: &Balancer) {
    let mut raw = Raw::connect(&balancer.url()).await;
    for _request in 0..3 {
        let head = format!("host: a\r\nauthorization: Bearer {}", token("alice"));
        let request = format!("GET /v1/users/me/rooms HTTP/1.1\r\n{head}\r\n\r\n");
        let answer = raw.http(&request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy_passes_the_http_api_on() {
    let fleet = Fleet::start(3, BEHIND_HAPROXY).await;
    the_http_api_is_there(&Balancer::haproxy(&fleet.addresses())).await;
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_passes_the_http_api_on() {
    let fleet = Fleet::start(3, BEHIND_NGINX).await;
    the_http_api_is_there(&Balancer::nginx(&fleet.addresses())).await;
}
