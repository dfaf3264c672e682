//! How a publish leaves a worker: to the bus, to the node's other workers, to its own sessions.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Router;
use crate::bus::{Envelope, Kind, Publish};
use crate::delivery::Push;
use crate::domain::Key;
use crate::hub::{Delivered, SessionId};
use crate::layout::{Bucket, Plan, ShardIndex, plan};
use crate::protocol::Close;

/// The keys of a publish that share a bucket, hence a channel.
struct Group {
    bucket: Bucket,
    shard: ShardIndex,
    keys: SmallVec<[Key; 2]>,
}

impl Router {
    /// Publishes. The links come first, so that they are flushed first.
    pub(super) fn fan_out(&self, envelope: Envelope, except: Option<SessionId>) {
        self.publish_to_bus(&envelope);
        let own = self.deliver(&envelope, except);
        self.count(own);
        let others = self.services.wants.workers(&envelope.keys) & !(1 << self.worker);
        if others != 0 {
            self.push_to_workers(others, &Arc::new(Push::local(envelope)));
        }
    }

    fn push_to_workers(&self, workers: u64, push: &Arc<Push>) {
        for (worker, inbox) in self.services.inboxes.iter().enumerate() {
            if workers & 1 << worker != 0 && !inbox.push(Arc::clone(push)) {
                self.services.metrics.inbox_overflows.inc();
            }
        }
    }

    fn publish_to_bus(&self, envelope: &Envelope) {
        let groups = self.groups(&envelope.keys);
        let class = groups[0].bucket.class;
        let held = self.services.interest.held_share(class);
        match plan(groups.len(), self.services.live_nodes(), held) {
            Plan::Buckets => {
                self.services.metrics.plans_buckets.inc();
                for group in groups {
                    let channel = self.services.channels.bucket(group.bucket);
                    let payload = envelope.encode_for(&group.keys);
                    self.publishers.publish(group.shard, Publish { channel, payload });
                }
            }
            Plan::All => {
                self.services.metrics.plans_all.inc();
                let payload = envelope.encode_for(&envelope.keys);
                self.publishers.publish_to_all(groups[0].shard, payload);
            }
        }
    }

    fn groups(&self, keys: &[Key]) -> SmallVec<[Group; 2]> {
        let mut groups = SmallVec::<[Group; 2]>::new();
        for key in keys {
            let route = self.services.layouts.route(key);
            match groups.iter_mut().find(|group| group.bucket == route.bucket) {
                Some(group) => group.keys.push(key.clone()),
                None => groups.push(Group {
                    bucket: route.bucket,
                    shard: route.shard,
                    keys: SmallVec::from_iter([key.clone()]),
                }),
            }
        }
        groups
    }

    /// Hands a push to this worker's sessions.
    pub fn take_push(&self, push: &Push) {
        let delivered = self.deliver(&push.envelope, None);
        self.count(delivered);
        push.done(delivered.handed > 0);
    }

    fn deliver(&self, envelope: &Envelope, except: Option<SessionId>) -> Delivered {
        if envelope.kind == Kind::Message
            && let Some(id) = envelope.message_id()
        {
            self.services.observe(id.time());
        }
        let delivered = self.hub.borrow_mut().deliver(envelope, except);
        self.flush_wanted.notify_one();
        delivered
    }

    fn count(&self, delivered: Delivered) {
        self.services.metrics.deliveries.inc_by(delivered.handed);
        self.services.metrics.shed_events.inc_by(delivered.shed);
        for _ in 0..delivered.evicted {
            self.services.metrics.closes(Close::SlowConsumer.code());
        }
    }
}
