//! How a publish leaves a worker: to the bus, to the node's other workers, to its own sessions.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Fanout`]: one publish |
//! | `targets` | the shards and buckets that a publish goes to |
//! | `sessions` | [`Sessions`]: the worker's sessions, and what is queued and written for them |
//! | `key_interest` | the keys that they need |
//! | `memberships` | what the worker learns of its users' rooms |
//! | `sliced_fanouts` | publishes that are delivered in slices |
//! | `backlog` | what one task leaves for another |

mod backlog;
mod key_interest;
mod memberships;
mod sessions;
mod sliced_fanouts;
mod targets;

use std::rc::Rc;
use std::slice::from_ref;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::bus::{Envelope, EnvelopeKind, OutboundPublish};
use crate::delivery::{CopyKind, QueuedPublish};
use crate::domain::{Conversation, MembershipNotice, Message, RoutingKey};
use crate::limiter::WorkerLimiter;
use crate::protocol::MessageText;
use crate::services::{ClusterView, Services};
use crate::shards::Publishers;
use crate::watermark::SendId;

pub use backlog::Backlog;
pub use key_interest::KeyInterest;
pub use memberships::Memberships;
pub use sessions::Sessions;
pub use sliced_fanouts::SlicedFanouts;
pub use targets::PublishTarget;

/// Sessions that a publish is delivered to in one step, and sockets that are written to in one
/// step. The first takes some hundred microseconds, the second a few milliseconds.
pub const SLICE: usize = 512;

/// How a publish leaves a worker, and how one that comes is delivered.
#[derive(Debug)]
pub struct Fanout {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// The worker's sessions.
    pub sessions: Rc<Sessions>,
    /// The worker's shard connections for publishes.
    pub publishers: Rc<Publishers>,
    /// What is learned of the users' rooms.
    pub memberships: Rc<Memberships>,
    /// The limits, which are charged for what other nodes send.
    pub limiter: Rc<WorkerLimiter>,
    /// Publishes that are being delivered in slices.
    pub sliced: SlicedFanouts,
}

impl Fanout {
    /// Returns a message as it is published.
    pub fn envelope(&self, message: &Message, text: &MessageText) -> Envelope {
        Envelope {
            kind: EnvelopeKind::Message,
            id: message.id.to_bytes(),
            keys: message.conversation.keys().collect(),
            frame: text.frame(),
            ..self.services.identity.notice(&message.conversation.to_string())
        }
    }

    /// Publishes an event with this frame to the sessions of these keys, but `except`. `about` is
    /// what patterns are matched with.
    pub fn announce(
        &self,
        keys: SmallVec<[RoutingKey; 2]>,
        about: &str,
        frame: Bytes,
        except: Option<u64>,
    ) {
        let notice = self.services.identity.notice(about);
        let envelope = Envelope { kind: EnvelopeKind::Event, keys, frame, ..notice };
        self.fan_out_untracked(envelope, except);
    }

    /// Publishes what may be lost if a shard is down: no watermark waits for it.
    pub fn fan_out_untracked(&self, envelope: Envelope, except: Option<u64>) {
        let targets = self.targets(&envelope.keys);
        self.fan_out(envelope, &targets, None, except);
    }

