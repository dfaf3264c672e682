//! Events that the shard connections report to the node agent.

use tokio::sync::mpsc;

use crate::cluster::ServerRun;
use crate::layout::ShardIndex;

/// Most events that may wait. A connection waits for space. A canary that finds none counts as
/// late.
pub const SHARD_EVENTS_MAX: usize = 1024;

/// Something that concerns the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardEvent {
    /// A subscriber connection is there; nothing is subscribed yet.
    Connected {
        /// Its shard.
        shard: ShardIndex,
        /// The run of the server.
        run: ServerRun,
    },
    /// Everything that was needed when the connection came up is subscribed and confirmed.
    Resubscribed {
        /// Its shard.
        shard: ShardIndex,
    },
    /// A subscriber connection is gone.
    Lost {
        /// Its shard.
        shard: ShardIndex,
    },
    /// A canary of this node came back.
    Canary {
        /// The shard whose connection it came over.
        shard: ShardIndex,
        /// Its number.
        number: u64,
    },
}

/// Where the events go.
pub type ShardEvents = mpsc::Sender<ShardEvent>;
