//! The in-memory twin, and the faults that it alone can be asked to make.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Listener, Rig, SHARD, channel, publish, publisher};
use crate::bus::{Bus, BusError, MemoryBus};
use crate::layout::ShardIndex;

/// Two shards, so that a fault of one can be seen to spare the other.
pub(super) struct MemoryRig(MemoryBus);

impl Default for MemoryRig {
    fn default() -> Self {
        Self(MemoryBus::new(2))
    }
}

impl Rig for MemoryRig {
    fn bus(&self) -> Arc<dyn Bus> {
        Arc::new(self.0.clone())
    }

    fn take_away(&mut self) {
        self.0.cut(SHARD);
    }

    fn give_back(&mut self) {
        self.0.heal(SHARD);
    }
}

#[tokio::test]
async fn what_is_to_be_dropped_is_answered_and_lost() {
    let rig = MemoryRig::default();
    let (bus, news) = (rig.bus(), channel("news"));
    let speaker = publisher(&bus).await;
    let mut listener = Listener::of(&bus, std::slice::from_ref(&news)).await;
    rig.0.drop_next(SHARD, 2);
    let texts = ["1", "2", "3"].map(|text| (&news, text));
    assert_eq!(publish(&*speaker, &texts).await, [1, 1, 1]);
    listener.expect(&news, "3").await;
}

#[tokio::test(start_paused = true)]
async fn a_delay_keeps_the_order() {
    let rig = MemoryRig::default();
    let (bus, news) = (rig.bus(), channel("news"));
    let speaker = publisher(&bus).await;
    let mut listener = Listener::of(&bus, std::slice::from_ref(&news)).await;
    let (began, delay) = (Instant::now(), Duration::from_secs(5));
    rig.0.delay(SHARD, delay);
    publish(&*speaker, &[(&news, "1"), (&news, "2")]).await;
    rig.0.delay(SHARD, Duration::ZERO);
    publish(&*speaker, &[(&news, "3")]).await;
    assert!(listener.heard.try_recv().is_err(), "nothing overtakes what is held back");
    for text in ["1", "2", "3"] {
        listener.expect(&news, text).await;
        assert_eq!(
            began.elapsed().as_secs(),
            delay.as_secs(),
            "time is paused and moves to timers"
        );
    }
    publish(&*speaker, &[(&news, "4")]).await;
    assert_eq!(listener.heard.try_recv().expect("no delay any more").1, "4");
}

#[tokio::test]
async fn a_cut_is_of_one_shard_and_heals() {
    let mut rig = MemoryRig::default();
    let bus = rig.bus();
    let other = bus.publisher(ShardIndex(1)).await.unwrap();
    rig.take_away();
    assert!(matches!(bus.publisher(SHARD).await.err(), Some(BusError::Unreachable(_))));
    assert_eq!(other.publish(&[]).await.unwrap(), []);
    rig.give_back();
    assert!(bus.publisher(SHARD).await.is_ok());
}
