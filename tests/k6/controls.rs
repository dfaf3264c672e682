//! What the load tests say when something is wrong: with the nodes, or with the generator.

use std::time::Duration;

use super::load_test::{LoadTest, Outcome};
use super::relay::Relay;
use crate::harness::{Demo, RedisServer, eventually};

/// One in so many deliveries is struck.
const EVERY: u32 = 1000;

fn nodes() -> (RedisServer, Demo) {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    (redis, demo)
}

/// Events behind a relay: 2,500 deliveries.
fn events(mode: &str, demo: &Demo) -> Outcome {
    let relay = Relay::start(mode, EVERY, demo);
    LoadTest::new("pattern", &relay.urls).with("RATE", "125").with("SETTLE", "2s").run()
}

/// Direct messages behind a relay: 1,200 deliveries.
fn messages(mode: &str, demo: &Demo) -> Outcome {
    let relay = Relay::start(mode, EVERY, demo);
    let test = LoadTest::new("dm", &relay.urls).with("RATE", "400").with("DURATION", "3s");
    test.with("SETTLE", "2s").run()
}

#[test]
#[ignore = "needs node and redis-server"]
fn a_lost_or_repeated_delivery_in_a_thousand_is_named() {
    let (_redis, demo) = nodes();
    events("lose", &demo).assert_failed_by("lost: 2,");
    events("double", &demo).assert_failed_by("duplicate: 2,");
    messages("lose", &demo).assert_failed_by("lost: 1,");
}

#[test]
#[ignore = "needs node and redis-server"]
fn a_swapped_delivery_in_a_thousand_is_named() {
    let (_redis, demo) = nodes();
    events("swap", &demo).assert_failed_by("out_of_order: 2,");
    messages("mislabel", &demo).assert_failed_by("out_of_order:");
}

#[test]
#[ignore = "needs node and redis-server"]
fn a_message_that_is_pushed_twice_or_behind_a_later_one_is_named() {
    let (_redis, demo) = nodes();
    let calm = |mode| {
        let relay = Relay::start(mode, 40, &demo);
        LoadTest::new("dm", &relay.urls).with("RATE", "60").with("OVERTAKEN", "0").run()
    };
    calm("double").assert_failed_by("repeated: 3,");
    calm("swap").assert_failed_by("overtaken:");
}

#[test]
#[ignore = "needs node and redis-server"]
fn nothing_is_lost_when_all_connections_of_a_node_break() {
    let (_redis, demo) = nodes();
    let run = |script| {
        let relay = Relay::start("cut", 100, &demo);
        let test = LoadTest::new(script, &relay.urls).with("DROP_EVERY", "1h");
        test.run()
    };
    let moved = run("reconnect");
    moved.assert_passed();
    assert_eq!(moved.count("closed"), 10, "half of the sockets: {moved}");
    assert_eq!(moved.count("delivered"), moved.count("sent"), "{moved}");

    // The control: those that do not come back miss messages.
    run("dm").assert_failed_by("closed: 10,");
}

#[test]
#[ignore = "needs node and redis-server"]
fn a_generator_that_stands_still_blames_itself() {
    const PAUSE: Duration = Duration::from_millis(1500);
    let (_redis, demo) = nodes();
    let urls: Vec<String> = demo.nodes.iter().map(|node| node.url.clone()).collect();
    let test = LoadTest::new("dm", &urls).with("DURATION", "4s").with("LAG_MS", "1000");
    let (generator, _files) = test.start();
    let sends = || demo.nodes[0].operator.metric("narrowcast_sends_total");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("it starts");
    runtime.block_on(eventually("it sends", || sends() > 0));
    generator.signal("STOP");
    std::thread::sleep(PAUSE);
    generator.signal("CONT");
    let late = Outcome::of(generator);
    assert_eq!((late.code, &late.report["verdict"]), (Some(99), &"generator saturated".into()));
    assert!(late.report["failures"].to_string().contains("p(99) of send_lag: "), "{late}");
}
