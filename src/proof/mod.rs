//! That nothing is lost: what a node can prove about live delivery, and what it does when it
//! cannot. Pure: state machines that are told what happened and when, and say what follows.
//!
//! | file | holds | whose |
//! | --- | --- | --- |
//! | `ledger` | ids from their issue until they are settled | a worker's |
//! | `outbound` | publishes until they are answered, repeated, detoured or given up on | a worker's |
//! | `desk` | both, and the check between them; the worker's part of a row | a worker's |
//! | `watch` | the watermark: breaks, canaries, repairs and pull rounds | the node's |
//! | `view` | what all threads may know of it at any time | the node's |
//! | `handed` | which messages were handed to the sessions of a key | a worker's |
//! | `footing` | up to where a session has everything | a session's |
//! | `affiliations` | a user's rooms, and what joining one holds back | a user's on a worker |
//!
//! A **break** is anything after which live delivery may have missed a message: the watermark
//! freezes. A **repair** reads the store for what may have been missed and unfreezes it. A **pull
//! round** reads the same while frozen, so that cursors go on while the store lives.

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
