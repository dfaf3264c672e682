//! How a publish leaves a worker: to the bus, to the node's other workers, to its own sessions.

use std::rc::Rc;
use std::slice::from_ref;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Router, Services};
use crate::bus::{Envelope, EnvelopeKind, OutboundPublish};
use crate::delivery::{CopyKind, QueuedPublish};
use crate::domain::{Conversation, Membership, RoutingKey};
use crate::hub::Delivered;
use crate::layout::{Bucket, PublishPlan, ShardIndex, plan};
use crate::protocol::CloseReason;
use crate::watermark::SendId;

/// Sessions that a publish is delivered to in one step, and sockets that are written to in one
/// step. The first takes some hundred microseconds, the second a few milliseconds.
pub(super) const SLICE: usize = 512;

/// One publish to the bus, and the keys that it is for.
#[derive(Debug)]
pub(super) struct PublishTarget {
    shard: ShardIndex,
    /// The bucket; `None` publishes to all of them.
    bucket: Option<Bucket>,
    keys: SmallVec<[RoutingKey; 2]>,
}

impl Router {
    /// Returns how a publish for these keys, all of one class, goes to the bus.
    pub(super) fn targets(&self, keys: &[RoutingKey]) -> SmallVec<[PublishTarget; 2]> {
        let mut targets = self.buckets(keys);
        let held = self.services.interest.held_share(keys[0].class());
        match plan(targets.len(), self.services.live_nodes(), held) {
            PublishPlan::Buckets => {
                self.services.metrics.shards.publishes_to_buckets.inc();
            }
            PublishPlan::All => {
                self.services.metrics.shards.publishes_to_all.inc();
                targets.truncate(1);
                targets[0].bucket = None;
                targets[0].keys = keys.into();
            }
        }
        targets
    }

    /// Returns one target per bucket: keys that share a bucket share a publish.
    fn buckets(&self, keys: &[RoutingKey]) -> SmallVec<[PublishTarget; 2]> {
        let mut targets = SmallVec::<[PublishTarget; 2]>::new();
        for key in keys {
            let route = self.services.layouts.route(key);
            match targets.iter_mut().find(|way| way.bucket == Some(route.bucket)) {
                Some(way) => way.keys.push(key.clone()),
                None => targets.push(PublishTarget {
                    shard: route.shard,
                    bucket: Some(route.bucket),
                    keys: SmallVec::from_iter([key.clone()]),
                }),
            }
        }
        targets
    }

    /// Publishes an event.
    pub(super) fn fan_out_event(self: &Rc<Self>, envelope: Envelope, except: Option<u64>) {
        let targets = self.targets(&envelope.keys);
        self.fan_out(envelope, &targets, None, except);
    }

    /// Publishes. The shard connections come first, so that they are flushed first. All of it
    /// happens in one step: a full queue records its delivery gap before the publish can be
    /// confirmed.
    pub(super) fn fan_out(
        self: &Rc<Self>,
        envelope: Envelope,
        targets: &[PublishTarget],
        send_id: Option<SendId>,
        except: Option<u64>,
    ) {
        for way in targets {
            let payload = envelope.encode_for(&way.keys, &self.services.bus_seal);
            match way.bucket {
                Some(bucket) => {
                    let channel = self.services.channels.bucket(bucket);
                    self.publishers.publish(
                        way.shard,
                        OutboundPublish { channel, payload },
                        send_id,
                    );
                }
                None => self.publishers.publish_to_all(way.shard, payload, send_id),
            }
        }
        if envelope.concerns_feed() && self.services.feed.copies() {
            let channel = self.services.channels.tap();
            let payload = envelope.encode_tap_copy(&self.services.bus_seal);
            self.publishers.publish(targets[0].shard, OutboundPublish { channel, payload }, None);
        }
        let own = 1 << self.worker;
        let mut queued = self.workers(&envelope) & !own;
        if self.must_wait(&envelope) {
            // In slices, through the worker queue: a later cursor is queued behind it.
            queued |= own;
            self.sliced.enter(&envelope.keys);
        } else {
            self.deliver(&envelope, CopyKind::Here, except);
        }
        if queued != 0 {
            let push = Arc::new(QueuedPublish::local(envelope, self.worker, except));
            if self.services.worker_queues.push(queued, &push) & own != 0 {
                self.sliced.leave(&push.envelope.keys);
            }
        }
    }

