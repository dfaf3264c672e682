//! Which users may see a conversation and how much of it, by what the store holds.

use std::time::Duration;

use super::Services;
use crate::clock::Readable;
use crate::config::Initiator;
use crate::domain::{
    Conversation, HistoryVisibility, MemberState, Membership, MessageId, Room, RoomId, UserId,
};
use crate::protocol::{Code, ErrorReply};
use crate::store::{AppendError, MembershipKey, Participant, PendingRead, PendingWrite};

/// What a user is shown of a conversation.
#[derive(Debug, Default)]
pub struct Visibility {
    /// Messages up to this id are hidden; `None` shows the conversation from its beginning.
    pub hidden: Option<MessageId>,
    /// The user's membership in the room; `None` where it was not read.
    pub membership: Option<Membership>,
}

impl Services {
    /// Returns the answer of a read, within the store's time limit.
    pub async fn answer<T>(&self, read: PendingRead<T>) -> Result<T, ErrorReply> {
        within(self.config.timeouts.store, read).await
    }

    /// Waits for the acknowledgement of a write, within the store's time limit.
    pub async fn written(&self, write: PendingWrite) -> Result<(), ErrorReply> {
        let bound = self.config.timeouts.store;
        match tokio::time::timeout(bound, write).await {
            Ok(written) => written.map_err(append_refusal),
            Err(_elapsed) => {
                let message = format!("the store did not answer within {}", Readable(bound));
                Err(ErrorReply::new(Code::OutcomeUnknown, message))
            }
        }
    }

    /// Refuses a user who is not in a conversation.
    pub async fn must_be_in(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), ErrorReply> {
        match conversation {
            Conversation::Dm(..) if conversation.is_direct_of(user) => Ok(()),
            Conversation::Dm(..) => Err(no_such_conversation()),
            Conversation::Room(room) => self.place_in(room, user).await.map(|_inside| ()),
        }
    }

    /// Returns whether users may write into a conversation only once a service has.
    pub fn is_for_services_to_start(&self, conversation: &Conversation) -> bool {
        self.config.policy.direct == Initiator::Service
            && matches!(conversation, Conversation::Dm(..))
    }

    /// Refuses a user's write into a conversation that a service must start and that none has
    /// started.
    pub async fn must_be_started(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), ErrorReply> {
        if !self.is_for_services_to_start(conversation) {
            return Ok(());
        }
        let participant = Participant { user: user.clone(), conversation: conversation.clone() };
        let started = self.answer(self.store.is_member(participant)).await?;
        started.then_some(()).ok_or_else(|| {
            let message = "a service has to write first: `policy.direct` is not \"anyone\"";
            ErrorReply::new(Code::Forbidden, message)
        })
    }

    /// Refuses a service that writes in the name of a user who is not in a conversation. A service
    /// may know what there is, so it is told what is wrong.
    pub async fn must_be_in_for_service(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), ErrorReply> {
        let Err(refusal) = self.must_be_in(user, conversation).await else { return Ok(()) };
        if refusal.code != Code::NotFound {
            return Err(refusal);
        }
        if let Conversation::Room(room) = conversation {
            let known = self.answer(self.store.room(room.clone())).await?;
            known.ok_or(refusal)?;
        }
        Err(not_a_member(user, conversation))
    }

    /// Returns what a user is shown of a conversation. Refuses a user who is not in it.
    pub async fn visibility(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<Visibility, ErrorReply> {
        let Conversation::Room(room) = conversation else {
            return self.must_be_in(user, conversation).await.map(|()| Visibility::default());
        };
        let row = self.answer(self.store.room(room.clone()));
        let (membership, row) = tokio::try_join!(self.place_in(room, user), row)?;
        let row = row.ok_or_else(no_such_conversation)?;
        Ok(Visibility { hidden: hidden_upto(&row, &membership), membership: Some(membership) })
    }

    /// Returns the state of a user's membership in a room; `UNKNOWN` if the store has none.
    pub async fn member_state(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<MemberState, ErrorReply> {
        let key = MembershipKey { room: room.clone(), user: user.clone() };
        let known = self.answer(self.store.membership(key)).await?;
        Ok(known.map_or(MemberState::UNKNOWN, |known| known.state))
    }

    /// Returns a user's membership in a room. Refuses a user who is not in it.
    pub async fn place_in(&self, room: &RoomId, user: &UserId) -> Result<Membership, ErrorReply> {
        let key = MembershipKey { room: room.clone(), user: user.clone() };
        let membership = self.answer(self.store.membership(key)).await?;
        membership.filter(Membership::is_inside).ok_or_else(no_such_conversation)
    }
}

/// Returns the answer of a read, within a time limit. A read changes nothing, so one without an
/// answer is `unavailable`.
pub async fn within<T>(bound: Duration, read: PendingRead<T>) -> Result<T, ErrorReply> {
    match tokio::time::timeout(bound, read).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ErrorReply::new(Code::Unavailable, error.to_string())),
        Err(_elapsed) => {
            let message = format!("the store did not answer within {}", Readable(bound));
            Err(ErrorReply::new(Code::Unavailable, message))
        }
    }
}

/// Returns the error that the caller gets for a write that is not acknowledged.
pub fn append_refusal(error: AppendError) -> ErrorReply {
    let code = match error {
        AppendError::Unavailable { .. } => Code::Unavailable,
        AppendError::OutcomeUnknown { .. } => Code::OutcomeUnknown,
    };
    ErrorReply::new(code, error.to_string())
}

/// Returns up to which id a room's history is hidden from a member, if any of it is.
pub fn hidden_upto(room: &Room, membership: &Membership) -> Option<MessageId> {
    (room.past == HistoryVisibility::Joined).then_some(membership.joined())
}

/// The answer to a service that writes in the name of a user who is not in a conversation.
pub fn not_a_member(user: &UserId, conversation: &Conversation) -> ErrorReply {
    let message = format!("`from`: `{user}` is not a member of `{conversation}`");
    ErrorReply::new(Code::Forbidden, message)
}

/// The same answer for a conversation that does not exist and for one that is not the caller's.
pub fn no_such_conversation() -> ErrorReply {
    ErrorReply::new(Code::NotFound, "no such conversation")
}
