//! All nodes are restarted one after another, while clients connect without a pause.
//!
//! They come through two balancers at once: the file that is shipped, which tries a connect again
//! elsewhere, and one that never does, so that only the lame duck of the nodes is left.
//!
//! Here a small fleet is restarted once; `scripts/soak` does the same to a larger one, several times.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use narrowcast::client::{Client, ClientError};
use tokio::task::JoinSet;

use super::fleet::{BEHIND_HAPROXY, Fleet};
use crate::harness::{Balancer, replaced, token};

/// From one connect to the next: 50 a second.
const PAUSE: Duration = Duration::from_millis(20);

/// How a node closes sessions when it ends.
const DRAINING: u16 = 4200;

/// How long a session stays, so that nodes have some when they end.
const STAY: Duration = Duration::from_secs(4);

/// Above the time in which HAProxy notices that a node drains, by the shipped file: 1.5 s.
const LAME_DUCK_MS: u32 = 2500;

/// What became of all connects.
#[derive(Default)]
struct Outcome {
    connected: usize,
    /// Those that the node closed with 4200 before it answered their `hello`: such clients come
    /// again at once. A machine that is too busy for them to speak in time makes some.
    told_to_move: usize,
    /// Those that were refused or reset, or got no answer.
    failed: Vec<ClientError>,
}

/// Clients that connect, on a thread of their own, until they are told to end.
struct Connects {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Outcome>,
}

impl Connects {
    fn begin(url: String) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("an event loop").block_on(connect_until(&url, &until))
        });
        Self { is_over, thread }
    }

    fn end(self) -> Outcome {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}

async fn connect_until(url: &str, is_over: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut connecting, mut number) = (JoinSet::new(), 0);
    let mut pace = tokio::time::interval(PAUSE);
    while !is_over.load(Ordering::Relaxed) || !connecting.is_empty() {
        tokio::select! {
            _ = pace.tick(), if !is_over.load(Ordering::Relaxed) => {
                number += 1;
                let (url, user) = (url.to_owned(), format!("user-{number}"));
                connecting.spawn(async move { Client::begin(&url, &token(&user)).await });
            }
            Some(connected) = connecting.join_next() => match connected.expect("it ends") {
                Ok(client) => {
                    outcome.connected += 1;
                    tokio::spawn(tokio::time::timeout(STAY, read_to_the_end(client)));
                }
                Err(ClientError::Closed { code: DRAINING, .. }) => outcome.told_to_move += 1,
                Err(error) => outcome.failed.push(error),
            }
        }
    }
    outcome
}

async fn read_to_the_end(mut client: Client) {
    while client.next().await.is_ok() {}
}

/// The shipped file with one try for each connect.
fn without_retries(file: String) -> String {
    replaced(&file, "    retries 3\n", "    retries 0\n")
}

/// A setting of `scripts/soak`.
fn setting(name: &str, otherwise: usize) -> usize {
    let name = format!("NARROWCAST_SOAK_{name}");
    let Ok(text) = std::env::var(&name) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is no number"))
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn a_rolling_restart_refuses_and_resets_no_connect() {
    let (nodes, rolls) = (setting("NODES", 3), setting("ROLLS", 1));
    let mut fleet = Fleet::with_lame_duck(nodes, BEHIND_HAPROXY, LAME_DUCK_MS).await;
    let addresses = fleet.addresses();
    let mut balancers =
        [Balancer::haproxy(&addresses), Balancer::haproxy_with(&addresses, "", without_retries)];
    let connects = balancers.each_ref().map(|balancer| Connects::begin(balancer.url()));
    for _roll in 0..rolls {
        for node in 0..nodes {
            let mut served = fleet.take(node);
            served.process.signal("TERM");
            balancers.iter_mut().for_each(|balancer| balancer.notices(node + 1, "DOWN"));
            assert!(served.process.is_running(), "it was noticed before it took no more");
            let (code, errors) = served.process.wait();
            assert_eq!(code, Some(0), "{errors}");
            fleet.launch(node);
            balancers.iter_mut().for_each(|balancer| balancer.notices(node + 1, "UP"));
        }
    }
    let all = connects.into_iter().zip(balancers).zip(["with", "without"]);
    for ((connects, balancer), with) in all {
        let Outcome { connected, told_to_move, failed } = connects.end();
        println!(
            "{nodes} nodes, {rolls} times, {with} retries: {connected} connects, \
             {told_to_move} told to move, {} failed",
            failed.len()
        );
        assert!(failed.is_empty(), "{with} retries: {failed:?}; {}", balancer.end());
        assert!(told_to_move * 20 < connected, "{with} retries: {told_to_move} told to move");
    }
}
