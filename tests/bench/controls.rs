//! What a load says when something is wrong: with the nodes, or with the generator.

use std::time::Duration;

use super::load_run::{LoadOutcome, LoadRun};
use crate::harness::{Demo, RedisServer, eventually};
use crate::k6::relay::Relay;

/// One in so many deliveries is struck.
const EVERY: u32 = 1000;

fn nodes() -> (RedisServer, Demo) {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    (redis, demo)
}

/// Events behind a relay: 2,500 deliveries.
fn events(mode: &str, demo: &Demo) -> LoadOutcome {
    let relay = Relay::start(mode, EVERY, demo);
    let run = LoadRun::new(&relay.urls).with("--mix", "topic=1").with("--topic-watchers", "10");
    run.with("--rate", "125").with("--settle", "2").run()
}

/// Direct messages behind a relay: 1,200 deliveries.
fn messages(mode: &str, every: u32, demo: &Demo) -> LoadOutcome {
    let relay = Relay::start(mode, every, demo);
    let run = LoadRun::new(&relay.urls).with("--rate", "400").with("--seconds", "3");
    // A busy machine stores them slowly, and what is lost is waited for until the end.
    run.with("--settle", "9").run()
}

#[test]
#[ignore = "needs node and redis-server"]
fn a_lost_or_doubled_delivery_in_a_thousand_is_named() {
    let (_redis, demo) = nodes();
    events("lose", &demo).assert_failed_by("lost: 2, at most 0");
    events("double", &demo).assert_failed_by("duplicate: 2, at most 0");
    let lost = messages("lose", EVERY, &demo);
    lost.assert_failed_by("lost: 1, at most 0");
    let fault = lost.report["first_faults"][0].as_str().unwrap_or_default();
    assert!(fault.starts_with("lost: send ") && fault.contains("(dm) at user "), "{lost}");
    messages("double", EVERY, &demo).assert_failed_by("repeated: 1, at most 0");
}

#[test]
#[ignore = "needs node and redis-server"]
fn a_swapped_delivery_is_named() {
    let (_redis, demo) = nodes();
    events("swap", &demo).assert_failed_by("out_of_order: 2, at most 0");
    messages("mislabel", 300, &demo).assert_failed_by("out_of_order:");
    let swapped = messages("swap", 40, &demo);
    // The protocol allows it, so it is no failure.
    assert!(swapped.count("overtaken") > 0 && swapped.count("out_of_order") == 0, "{swapped}");
}

#[test]
#[ignore = "needs node and redis-server"]
fn nothing_is_lost_when_all_connections_of_a_node_break() {
    let (_redis, demo) = nodes();
    let relay = Relay::start("cut", 100, &demo);
    let moved = LoadRun::new(&relay.urls).flag("--reconnect").run();
    moved.assert_passed();
    assert_eq!((moved.count("closed"), moved.count("reconnects")), (10, 10), "{moved}");
    assert_eq!(moved.count("delivered"), moved.count("sent"), "{moved}");

    // The control: those that do not come back are named.
    let relay = Relay::start("cut", 100, &demo);
    LoadRun::new(&relay.urls).run().assert_failed_by("closed: 10, at most 0");
}

/// Stops the generator for a while once it sends, and returns what it says in the end.
async fn stood_still(run: LoadRun, demo: &Demo) -> LoadOutcome {
    const PAUSE: Duration = Duration::from_millis(1500);
    let generator = run.with("--lag-ms", "1000").start();
    let sends = || demo.nodes[0].operator.metric("narrowcast_sends_total");
    eventually("it sends", || sends() > 0).await;
    generator.signal("STOP");
    tokio::time::sleep(PAUSE).await;
    generator.signal("CONT");
    LoadOutcome::of(generator)
}

fn assert_saturated_by(late: &LoadOutcome, name: &str) {
    assert_eq!((late.code, &late.report["verdict"]), (Some(1), &"generator saturated".into()));
    assert!(late.report["failures"].to_string().contains(name), "{late}");
}

#[tokio::test]
async fn a_generator_that_stands_still_blames_itself() {
    let demo = Demo::start(1, &[], &[]);
    let run = LoadRun::new(&[demo.nodes[0].url.clone()]).with("--seconds", "4");
    assert_saturated_by(&stood_still(run, &demo).await, "p(99) of send_lag: ");
}

/// In a closed loop nothing has an intended time, so only its ticks can tell.
#[tokio::test]
async fn a_generator_in_a_closed_loop_that_stands_still_blames_itself() {
    let demo = Demo::start(1, &[], &[]);
    let run = LoadRun::new(&[demo.nodes[0].url.clone()]).with("--seconds", "8");
    let run = run.without("--rate").with("--in-flight", "4");
    assert_saturated_by(&stood_still(run, &demo).await, "p(99) of generator_lag: ");
}

#[test]
fn limits_of_users_are_told_in_words() {
    let keys = [("RATES__LIMIT_USERS", "true"), ("RATES__SEND_BURST", "1")];
    let demo = Demo::start(1, &[], &keys);
    let urls = [demo.nodes[0].url.clone()];
    let run = LoadRun::new(&urls).with("--users", "2").with("--rate", "2000").with("--settle", "1");
    let refused = run.run();
    refused.assert_failed_by("refused by nodes:");
    assert!(refused.report["first_faults"].to_string().contains("rate_limited"), "{refused}");
}
