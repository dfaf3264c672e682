use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;
use crate::bus::{MemoryBus, OutboundPublish};
use crate::domain::RoutingKey;
use crate::interest::{Confirmation, Linger};
use crate::layout::{BucketCount, BucketCounts, Layout, Layouts};
use crate::shards::{PATIENT, ReconnectSignal, SHARD_EVENTS_MAX};

const SHARDS: [ShardIndex; 2] = [ShardIndex(0), ShardIndex(1)];

/// The time of these tests passes by itself when nothing else is to be done.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(1);

struct Deaf;

impl PushSink for Deaf {
    fn push(&self, _shard: ShardIndex, _channel: &[u8], _payload: Bytes) {}
}

/// The subscriber connections of a node on an in-memory bus, and the events that they report.
struct Rig {
    bus: MemoryBus,
    interest: Arc<Interest>,
    feed: Arc<WildcardFeed>,
    events: ShardEvents,
    reconnect: ReconnectSignal,
}

impl Rig {
    fn start() -> Self {
        let names = ["r1", "r2"].map(String::from).to_vec();
        let buckets = BucketCounts::all(BucketCount::new(16).unwrap());
        let layouts = Arc::new(Layouts::from(Layout::new(buckets, names.clone())));
        let (events, mut happened) = mpsc::channel(SHARD_EVENTS_MAX);
        tokio::spawn(async move { while happened.recv().await.is_some() {} });
        let rig = Self {
            events,
            reconnect: ReconnectSignal::new(names.len()),
            bus: MemoryBus::new(2),
            interest: Arc::new(Interest::new(layouts, Linger { ms: 10 }, 8)),
            feed: Arc::new(WildcardFeed::new(SHARDS.len())),
        };
        let health = Arc::new(LinkStates::new(&names, 1));
        for (shard, name) in SHARDS.into_iter().zip(names) {
            tokio::spawn(rig.subscriber(shard, name, &health).run());
        }
        rig
    }

    fn subscriber(&self, shard: ShardIndex, name: String, health: &Arc<LinkStates>) -> Subscriber {
        Subscriber {
            shard,
            name,
            bus: Arc::new(self.bus.clone()),
            sink: Arc::new(Deaf),
            interest: Arc::clone(&self.interest),
            feed: Arc::clone(&self.feed),
            channels: channels(),
            always: vec![channels().all()],
            health: Arc::clone(health),
            events: self.events.clone(),
            reconnect_wanted: self.reconnect.reconnect_wanted(shard.0 as usize),
            waits: PATIENT,
        }
    }

    /// How many connections subscribe to the channel `tap` of a shard; none if it is cut off.
    async fn hearing(&self, shard: ShardIndex) -> u64 {
        let Ok(publisher) = self.bus.publisher(shard).await else { return 0 };
        let probe = OutboundPublish { channel: channels().tap(), payload: Bytes::new() };
        let answers = publisher.publish(&[probe]).await.expect("it is connected");
        answers[0].clone().expect("it is answered")
    }

    async fn until_hearing(&self, expected: [u64; 2]) {
        let reached = async {
            while [self.hearing(SHARDS[0]).await, self.hearing(SHARDS[1]).await] != expected {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("it comes to that");
    }
}

fn channels() -> Channels {
    Channels::new("test")
}

#[tokio::test(start_paused = true)]
async fn the_tap_channel_is_heard_on_every_shard_while_the_node_taps() {
    let rig = Rig::start();
    let key = RoutingKey::parse("topic.a").unwrap();
    rig.interest.acquire(&key);
    assert!(rig.interest.confirmation(&key).within(PATIENCE).await);
    assert_eq!([rig.hearing(SHARDS[0]).await, rig.hearing(SHARDS[1]).await], [0, 0]);
    rig.feed.begin(0);
    rig.feed.cluster_read(false, true);
    assert!(rig.feed.confirmation().within(PATIENCE).await);
    assert_eq!([rig.hearing(SHARDS[0]).await, rig.hearing(SHARDS[1]).await], [1, 1]);
    rig.feed.end(0);
    rig.until_hearing([0, 0]).await;
    rig.feed.begin(0);
    rig.feed.cluster_read(false, true);
    assert!(rig.feed.confirmation().within(PATIENCE).await);
    rig.until_hearing([1, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_hears_the_tap_channel_again() {
    let rig = Rig::start();
    rig.feed.begin(0);
    rig.feed.cluster_read(false, true);
    assert!(rig.feed.confirmation().within(PATIENCE).await);
    let mut changes = rig.feed.changes();
    rig.bus.cut(SHARDS[1]);
    changes.wait_for(|own| !own.is_confirmed()).await.expect("the feed of wide patterns is there");
    assert!(matches!(rig.feed.confirmation(), Confirmation::OfTap(_)));
    rig.bus.heal(SHARDS[1]);
    assert!(rig.feed.confirmation().within(PATIENCE).await);
    assert_eq!([rig.hearing(SHARDS[0]).await, rig.hearing(SHARDS[1]).await], [1, 1]);
}
