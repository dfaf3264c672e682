//! The watermark: what a node can guarantee about live delivery, and what it does when it cannot.
//! Pure state machines: they are told what happened and when, and return what follows.
//!
//! | file | holds | belongs to |
//! | --- | --- | --- |
//! | `ledger` | ids from their issue until they are settled | a worker |
//! | `outbound` | publishes until they are answered, repeated, detoured or given up on | a worker |
//! | `desk` | both, and the check between them; the worker's part of a heartbeat | a worker |
//! | `watch` | the watermark: delivery gaps, canaries, repairs and pull rounds | the node |
//! | `view` | what all threads may know of it at any time | the node |
//! | `handed` | which messages were delivered to the sessions of a key | a worker |
//! | `footing` | up to which id a session has everything | a session |
//! | `affiliations` | a user's rooms, and what joining one holds back | a user on a worker |
//!
//! A **delivery gap** is an event after which live delivery may have missed a message: the
//! watermark freezes. A **repair** reads the store for what may have been missed and unfreezes the
//! watermark. A **pull round** reads the same while it is frozen, so that cursors go on while the
//! store is up.

mod affiliations;
mod desk;
mod footing;
mod handed;
mod ledger;
mod outbound;
mod view;
mod watch;

pub use affiliations::{Affiliation, Affiliations, Applied, Due, Learned};
pub use desk::{ACK_LIMIT, Desk, DeskBounds, Doubt, Judgement};
pub use footing::{Footing, READ_MARGIN, Reading};
pub use handed::{Handed, Place};
pub use ledger::Ticket;
pub use outbound::{Cargo, Publishes};
pub use view::{Lease, View, Viewed};
pub use watch::{CANARY_LATE, Heard, Order, Round, RoundKind, Watch};
