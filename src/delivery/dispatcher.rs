//! Delivers pushes of the bus to the workers that want them.

use std::sync::Arc;

use bytes::Bytes;

use super::{QueuedPublish, WorkerInterest, WorkerQueues};
use crate::bus::{BootId, Envelope, EnvelopeKind, EnvelopeMac, PushSink, StoreTag};
use crate::interest::{Interest, WildcardFeed};
use crate::layout::ShardIndex;
use crate::shards::{ShardEvent, ShardEvents};
use crate::telemetry::{Metrics, Received, ShardTraffic};
use crate::watermark::WatermarkState;

/// The node's end of every shard's subscriber connection.
#[derive(Debug)]
pub struct Dispatcher {
    /// This node's boot. Its own echo is dropped, since it was delivered when it was published.
    pub boot: BootId,
    /// This node's store.
    pub store: StoreTag,
    /// Opens the envelopes that its nodes publish.
    pub seal: EnvelopeMac,
    /// Which workers want which key.
    pub worker_interest: Arc<WorkerInterest>,
    /// Wide patterns, here and on other nodes.
    pub feed: Arc<WildcardFeed>,
    /// The workers' queues.
    pub worker_queues: Arc<WorkerQueues>,
    /// What the node subscribes to.
    pub interest: Arc<Interest>,
    /// The watermark's state, shared by all threads.
    pub watermark_state: Arc<WatermarkState>,
    /// Receives canaries.
    pub events: ShardEvents,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// The counts of each shard.
    pub traffic: Vec<ShardTraffic>,
}

impl PushSink for Dispatcher {
    fn push(&self, shard: ShardIndex, channel: &[u8], payload: Bytes) {
        if let Some(traffic) = self.traffic.get(shard.0 as usize) {
            traffic.pushed(payload.len());
        }
        if Envelope::claimed_store(&payload).is_some_and(|store| store != self.store) {
            self.metrics.bus.foreign.inc();
            return;
        }
        let envelope = match Envelope::decode(&payload, &self.seal) {
            Ok(envelope) => envelope,
            Err(error) => {
                // It belongs to no known node. Nodes whose envelopes cannot be read state that in
                // their heartbeats, and that is the delivery gap.
                self.metrics.bus.malformed.inc();
                let channel = String::from_utf8_lossy(channel);
                tracing::debug!(%channel, %error, "a push is not an envelope");
                return;
            }
        };
        let own = envelope.boot == self.boot;
        match envelope.kind {
            EnvelopeKind::Message | EnvelopeKind::Event if own => {
                self.metrics.bus.received(Received::Echo, envelope.class());
            }
            EnvelopeKind::Message | EnvelopeKind::Event => self.dispatch(envelope),
            EnvelopeKind::Membership if !own => {
                let workers = self.worker_interest.workers(&envelope.keys);
                self.worker_queues
                    .push(workers, &Arc::new(QueuedPublish::membership_from_bus(envelope)));
            }
            EnvelopeKind::Notice if !own && *envelope.about == *WildcardFeed::NOTICE => {
                self.feed.heard();
            }
            EnvelopeKind::Canary if own => self.canary_back(shard, &envelope),
            EnvelopeKind::Notice | EnvelopeKind::Canary | EnvelopeKind::Membership => {}
        }
    }
}

impl Dispatcher {
    /// Reports a canary. If the queue is full the canary is dropped, and the watermark then treats
    /// it as late.
    fn canary_back(&self, shard: ShardIndex, envelope: &Envelope) {
        let number = u128::from_be_bytes(envelope.id) as u64;
        let _late = self.events.try_send(ShardEvent::Canary { shard, number });
    }

    fn dispatch(&self, envelope: Envelope) {
        let workers = self.workers(&envelope);
        if workers == 0 {
            let lingering = self.is_lingering(&envelope);
            let what = if lingering { Received::Lingering } else { Received::Wasted };
            self.metrics.bus.received(what, envelope.class());
            return;
        }
        let push =
            QueuedPublish::from_bus(envelope, Arc::clone(&self.metrics), workers.count_ones());
        self.worker_queues.push(workers, &Arc::new(push));
    }

    fn workers(&self, envelope: &Envelope) -> u64 {
        if envelope.tap_copy {
            self.feed.workers()
        } else {
            self.worker_interest.workers(&envelope.keys)
        }
    }

