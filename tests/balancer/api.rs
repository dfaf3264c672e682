//! The HTTP API behind a load balancer.

use std::io::{BufRead, BufReader, Write};

use super::fleet::{BEHIND_HAPROXY, BEHIND_NGINX, Fleet};
use crate::harness::{Balancer, serve_connections, token};
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

/// A node whose store is away: it answers every request with 503. Serves until the test ends.
fn node_without_a_store() -> String {
    let answer = "HTTP/1.1 503 Service Unavailable\r\nfrom: node\r\ncontent-length: 0\r\n\r\n";
    let address = serve_connections(move |stream| {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line != "\r\n" {
            line.clear();
        }
        let _gone = stream.get_mut().write_all(answer.as_bytes());
    });
    address.to_string()
}

/// While the store is away every node answers so. None of them has failed.
#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_gives_no_node_up_for_its_503() {
    let balancer = Balancer::nginx(&[node_without_a_store(), node_without_a_store()]);
    for _request in 0..8 {
        let mut raw = Raw::connect(&balancer.url()).await;
        let answer = raw.http("GET /v1/users/me/rooms HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.header("from")), (503, Some("node")), "{answer:?}");
    }
}
