//! The watermark: what a node can guarantee about live delivery, and what it does when it cannot.
//! Pure state machines: they take what happened and when, and return what follows.
//!
//! | file | holds | belongs to |
//! | --- | --- | --- |
//! | `in_flight` | ids from their issue until they are settled | a worker |
//! | `publish_queue` | publishes until they are answered, repeated, detoured or given up on | a worker |
//! | `publish_tracker` | both, and the check between them; the worker's part of a heartbeat | a worker |
//! | `tracker` | the watermark: delivery gaps, canaries, repairs and pull rounds | the node |
//! | `state` | what all threads may know of it at any time | the node |
//! | `recent_deliveries` | which messages were delivered to the sessions of a key | a worker |
//! | `session_position` | up to which id a session has everything | a session |
//! | `user_rooms` | a user's rooms, and what joining one holds back | a user on a worker |
//!
//! A **delivery gap** is an event after which live delivery may have missed a message: the
//! watermark freezes. A **repair** reads the store for what may have been missed and unfreezes the
//! watermark. A **pull round** reads the same while it is frozen, so that cursors go on while the
//! store is up.

mod in_flight;
mod publish_queue;
mod publish_tracker;
mod recent_deliveries;
mod session_position;
mod state;
mod tracker;
mod user_rooms;

pub use in_flight::SendId;
pub use publish_queue::{Publishes, Reroutable};
pub use publish_tracker::{ACK_LIMIT, AckDecision, PublishBounds, PublishTracker, UnknownReason};
pub use recent_deliveries::{DeliverySeq, RecentDeliveries};
pub use session_position::{CatchUpRead, READ_MARGIN, SessionPosition};
pub use state::{Lease, WatermarkSnapshot, WatermarkState};
pub use tracker::{CANARY_LATE, RecoveryRound, RoundKind, WatermarkAction, WatermarkTracker};
pub use user_rooms::{KnowledgeSource, PendingRoomRead, RoomChange, RoomState, UserRooms};
