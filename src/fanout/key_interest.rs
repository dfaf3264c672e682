//! The keys that a worker's sessions need, told to the node and to the other nodes.

use std::rc::Rc;
use std::sync::Arc;

use crate::domain::PatternScope;
use crate::interest::WildcardFeed;
use crate::services::Services;
use crate::shards::Publishers;

/// The keys that a worker's sessions need.
#[derive(Debug)]
pub struct KeyInterest {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// The worker's index.
    pub worker: u32,
    /// The worker's shard connections for publishes.
    pub publishers: Rc<Publishers>,
}

impl KeyInterest {
    /// A key, or the wildcard feed, is wanted here now. The bit is set before the subscribe can go
    /// out.
    pub fn acquire(&self, scope: &PatternScope) {
        let cluster = &self.services.cluster;
        match scope {
            PatternScope::Key(key) => {
                cluster.worker_interest.add(key, self.worker);
                cluster.interest.acquire(key);
            }
            PatternScope::Wide if cluster.feed.begin(self.worker) => self.announce_feed(),
            PatternScope::Wide => {}
        }
    }

    /// A key, or the wildcard feed, is no longer wanted here.
    pub fn release(&self, scope: &PatternScope) {
        let cluster = &self.services.cluster;
        match scope {
            PatternScope::Key(key) => {
                cluster.worker_interest.remove(key, self.worker);
                cluster.interest.release(key);
            }
            PatternScope::Wide => cluster.feed.end(self.worker),
        }
    }

    /// Tells all nodes that this one takes the wildcard feed. A node that misses the notice reads
    /// it in the cluster table.
    fn announce_feed(&self) {
        let identity = &self.services.identity;
        let notice = identity.notice(WildcardFeed::NOTICE);
        let payload = notice.encode_for(&notice.keys, &identity.bus_seal);
        self.publishers.publish_to_every_shard(&payload);
    }
}
