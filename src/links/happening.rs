//! What the links tell the loop that watches over the node.

use tokio::sync::mpsc;

use crate::layout::ShardIndex;
use crate::roster::Run;

/// Happenings that may wait; a link waits for room, a canary that finds none is late.
pub const HAPPENINGS_MAX: usize = 1024;

/// Something that concerns the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A subscriber connection is there; nothing is subscribed yet.
    Connected {
        /// To which shard.
        shard: ShardIndex,
        /// To which start of the server.
        run: Run,
    },
    /// What was needed when the connection came up is subscribed and confirmed.
    Whole {
        /// On which shard.
        shard: ShardIndex,
    },
    /// A subscriber connection is gone.
    Lost {
        /// To which shard.
        shard: ShardIndex,
    },
    /// A canary of this node came back.
    Canary {
        /// Over which shard's connection.
        shard: ShardIndex,
        /// Its number.
        number: u64,
    },
}

/// Where happenings go.
pub type Happenings = mpsc::Sender<Happening>;
