//! What is stored and acknowledged: messages, and changes of memberships.
//!
//! | file | holds |
//! | --- | --- |
//! | `order` | a message to send |
//! | `pipeline` | [`SendPipeline`]: admission, nonce, id, store, publish, record |
//! | `nonces` | a send becomes one message, however often it is tried |
//! | `send_ids` | ids under the lease |
//! | `late` | messages of unknown outcome, looked up later |
//! | `membership_changes` | a change of a membership, which is a send without a body |
//! | `announced` | the changes that were announced, so that a repeat changes nothing |
//! | `room_quota` | who may fill how many places of a user |
//! | `temporary_interest` | the bucket of a conversation to which a user without sessions sends |
//! | `in_flight` | what is under way |

mod announced;
mod in_flight;
mod late;
mod membership_changes;
mod nonces;
mod order;
mod pipeline;
mod room_quota;
mod send_ids;
mod temporary_interest;

pub use announced::AnnouncedChanges;
pub use in_flight::InFlight;
pub use late::LateMessages;
pub use membership_changes::{Added, ChangedRoom, MembershipChanges};
pub use order::{SendOrder, Sending};
pub use pipeline::{SendPipeline, SentMessage};
pub use room_quota::{MEMBERSHIPS_MAX, unlist_old};
pub use send_ids::SendIds;
pub use temporary_interest::{begin_temporary_interest, end_temporary_interest};
