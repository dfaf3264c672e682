//! The behaviours.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::time::timeout;

use super::{Listener, PATIENCE, Rig, SHARD, channel, publish, publisher};
use crate::bus::{BusError, OutboundPublish, PushSink};
use crate::layout::ShardIndex;
use crate::redis::Channel;

/// Channels in one command of a node.
const BATCH: usize = 512;

/// Payloads that are tried.
const PAYLOADS: usize = 32;

pub(super) async fn a_confirmed_subscriber_hears(rig: impl Rig) {
    let (bus, news) = (rig.bus(), channel("news"));
    let publisher = publisher(&bus).await;
    let mut listener = Listener::connect(&bus).await;
    assert_eq!(publish(&*publisher, &[(&news, "before")]).await, [0]);
    listener.subscription.subscribe(std::slice::from_ref(&news)).await.unwrap();
    assert_eq!(publish(&*publisher, &[(&news, "after")]).await, [1]);
    listener.expect(&news, "after").await;
}

pub(super) async fn an_unsubscribed_one_hears_no_more(rig: impl Rig) {
    let (bus, [left, kept]) = (rig.bus(), ["left", "kept"].map(channel));
    let publisher = publisher(&bus).await;
    let mut listener = Listener::of(&bus, &[left.clone(), kept.clone()]).await;
    listener.subscription.unsubscribe(std::slice::from_ref(&left)).await.unwrap();
    assert_eq!(publish(&*publisher, &[(&left, "1"), (&kept, "2")]).await, [0, 1]);
    listener.expect(&kept, "2").await;
}

pub(super) async fn each_hears_its_channels_only(rig: impl Rig) {
    let (bus, [a, b]) = (rig.bus(), ["a", "b"].map(channel));
    let publisher = publisher(&bus).await;
    let mut of_a = Listener::of(&bus, std::slice::from_ref(&a)).await;
    let mut of_b = Listener::of(&bus, std::slice::from_ref(&b)).await;
    publish(&*publisher, &[(&a, "1"), (&b, "2"), (&a, "3"), (&b, "4")]).await;
    of_a.expect(&a, "1").await;
    of_a.expect(&a, "3").await;
    of_b.expect(&b, "2").await;
    of_b.expect(&b, "4").await;
}

pub(super) async fn a_publishers_order_is_kept(rig: impl Rig) {
    let (bus, channels) = (rig.bus(), ["x", "y", "z"].map(channel));
    let publisher = publisher(&bus).await;
    let mut listener = Listener::of(&bus, &channels).await;
    let texts: Vec<String> = (0..1000).map(|n: u32| n.to_string()).collect();
    let all: Vec<_> = texts.iter().zip(channels.iter().cycle()).map(|(t, c)| (c, &**t)).collect();
    for batch in all.chunks(77) {
        publish(&*publisher, batch).await;
    }
    for (channel, text) in all {
        listener.expect(channel, text).await;
    }
}

pub(super) async fn every_subscriber_hears_and_is_counted(rig: impl Rig) {
    let (bus, news) = (rig.bus(), channel("news"));
    let publisher = publisher(&bus).await;
    let mut listeners = Vec::new();
    for heard_by in 1..=3 {
        listeners.push(Listener::of(&bus, std::slice::from_ref(&news)).await);
        assert_eq!(publish(&*publisher, &[(&news, "n")]).await, [heard_by]);
        for listener in &mut listeners {
            listener.expect(&news, "n").await;
        }
    }
    drop(listeners.pop());
    // Once the server noticed, which no answer shows.
    let noticed = async { while publish(&*publisher, &[(&news, "n")]).await != [2] {} };
    timeout(PATIENCE, noticed).await.expect("a dropped connection is heard of no more");
}

pub(super) async fn subscribing_twice_is_hearing_once(rig: impl Rig) {
    let (bus, news) = (rig.bus(), channel("news"));
    let publisher = publisher(&bus).await;
    let mut listener = Listener::of(&bus, std::slice::from_ref(&news)).await;
    listener.subscription.subscribe(std::slice::from_ref(&news)).await.unwrap();
    assert_eq!(publish(&*publisher, &[(&news, "1"), (&news, "2")]).await, [1, 1]);
    listener.expect(&news, "1").await;
    listener.expect(&news, "2").await;
}

/// Names as long as these make the confirmations more than a server writes at once, so that they
/// come in several parts.
fn many(kind: &str) -> Vec<Channel> {
    let long = "l".repeat(200);
    (0..BATCH).map(|n| channel(&format!("{kind}-{n}-{long}"))).collect()
}

pub(super) async fn a_batch_is_confirmed_as_one(rig: impl Rig) {
    let bus = rig.bus();
    let publisher = publisher(&bus).await;
    let mut listener = Listener::connect(&bus).await;
    for round in 0..5 {
        let (batch, one) = (many(&format!("r{round}")), channel(&format!("one-{round}")));
        listener.subscription.subscribe(&batch).await.unwrap();
        listener.subscription.subscribe(std::slice::from_ref(&one)).await.unwrap();
        assert_eq!(publish(&*publisher, &[(&one, "now")]).await, [1]);
        let all: Vec<_> = batch.iter().map(|channel| (channel, "all")).collect();
        assert_eq!(publish(&*publisher, &all).await, [1; BATCH]);
        listener.expect(&one, "now").await;
        for channel in &batch {
            listener.expect(channel, "all").await;
        }
        listener.subscription.unsubscribe(&batch).await.unwrap();
        assert_eq!(publish(&*publisher, &all).await, [0; BATCH]);
    }
}

