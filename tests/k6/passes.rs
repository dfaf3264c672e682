//! Each script passes on two live nodes.

use super::load_test::{LoadTest, seconds};
use crate::harness::{Demo, Process, RedisServer};

/// Sends of a run, at 100 a second.
fn sends() -> u64 {
    100 * seconds()
}

fn urls(demo: &Demo) -> Vec<String> {
    demo.nodes.iter().map(|node| node.url.clone()).collect()
}

#[test]
#[ignore = "needs node and redis-server"]
fn connections_and_messages_pass_on_two_nodes() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    let connected = LoadTest::new("connect", &urls(&demo)).run();
    connected.assert_passed();
    assert_eq!(connected.count("delivered"), 20, "every socket is alive: {connected}");

    let direct = LoadTest::new("dm", &urls(&demo)).with("BYTES", "1000").run();
    direct.assert_passed();
    let counts = (direct.count("sent"), direct.count("delivered"));
    assert_eq!(counts, (sends(), sends()), "{direct}");

    let odd = LoadTest::new("dm", &urls(&demo)).with("SOCKETS", "21").run();
    odd.assert_passed();
    // Three virtual users, and none has a socket alone: each sends its third.
    assert_eq!(odd.count("sent"), 3 * ((sends() + 1) / 3), "{odd}");

    let mut command = Process::narrowcast();
    let service = Process::run(command.args(["token", "load", "--scope", "service"])).output;
    let rooms = LoadTest::new("room", &urls(&demo)).with("SERVICE", service.trim()).run();
    rooms.assert_passed();
    assert_eq!(rooms.count("delivered"), sends() * 9, "to all other members: {rooms}");
}

#[test]
#[ignore = "needs node and redis-server"]
fn events_and_devices_that_come_and_go_pass_on_two_nodes() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    let events = LoadTest::new("pattern", &urls(&demo)).run();
    events.assert_passed();
    assert_eq!(events.count("delivered"), sends() * 10, "to all listeners: {events}");

    let wandering = LoadTest::new("reconnect", &urls(&demo)).with("DROP_EVERY", "200ms").run();
    wandering.assert_passed();
    assert!(wandering.count("reconnects") >= 10, "{wandering}");
}

/// Limits that a short flood reaches.
const LIMITS: [(&str, &str); 3] =
    [("RATES__LIMIT_USERS", "true"), ("RATES__SEND_BURST", "30"), ("RATES__SENDS_PER_S", "10")];

#[test]
#[ignore = "needs node and redis-server"]
fn refusals_of_a_flood_are_typed_and_slow_no_one_else() {
    let redis = RedisServer::start(&[]);
    let limited = |limits: &[(&str, &str)], flood: &str| {
        let demo = Demo::start(2, &[&redis.url()], limits);
        let test = LoadTest::new("limits", &urls(&demo)).with("SOCKETS", "16");
        let test = test.with("SOCKETS_PER_VU", "8").with("RATE", "20").with("FLOOD", flood);
        let duration = format!("{}s", 2 * seconds());
        test.with("DURATION", &duration).with("SLOWER_MS", "2000").with("SETTLE", "3s").run()
    };
    let flooded = limited(&LIMITS, "500");
    flooded.assert_passed();
    assert!(flooded.count("flood_refused") > 100, "{flooded}");

    // The control: a node without limits refuses nothing.
    limited(&[], "100").assert_failed_by("flood_refused:");
}
