//! How a publish leaves a worker: to the bus, to the node's other workers, to its own sessions.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Router, Services};
use crate::bus::{Envelope, Kind, Publish};
use crate::delivery::{Push, Via};
use crate::domain::Key;
use crate::hub::{Delivered, SessionId};
use crate::layout::{Bucket, Plan, ShardIndex, plan};
use crate::proof::Ticket;
use crate::protocol::Close;

/// One publish to the bus, and the keys that it is for.
#[derive(Debug)]
pub(super) struct Way {
    shard: ShardIndex,
    /// None goes to all.
    bucket: Option<Bucket>,
    keys: SmallVec<[Key; 2]>,
}

impl Router {
    /// How a publish for these keys, all of one class, goes to the bus.
    pub(super) fn ways(&self, keys: &[Key]) -> SmallVec<[Way; 2]> {
        let mut ways = self.buckets(keys);
        let held = self.services.interest.held_share(keys[0].class());
        match plan(ways.len(), self.services.live_nodes(), held) {
            Plan::Buckets => {
                self.services.metrics.plans_buckets.inc();
            }
            Plan::All => {
                self.services.metrics.plans_all.inc();
                ways.truncate(1);
                ways[0].bucket = None;
                ways[0].keys = keys.into();
            }
        }
        ways
    }

    /// A way a bucket: keys that share one share a publish.
    fn buckets(&self, keys: &[Key]) -> SmallVec<[Way; 2]> {
        let mut ways = SmallVec::<[Way; 2]>::new();
        for key in keys {
            let route = self.services.layouts.route(key);
            match ways.iter_mut().find(|way| way.bucket == Some(route.bucket)) {
                Some(way) => way.keys.push(key.clone()),
                None => ways.push(Way {
                    shard: route.shard,
                    bucket: Some(route.bucket),
                    keys: SmallVec::from_iter([key.clone()]),
                }),
            }
        }
        ways
    }

    /// Publishes an event.
    pub(super) fn fan_out_event(&self, envelope: Envelope, except: Option<SessionId>) {
        let ways = self.ways(&envelope.keys);
        self.fan_out(envelope, &ways, None, except);
    }

    /// Publishes. The links come first, so that they are flushed first. All of it happens in one
    /// step: what a full queue loses raises its break before the publish can be confirmed.
    pub(super) fn fan_out(
        &self,
        envelope: Envelope,
        ways: &[Way],
        ticket: Option<Ticket>,
        except: Option<SessionId>,
    ) {
        for way in ways {
            let payload = envelope.encode_for(&way.keys);
            match way.bucket {
                Some(bucket) => {
                    let channel = self.services.channels.bucket(bucket);
                    self.publishers.publish(way.shard, Publish { channel, payload }, ticket);
                }
                None => self.publishers.publish_to_all(way.shard, payload, ticket),
            }
        }
        if envelope.concerns_taps() && self.services.taps.copies() {
            let (channel, payload) = (self.services.channels.tap(), envelope.encode_tap_copy());
            self.publishers.publish(ways[0].shard, Publish { channel, payload }, None);
        }
        let own = self.deliver(&envelope, Via::Here, except);
        self.count(own);
        let others = self.workers(&envelope) & !(1 << self.worker);
        if others != 0 {
            self.services.inboxes.push(others, &Arc::new(Push::local(envelope)));
        }
    }

    /// The workers of this node whose sessions a publish may be for, a bit each.
    fn workers(&self, envelope: &Envelope) -> u64 {
        let Services { wants, taps, .. } = &*self.services;
        let tapping = if envelope.concerns_taps() { taps.workers() } else { 0 };
        wants.workers(&envelope.keys) | tapping
    }

    /// Hands a push to this worker's sessions.
    pub fn take_push(&self, push: &Push) {
        let delivered = self.deliver(&push.envelope, push.via(), None);
        self.count(delivered);
        push.done(delivered.handed > 0);
    }

    fn deliver(&self, envelope: &Envelope, via: Via, except: Option<SessionId>) -> Delivered {
        if envelope.kind == Kind::Message
            && let Some(id) = envelope.message_id()
        {
            self.services.observe(id.time());
        }
        let delivered = self.hub.borrow_mut().deliver(envelope, via, except);
        self.flush_wanted.notify_one();
        delivered
    }

    pub(super) fn count(&self, delivered: Delivered) {
        self.services.metrics.deliveries.inc_by(delivered.handed);
        self.services.metrics.shed_events.inc_by(delivered.shed);
        for _ in 0..delivered.evicted {
            self.services.metrics.closes(Close::SlowConsumer.code());
        }
    }
}
