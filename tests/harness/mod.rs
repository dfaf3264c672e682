//! Processes that a test starts, and ends by their ids; and what can be asked of them.

mod balancer;
mod certificates;
mod connections;
mod cql_server;
mod demo;
mod false_operator;
mod false_sentinel;
pub mod haproxy;
mod lines;
pub mod nginx;
mod operator;
mod process;
mod prometheus;
mod pseudo_terminal;
mod redis_server;
mod resp;
pub mod sentinels;
mod served;
mod stand_in;
pub mod tokens;

use std::time::{Duration, Instant};

pub use balancer::Balancer;
pub use certificates::{Authority, Certificate};
pub use connections::serve_connections;
pub use cql_server::CqlServer;
pub use demo::{Demo, DemoNode};
pub use false_operator::FalseOperator;
pub use false_sentinel::FalseSentinel;
pub use operator::Operator;
pub use process::{Finished, PROGRAM, Process};
pub use prometheus::{Prometheus, Series};
pub use pseudo_terminal::PseudoTerminal;
pub use redis_server::{RedisServer, free_port};
pub use resp::{Reply, Resp};
pub use sentinels::{Sentinel, Sentinels};
pub use served::{LAME_DUCK, Served};
pub use stand_in::StandIn;

/// How long an event may take before a test gives it up.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks at what no event tells.
const POLL: Duration = Duration::from_millis(10);

/// Waits until `holds` does.
pub async fn eventually(what: &str, holds: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, holds).await;
}

/// Waits until `holds` does, where that takes longer than most events.
pub async fn eventually_within(bound: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + bound;
    while !holds() {
        assert!(Instant::now() < until, "not within {bound:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// A token of a user with the demo's grants.
pub fn token(user: &str) -> String {
    tokens::granting(user, &["topic.>"], &["topic.>"])
}

/// A pushed frame without its time, which it must have.
pub fn untimed(mut frame: serde_json::Value) -> serde_json::Value {
    let at = frame.as_object_mut().and_then(|frame| frame.remove("at"));
    assert!(at.is_some_and(|at| at.is_u64()), "a time in {frame}");
    frame
}

/// A file that comes with the program, by its path from the root.
pub fn shipped(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("it is there, and a text")
}

/// A text in which one part, which is there once, is another.
pub fn replaced(text: &str, part: &str, by: &str) -> String {
    assert_eq!(text.matches(part).count(), 1, "{part:?} is there once");
    text.replace(part, by)
}
