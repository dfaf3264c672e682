//! Hands pushes of the bus to the workers that want them.

use std::sync::Arc;

use bytes::Bytes;

use super::{Inbox, Push, Wants};
use crate::bus::{BootId, Envelope, Sink, StoreTag};
use crate::interest::Interest;
use crate::layout::ShardIndex;
use crate::telemetry::{Metrics, Received};

/// The node's end of every shard's subscriber connection.
#[derive(Debug)]
pub struct Dispatcher {
    /// This node's boot: its own echo was delivered when it was published.
    pub boot: BootId,
    /// This node's store.
    pub store: StoreTag,
    /// Who wants what.
    pub wants: Arc<Wants>,
    /// The workers' queues.
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// What the node hears.
    pub interest: Arc<Interest>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Sink for Dispatcher {
    fn push(&self, _shard: ShardIndex, channel: &[u8], payload: Bytes) {
        let envelope = match Envelope::decode(&payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.metrics.malformed_pushes.inc();
                let channel = String::from_utf8_lossy(channel);
                tracing::debug!(%channel, %error, "a push is no envelope");
                return;
            }
        };
        if envelope.store != self.store {
            self.metrics.foreign_pushes.inc();
        } else if envelope.boot == self.boot {
            self.metrics.received(Received::Echo);
        } else {
            self.dispatch(envelope);
        }
    }
}

impl Dispatcher {
    fn dispatch(&self, envelope: Envelope) {
        let workers = self.wants.workers(&envelope.keys);
        if workers == 0 {
            let lingering = envelope.keys.iter().any(|key| self.interest.is_lingering(key));
            self.metrics.received(if lingering { Received::Lingering } else { Received::Wasted });
            return;
        }
        let push = Push::from_bus(envelope, Arc::clone(&self.metrics), workers.count_ones());
        let push = Arc::new(push);
        for (worker, inbox) in self.inboxes.iter().enumerate() {
            if workers & 1 << worker != 0 && !inbox.push(Arc::clone(&push)) {
                self.metrics.inbox_overflows.inc();
                push.done(false);
            }
        }
    }
}