    /// Publishes. The shard connections come first, so that they are flushed first. All of it
    /// happens in one step: a full queue records its delivery gap before the publish can be
    /// confirmed.
    pub fn fan_out(
        &self,
        envelope: Envelope,
        targets: &[PublishTarget],
        send_id: Option<SendId>,
        except: Option<u64>,
    ) {
        for target in targets {
            let payload = envelope.encode_for(&target.keys, &self.services.identity.bus_seal);
            match target.bucket {
                Some(bucket) => {
                    let channel = self.services.cluster.channels.bucket(bucket);
                    self.publishers.publish(
                        target.shard,
                        OutboundPublish { channel, payload },
                        send_id,
                    );
                }
                None => self.publishers.publish_to_all(target.shard, payload, send_id),
            }
        }
        if envelope.concerns_feed() && self.services.cluster.feed.copies() {
            let channel = self.services.cluster.channels.tap();
            let payload = envelope.encode_tap_copy(&self.services.identity.bus_seal);
            self.publishers.publish(targets[0].shard, OutboundPublish { channel, payload }, None);
        }
        let own = 1 << self.sessions.worker;
        let mut queued = self.workers(&envelope) & !own;
        if self.must_wait(&envelope) {
            // In slices, through the worker queue: a later cursor is queued behind it.
            queued |= own;
            self.sliced.enter(&envelope.keys);
        } else {
            self.deliver(&envelope, CopyKind::Here, except);
        }
        if queued != 0 {
            let push = Arc::new(QueuedPublish::local(envelope, self.sessions.worker, except));
            if self.services.cluster.worker_queues.push(queued, &push) & own != 0 {
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
            && (self.sliced.meet(&envelope.keys)
                || self.sessions.hub.borrow().may_exceed(envelope, SLICE))
    }

    /// Returns the workers of this node whose sessions a publish may be for, as a bit set.
    fn workers(&self, envelope: &Envelope) -> u64 {
        let ClusterView { worker_interest, feed, .. } = &self.services.cluster;
        let tapping = if envelope.concerns_feed() { feed.workers() } else { 0 };
        worker_interest.workers(&envelope.keys) | tapping
    }

    /// Delivers a publish to this worker's sessions in slices, so that other tasks run in between.
    pub async fn take_push(&self, push: &QueuedPublish) {
        self.charge(push);
        let handed = self.deliver_in_slices(push).await;
        if push.worker == Some(self.sessions.worker) {
            self.sliced.leave(&push.envelope.keys);
        }
        push.done(handed > 0);
    }

    /// Delivers a publish to all sessions that it is for, and returns how many received it.
    fn deliver(&self, envelope: &Envelope, via: CopyKind, except: Option<u64>) -> u64 {
        self.apply_received(envelope);
        let delivered = self.sessions.hub.borrow_mut().deliver(envelope, via, except);
        self.sessions.flush_wanted.notify_one();
        self.sessions.count(delivered);
        delivered.handed
    }

    /// Delivers a publish in slices. The recipients are fixed at the first slice, and a message
    /// counts as delivered to all of them from then on. A session that has since left the room is
    /// skipped; its `left` was delivered separately. Publishes are taken one by one, so each
    /// session gets two of them in order, and a cursor behind what it covers.
    async fn deliver_in_slices(&self, push: &QueuedPublish) -> u64 {
        let (envelope, via) = (&push.envelope, push.via());
        self.apply_received(envelope);
        let audience = self.sessions.hub.borrow_mut().audience(envelope, via, push.except);
        let (first, rest) = audience.split_at(audience.len().min(SLICE));
        let delivered = self.sessions.hub.borrow_mut().deliver_all(first, envelope);
        let mut handed = delivered.handed;
        self.sessions.count(delivered);
        if !rest.is_empty() {
            self.sliced.enter(&envelope.keys);
            for slice in rest.chunks(SLICE) {
                self.sessions.flush();
                tokio::task::yield_now().await;
                let delivered = self.sessions.hub.borrow_mut().deliver_rest(slice, envelope, via);
                handed += delivered.handed;
                self.sessions.count(delivered);
            }
            self.sliced.leave(&envelope.keys);
        }
        self.sessions.flush_wanted.notify_one();
        handed
    }

    /// Charges a received message to this worker's limiter although it was not sent here. The limit
    /// of a conversation is on what all nodes send to it.
    fn charge(&self, push: &QueuedPublish) {
        if push.worker != Some(self.sessions.worker)
            && push.envelope.kind == EnvelopeKind::Message
            && let Ok(conversation) = Conversation::parse_full(&push.envelope.about)
            && self.is_first_copy(&conversation, &push.envelope.keys)
        {
            self.limiter.charge_received(&conversation);
        }
    }

    /// Returns whether this is the first copy of a message here. Each user's bucket carries a copy
    /// of a direct message, and a worker that receives both must count one of them.
    fn is_first_copy(&self, conversation: &Conversation, keys: &[RoutingKey]) -> bool {
        let is_heard = |key: &RoutingKey| {
            self.services.cluster.worker_interest.workers(from_ref(key)) >> self.sessions.worker & 1
                == 1
        };
        conversation.keys().find(is_heard).is_none_or(|first| keys.contains(&first))
    }

    /// Applies what a publish means for this worker itself, beside its delivery.
    fn apply_received(&self, envelope: &Envelope) {
        if let Some(id) = envelope.message_id().filter(|_| envelope.is_durable()) {
            self.services.clocks.observe(id.time());
        }
        if envelope.kind == EnvelopeKind::Membership
            && let Ok(news) = envelope.about.parse::<MembershipNotice>()
        {
            self.memberships.apply_notice(&news);
        }
    }
}