pub(super) async fn a_run_has_one_id(mut rig: impl Rig) {
    let bus = rig.bus();
    let (listener, speaker) = (Listener::connect(&bus).await, publisher(&bus).await);
    let first = speaker.server().clone();
    assert_eq!(listener.subscription.server(), &first);
    assert_eq!(publisher(&bus).await.server(), &first, "the same server, the same run");
    rig.take_away();
    rig.give_back();
    let (listener, speaker) = (Listener::connect(&bus).await, publisher(&bus).await);
    assert_ne!(speaker.server(), &first);
    assert_eq!(listener.subscription.server(), speaker.server());
}

pub(super) async fn a_broken_connection_says_so(mut rig: impl Rig) {
    let (bus, news) = (rig.bus(), channel("news"));
    let news = std::slice::from_ref(&news);
    let speaker = publisher(&bus).await;
    let Listener { subscription, .. } = Listener::of(&bus, news).await;
    rig.take_away();
    let closed = async { tokio::join!(subscription.closed(), speaker.closed()) };
    timeout(PATIENCE, closed).await.expect("both connections are gone");
    assert_eq!(subscription.subscribe(news).await, Err(BusError::Closed));
    assert_eq!(subscription.unsubscribe(news).await, Err(BusError::Closed));
    let publish = OutboundPublish { channel: news[0].clone(), payload: Bytes::new() };
    assert_eq!(speaker.publish(&[publish]).await, Err(BusError::Closed));
}

pub(super) async fn a_new_run_knows_nothing_of_before(mut rig: impl Rig) {
    let (bus, news) = (rig.bus(), channel("news"));
    let old = Listener::of(&bus, std::slice::from_ref(&news)).await;
    rig.take_away();
    rig.give_back();
    let speaker = publisher(&bus).await;
    assert_eq!(publish(&*speaker, &[(&news, "lost")]).await, [0]);
    let mut new = Listener::of(&bus, std::slice::from_ref(&news)).await;
    assert_eq!(publish(&*speaker, &[(&news, "heard")]).await, [1]);
    new.expect(&news, "heard").await;
    drop(old);
    assert_eq!(publish(&*speaker, &[(&news, "still")]).await, [1], "an old end takes nothing away");
    new.expect(&news, "still").await;
}

pub(super) async fn what_is_away_is_unreachable(mut rig: impl Rig) {
    struct Deaf;
    impl PushSink for Deaf {
        fn push(&self, _: ShardIndex, _: &[u8], _: Bytes) {}
    }
    let bus = rig.bus();
    rig.take_away();
    let hear = timeout(PATIENCE, bus.subscriber(SHARD, Arc::new(Deaf))).await.expect("bounded");
    assert!(matches!(hear.err(), Some(BusError::Unreachable(_))));
    let speak = timeout(PATIENCE, bus.publisher(SHARD)).await.expect("bounded");
    assert!(matches!(speak.err(), Some(BusError::Unreachable(_))));
}

pub(super) async fn any_bytes_survive(rig: impl Rig) {
    let (bus, news) = (rig.bus(), channel("news"));
    let speaker = publisher(&bus).await;
    let mut listener = Listener::of(&bus, std::slice::from_ref(&news)).await;
    let mut runner = TestRunner::deterministic();
    let every = prop::collection::vec(any::<u8>(), 0..5000);
    let mut payloads =
        vec![Bytes::new(), (0..=u8::MAX).collect(), Bytes::from(vec![b'\r'; 70_000])];
    payloads.extend((0..PAYLOADS).map(|_| every.new_tree(&mut runner).unwrap().current().into()));
    let batch = payloads
        .iter()
        .map(|payload| OutboundPublish { channel: news.clone(), payload: payload.clone() });
    let answers = speaker.publish(&batch.collect::<Vec<_>>()).await.unwrap();
    assert!(answers.iter().all(|answer| *answer == Ok(1)));
    for payload in payloads {
        assert_eq!(listener.next().await.1, payload);
    }
}

/// Makes a test of each behaviour for a backend.
macro_rules! on_every_backend {
    ($($behaviour:ident),+ $(,)?) => {
        mod of_memory {
            use crate::bus::conformance::{behaviours, memory::MemoryRig};
            $(#[tokio::test]
            async fn $behaviour() {
                behaviours::$behaviour(MemoryRig::default()).await;
            })+
        }

        mod of_redis {
            use crate::bus::conformance::{behaviours, on_redis::RedisRig};
            $(#[tokio::test]
            #[ignore = "needs redis-server"]
            async fn $behaviour() {
                behaviours::$behaviour(RedisRig::start()).await;
            })+
        }
    };
}

on_every_backend!(
    a_confirmed_subscriber_hears,
    an_unsubscribed_one_hears_no_more,
    each_hears_its_channels_only,
    a_publishers_order_is_kept,
    every_subscriber_hears_and_is_counted,
    subscribing_twice_is_hearing_once,
    a_batch_is_confirmed_as_one,
    a_run_has_one_id,
    a_broken_connection_says_so,
    a_new_run_knows_nothing_of_before,
    what_is_away_is_unreachable,
    any_bytes_survive,
);