    /// Returns whether a publish must be delivered in slices. It must if it is for too many
    /// sessions here for one step, or if it would overtake one in slices. The copy of a membership
    /// change for the user's own key is for no session, and this worker applies it at once.
    fn must_wait(&self, envelope: &Envelope) -> bool {
        let is_own_copy = envelope.kind == EnvelopeKind::Membership
            && envelope.keys.iter().all(|key| key.as_user().is_some());
        !is_own_copy
            && (self.sliced.meet(&envelope.keys) || self.hub.borrow().may_exceed(envelope, SLICE))
    }

    /// Returns the workers of this node whose sessions a publish may be for, as a bit set.
    fn workers(&self, envelope: &Envelope) -> u64 {
        let Services { worker_interest, feed, .. } = &*self.services;
        let tapping = if envelope.concerns_feed() { feed.workers() } else { 0 };
        worker_interest.workers(&envelope.keys) | tapping
    }

    /// Delivers a publish to this worker's sessions in slices, so that other tasks run in between.
    pub async fn take_push(self: &Rc<Self>, push: &QueuedPublish) {
        self.charge(push);
        let handed = self.deliver_in_slices(push).await;
        if push.worker == Some(self.worker) {
            self.sliced.leave(&push.envelope.keys);
        }
        push.done(handed > 0);
    }

    /// Delivers a publish to all sessions that it is for, and returns how many received it.
    fn deliver(self: &Rc<Self>, envelope: &Envelope, via: CopyKind, except: Option<u64>) -> u64 {
        self.heard(envelope);
        let delivered = self.hub.borrow_mut().deliver(envelope, via, except);
        self.flush_wanted.notify_one();
        self.count(delivered);
        delivered.handed
    }

    /// Delivers a publish in slices. The recipients are fixed at the first slice, and a message
    /// counts as delivered to all of them from then on. A session that has since left the room is
    /// skipped; its `left` was delivered separately. Publishes are taken one by one, so each
    /// session gets two of them in order, and a cursor behind what it covers.
    async fn deliver_in_slices(self: &Rc<Self>, push: &QueuedPublish) -> u64 {
        let (envelope, via) = (&push.envelope, push.via());
        self.heard(envelope);
        let audience = self.hub.borrow_mut().audience(envelope, via, push.except);
        let (first, rest) = audience.split_at(audience.len().min(SLICE));
        let delivered = self.hub.borrow_mut().deliver_all(first, envelope);
        let mut handed = delivered.handed;
        self.count(delivered);
        if !rest.is_empty() {
            self.sliced.enter(&envelope.keys);
            for slice in rest.chunks(SLICE) {
                self.flush();
                tokio::task::yield_now().await;
                let delivered = self.hub.borrow_mut().deliver_rest(slice, envelope, via);
                handed += delivered.handed;
                self.count(delivered);
            }
            self.sliced.leave(&envelope.keys);
        }
        self.flush_wanted.notify_one();
        handed
    }

    /// Charges a received message to this worker's limiter although it was not sent here. The limit
    /// of a conversation is on what all nodes send to it.
    fn charge(&self, push: &QueuedPublish) {
        if push.worker != Some(self.worker)
            && push.envelope.kind == EnvelopeKind::Message
            && let Ok(conversation) = Conversation::parse_full(&push.envelope.about)
            && self.is_first_copy(&conversation, &push.envelope.keys)
        {
            self.limiter.heard(&conversation);
        }
    }

    /// Returns whether this is the first copy of a message here. Each user's bucket carries a copy
    /// of a direct message, and a worker that receives both must count one of them.
    fn is_first_copy(&self, conversation: &Conversation, keys: &[RoutingKey]) -> bool {
        let is_heard = |key: &RoutingKey| {
            self.services.worker_interest.workers(from_ref(key)) >> self.worker & 1 == 1
        };
        conversation.keys().find(is_heard).is_none_or(|first| keys.contains(&first))
    }

    /// Applies what a publish means for this worker itself, beside its delivery.
    fn heard(self: &Rc<Self>, envelope: &Envelope) {
        if let Some(id) = envelope.message_id().filter(|_| envelope.is_durable()) {
            self.services.observe(id.time());
        }
        if envelope.kind == EnvelopeKind::Membership
            && let Ok(news) = envelope.about.parse::<Membership>()
        {
            self.apply_membership(&news);
        }
    }

    pub(super) fn count(&self, delivered: Delivered) {
        self.services.metrics.sessions.deliveries.inc_by(delivered.handed);
        self.services.metrics.sessions.shed_events.inc_by(delivered.shed);
        for _ in 0..delivered.evicted {
            self.services.metrics.sessions.closes(CloseReason::SlowConsumer.code());
        }
    }
}
