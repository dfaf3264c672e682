//! Servers that cannot be shards: each is told by its reason, and what to do.

use super::refusals::failure;
use crate::harness::{Demo, Process, RedisServer, StandIn};

fn start(url: &str) -> Process {
    Process::start(&mut Demo::command(1, &[url], &[]))
}

/// A server that says this of itself.
fn telling(lines: &'static [&'static str]) -> StandIn {
    StandIn::start(move |command| (command[0] == "INFO").then(|| StandIn::text(lines)))
}

#[test]
fn servers_that_are_not_at_hand() {
    let old = telling(&["redis_version:6.2.0", "run_id:a", "redis_mode:standalone"]);
    let proxy = telling(&["redis_version:7.2.4", "redis_mode:standalone"]);
    let managed = telling(&["redis_version:7.2.4", "run_id:a", "cluster_enabled:1"]);
    let dragonfly = StandIn::start(|command| match command[0].as_str() {
        "INFO" => {
            Some(StandIn::text(&["redis_version:7.4.0", "run_id:a", "dragonfly_version:df-v1"]))
        }
        "SUNSUBSCRIBE" => Some(StandIn::confirmation("unsubscribe", &command[1])),
        _ => None,
    });
    let started = [
        (&old, "Redis 6.2.0 is too old: sharded publish/subscribe needs version 7 or later"),
        (&proxy, "the server reports no run id, as proxies and serverless services do: name each"),
        (&managed, "the server is in cluster mode: use primaries without cluster mode, and name"),
        (&dragonfly, "the server confirms SUNSUBSCRIBE by another name, as Dragonfly does: use"),
    ]
    .map(|(server, reason)| (start(&server.url()), reason));
    for (process, reason) in started {
        let said = failure(process);
        let line =
            said.lines().find(|line| line.contains("not ready: shard r1: ")).expect("it says");
        assert!(line.contains(reason), "{reason}: {said}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_real_server_in_cluster_mode() {
    let redis = RedisServer::start(&["--cluster-enabled", "yes"]);
    let said = failure(start(&redis.url()));
    assert!(said.contains("the server is in cluster mode: use primaries without"), "{said}");
}

/// A server that is one today, as far as a node can see.
#[test]
fn the_stand_in_itself_is_taken() {
    let server = telling(&["redis_version:7.2.4", "valkey_version:8.1.0", "run_id:a"]);
    let mut process = start(&server.url());
    let told = "shard r1 is Valkey 8.1.0, run a";
    process.error_line(|line| line.contains(told).then_some(()));
    process.finish();
}