    /// The channel `tap` does not linger, even if the event's bucket does.
    fn is_lingering(&self, envelope: &Envelope) -> bool {
        !envelope.tap_copy && envelope.keys.iter().any(|key| self.interest.is_lingering(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    use crate::delivery::{CopyKind, Work};
    use crate::domain::RoutingKey;
    use crate::interest::Linger;
    use crate::layout::{BucketCount, BucketCounts, Layout, Layouts};

    const OWN: BootId = BootId([1; 16]);
    const OTHER: BootId = BootId([2; 16]);

    /// A byte of the id.
    const ID_AT: usize = 30;

    fn seal() -> EnvelopeMac {
        EnvelopeMac::of_store(&[3; 32])
    }

    fn dispatcher() -> Dispatcher {
        dispatcher_with(16).0
    }

    /// With room for so many pushes a worker.
    fn dispatcher_with(room: usize) -> (Dispatcher, mpsc::Receiver<ShardEvent>) {
        let buckets = BucketCounts::all(BucketCount::new(16).unwrap());
        let layouts = Arc::new(Layouts::from(Layout::new(buckets, vec!["r1".into()])));
        let (events, happened) = mpsc::channel(16);
        let (watermark_state, metrics) =
            (Arc::<WatermarkState>::default(), Arc::new(Metrics::new()));
        let dispatcher = Dispatcher {
            boot: OWN,
            store: StoreTag(0),
            seal: seal(),
            worker_interest: Arc::default(),
            feed: Arc::new(WildcardFeed::new(1)),
            worker_queues: Arc::new(WorkerQueues::new(
                3,
                room,
                Arc::clone(&watermark_state),
                Arc::clone(&metrics),
            )),
            watermark_state,
            events,
            interest: Arc::new(Interest::new(layouts, Linger { ms: 10 }, 8)),
            traffic: vec![metrics.shards.traffic("r1")],
            metrics,
        };
        (dispatcher, happened)
    }

    fn event(boot: BootId) -> Envelope {
        let keys = [RoutingKey::parse("topic.a").unwrap()].into_iter().collect();
        let notice = Envelope::notice(boot, StoreTag(0), "topic.a.b");
        Envelope { kind: EnvelopeKind::Event, keys, ..notice }
    }

    fn push(dispatcher: &Dispatcher, payload: Bytes) {
        dispatcher.push(ShardIndex(0), b"channel", payload);
    }

    /// How what waits for a worker came.
    async fn taken(dispatcher: &Dispatcher, worker: u32) -> Vec<CopyKind> {
        let mut batch = Vec::new();
        dispatcher.worker_queues.of(worker).take(&mut batch).await;
        let via = |work: Work| match work {
            Work::Push(push) => {
                push.done(true);
                push.via()
            }
            Work::Command(command) => panic!("unexpected command {command:?}"),
        };
        batch.into_iter().map(via).collect()
    }

    #[tokio::test]
    async fn each_copy_goes_to_the_workers_that_it_is_for() {
        let dispatcher = dispatcher();
        let event = event(OTHER);
        dispatcher.worker_interest.add(&event.keys[0], 0);
        dispatcher.worker_interest.add(&event.keys[0], 1);
        dispatcher.feed.begin(1);
        dispatcher.feed.begin(2);
        push(&dispatcher, event.encode_for(&event.keys, &seal()));
        push(&dispatcher, event.encode_tap_copy(&seal()));
        assert_eq!(taken(&dispatcher, 0).await, [CopyKind::Bucket]);
        assert_eq!(taken(&dispatcher, 1).await, [CopyKind::Bucket, CopyKind::Tap]);
        assert_eq!(taken(&dispatcher, 2).await, [CopyKind::Tap]);
        let useful = dispatcher.metrics.bus.received_so_far(Received::Useful);
        assert_eq!((useful, dispatcher.metrics.bus.node_events()), (2, 2));
    }

    #[test]
    fn both_copies_of_ones_own_are_echo_and_a_tap_copy_without_a_tap_is_wasted() {
        let dispatcher = dispatcher();
        dispatcher.feed.begin(0);
        let own = event(OWN);
        push(&dispatcher, own.encode_for(&own.keys, &seal()));
        push(&dispatcher, own.encode_tap_copy(&seal()));
        assert_eq!(dispatcher.metrics.bus.received_so_far(Received::Echo), 2);
        dispatcher.feed.end(0);
        dispatcher.worker_interest.add(&own.keys[0], 0);
        push(&dispatcher, event(OTHER).encode_tap_copy(&seal()));
        assert_eq!(dispatcher.metrics.bus.received_so_far(Received::Wasted), 1);
    }

    #[test]
    fn a_message_that_finds_no_room_raises_a_break_and_an_event_does_not() {
        let (dispatcher, _happened) = dispatcher_with(0);
        let event = event(OTHER);
        dispatcher.worker_interest.add(&event.keys[0], 0);
        let gaps = dispatcher.watermark_state.gaps();
        push(&dispatcher, event.encode_for(&event.keys, &seal()));
        assert_eq!(dispatcher.watermark_state.gaps(), gaps);
        let message = Envelope { kind: EnvelopeKind::Message, ..event };
        push(&dispatcher, message.encode_for(&message.keys, &seal()));
        assert_eq!(dispatcher.watermark_state.gaps(), gaps + 1);
        assert_eq!(dispatcher.metrics.bus.worker_queue_overflows.get(), 2);
    }

    #[tokio::test]
    async fn what_no_node_made_is_counted_and_is_no_break() {
        let dispatcher = dispatcher();
        let message = Envelope { kind: EnvelopeKind::Message, ..event(OTHER) };
        dispatcher.worker_interest.add(&message.keys[0], 0);
        let gaps = dispatcher.watermark_state.gaps();
        let genuine = message.encode_for(&message.keys, &seal());
        let mut changed = genuine.to_vec();
        changed[ID_AT] ^= 1;
        let forged = message.encode_for(&message.keys, &EnvelopeMac::of_store(&[4; 32]));
        let bare = genuine.slice(..genuine.len() - 16);
        for payload in [changed.into(), forged, bare, Bytes::from_static(b"garbage"), Bytes::new()]
        {
            push(&dispatcher, payload);
        }
        assert_eq!(dispatcher.metrics.bus.malformed.get(), 5);
        assert_eq!(dispatcher.watermark_state.gaps(), gaps);
        push(&dispatcher, genuine);
        assert_eq!(taken(&dispatcher, 0).await, [CopyKind::Bucket], "the genuine one alone");
    }

    #[test]
    fn a_canary_of_this_boot_is_told_with_its_shard() {
        let (dispatcher, mut happened) = dispatcher_with(16);
        let canary = |boot| {
            let notice = Envelope::notice(boot, StoreTag(0), "");
            Envelope { kind: EnvelopeKind::Canary, id: 9_u128.to_be_bytes(), ..notice }
                .encode_for(&[], &seal())
        };
        push(&dispatcher, canary(OTHER));
        push(&dispatcher, canary(OWN));
        let shard = ShardIndex(0);
        assert_eq!(happened.try_recv(), Ok(ShardEvent::Canary { shard, number: 9 }));
        assert!(happened.try_recv().is_err(), "another's canary is not this node's");
    }

    #[test]
    fn notices_and_canaries_are_not_counted_and_anothers_tap_is_noted() {
        let dispatcher = dispatcher();
        let notice = |boot, about| Envelope::notice(boot, StoreTag(0), about);
        let canary = Envelope { kind: EnvelopeKind::Canary, ..notice(OTHER, "") };
        for envelope in [canary, notice(OTHER, "else"), notice(OWN, WildcardFeed::NOTICE)] {
            push(&dispatcher, envelope.encode_for(&[], &seal()));
            assert!(!dispatcher.feed.copies(), "{envelope:?}");
        }
        let foreign = Envelope { store: StoreTag(9), ..notice(OTHER, WildcardFeed::NOTICE) };
        push(&dispatcher, foreign.encode_for(&[], &seal()));
        assert!(!dispatcher.feed.copies());
        push(&dispatcher, notice(OTHER, WildcardFeed::NOTICE).encode_for(&[], &seal()));
        assert!(dispatcher.feed.copies());
        assert_eq!(dispatcher.metrics.bus.node_events(), 0);
    }
}
