//! The port to messages.

use std::fmt;
use std::sync::Arc;

use super::{
    Activity, ActivityQuery, DirectsQuery, HistoryQuery, Page, Participant, PendingRead,
    PendingWrite,
};
use crate::domain::{Conversation, Message};

/// Messages, and which direct conversations have some.
///
/// Ids come from outside and decide everything: place, day and time. Storing a message again under
/// its id changes nothing.
pub trait MessageStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a message, with all its rows or none. A direct conversation has the activity of both
    /// users on the day of its id, and both memberships; a room has its head.
    fn append(&self, message: Arc<Message>) -> PendingWrite;

    /// Reads a conversation's messages from one end of a range on, at most a page. A conversation
    /// without messages is an empty page.
    fn history(&self, query: HistoryQuery) -> PendingRead<Page>;

    /// Reads which direct conversations of a user had messages on a day: the first `limit` in the
    /// order of their names. If it returns `limit` of them there may be more.
    fn activity(&self, query: ActivityQuery) -> PendingRead<Vec<Activity>>;

    /// Reads which direct conversations of a user ever had a message, of any age and even if the
    /// message is not kept. It returns the first `limit` above `after`, in the order of their names
    /// as text. If it returns `limit` of them there may be more.
    fn directs(&self, query: DirectsQuery) -> PendingRead<Vec<Conversation>>;

    /// Whether a message was ever stored in a direct conversation that the user belongs to. It is
    /// never true of a room: use [`RoomStore::membership`](super::RoomStore::membership) there.
    fn is_member(&self, participant: Participant) -> PendingRead<bool>;
}
