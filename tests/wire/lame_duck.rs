//! SIGTERM of a node behind a load balancer: it says at once that it is draining, serves on until
//! the balancer knows, and then ends as always.

use std::path::Path;
use std::time::{Duration, Instant};

use narrowcast::client::{Client, ClientError};
use serde_json::json;
use tokio::net::TcpStream;

use super::http::{ask, bearing, request};
use super::raw::Raw;
use super::tokens::token;
use super::{WORKERS, serve_by};
use crate::harness::{LAME_DUCK, PATIENCE, Process, Served, eventually};

/// So long that no test ends it by waiting.
const LONG: &[(&str, &str)] = &[("timeouts.drain_timeout_ms", "600000")];
const LONG_MS: u64 = 500_000;

/// What a loaded machine may add to a bound.
const SLACK: Duration = Duration::from_secs(3);

/// A node that is a lame duck for so long.
async fn lame_for(ms: u64, keys: &[(&str, &str)]) -> (tempfile::TempDir, Served) {
    let start = |config: &Path| {
        let mut command = Process::narrowcast();
        command.args(["serve", "--config"]).arg(config).env(LAME_DUCK, ms.to_string());
        Served::of(command)
    };
    serve_by(start, keys).await
}

async fn expect_draining(client: &mut Client) {
    match client.next_within(PATIENCE).await {
        Err(ClientError::Closed { code, .. }) => assert_eq!(code, 4200),
        other => panic!("not closed: {other:?}"),
    }
}

#[tokio::test]
async fn a_lame_duck_is_not_ready_and_serves_who_comes() {
    for workers in WORKERS {
        let keys = [LONG, &[("workers", workers)]].concat();
        let (_store, mut served) = lame_for(LONG_MS, &keys).await;
        let mut session = Client::login(&served.url, &token("alice")).await.unwrap();
        served.process.signal("TERM");
        eventually("it says so", || served.operator.get("/readyz").0 == 503).await;
        assert!(served.operator.get("/readyz").1.contains("\"draining\""));
        let readyz = ask(&served.url, &request("GET", "/readyz", &[], "")).await;
        assert_eq!((readyz.status, &*readyz.body), (503, "{\"status\":\"draining\"}"));

        let mut late = Client::login(&served.url, &token("bob")).await.expect("it is let in");
        let send = json!({"op": "send", "conversation": "user.alice", "body": "hi"});
        assert_eq!(late.ask(send).await.expect("an answer")["op"], "sent");
        session.next_within(PATIENCE).await.expect("sessions go on");
        let inbox = bearing(&token("bob"), "GET", "/v1/users/me/inbox", "");
        let answer = ask(&served.url, &inbox).await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));

        served.process.signal("TERM");
        let (code, errors) = served.process.wait();
        assert_eq!(code, Some(1), "a second signal ends it at once: {errors}");
    }
}

#[tokio::test]
async fn afterwards_it_closes_and_ends() {
    const LAME_MS: u64 = 400;
    let (_store, mut served) = lame_for(LAME_MS, &[]).await;
    let mut session = Client::login(&served.url, &token("alice")).await.unwrap();
    let begun = Instant::now();
    served.process.signal("TERM");
    expect_draining(&mut session).await;
    assert!(begun.elapsed() >= Duration::from_millis(LAME_MS), "{:?}", begun.elapsed());
    let address = served.url.trim_start_matches("ws://").trim_end_matches("/v1/ws");
    let (code, errors) = served.process.wait();
    assert_eq!(code, Some(0), "{errors}");
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens there");
}

/// A request whose body does not come holds the node until the bound.
#[tokio::test]
async fn the_whole_end_is_bounded_by_the_time_to_drain() {
    const LAME_MS: u64 = 6000;
    const DRAIN: Duration = Duration::from_secs(7);
    let drain = DRAIN.as_millis().to_string();
    let keys = [("timeouts.drain_timeout_ms", &*drain), ("timeouts.body_timeout_ms", "60000")];
    let (_store, mut served) = lame_for(LAME_MS, &keys).await;
    let mut asking = Raw::connect(&served.url).await;
    let publish = bearing(&token("alice"), "POST", "/v1/publish", "{}");
    let publish = publish.replace("host: a", "host: a\r\nexpect: 100-continue");
    let head = publish.strip_suffix("{}").expect("its body");
    assert_eq!(asking.http(head).await.status, 100);
    let begun = Instant::now();
    served.process.signal("TERM");
    let (code, errors) = served.process.wait();
    let taken = begun.elapsed();
    assert_eq!(code, Some(0), "{errors}");
    assert!(taken >= DRAIN, "it waited for the request: {taken:?}");
    assert!(taken < DRAIN + SLACK, "{taken:?}");
}

/// A person at a terminal waits for no balancer.
#[tokio::test]
async fn an_interrupt_begins_the_end_at_once() {
    let (_store, mut served) = lame_for(LONG_MS, LONG).await;
    let mut session = Client::login(&served.url, &token("alice")).await.unwrap();
    served.process.signal("INT");
    expect_draining(&mut session).await;
    assert_eq!(served.process.wait().0, Some(0));
}
