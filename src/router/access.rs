//! Who may see a conversation and how much of it, as the store has it.

use std::time::Duration;

use super::{Direct, Router, Services};
use crate::domain::{
    Conversation, HistoryVisibility, MemberState, Membership, MessageId, Room, RoomId, UserId,
};
use crate::protocol::{Code, ErrorReply};
use crate::store::{AppendError, Pending, ReadError};

/// What somebody is shown of a conversation.
#[derive(Debug, Default)]
pub(super) struct Visibility {
    /// Nothing at or below; none is from the conversation's beginning.
    pub(super) hidden: Option<MessageId>,
    /// Where he stands with the room; none where that is not asked.
    membership: Option<Membership>,
}

impl Router {
    /// Looks again after a read, in the step that answers: refuses one of whose removal this worker
    /// heard meanwhile, since nothing of the room may come behind his `left`. Up to where all is
    /// hidden from him.
    pub(super) fn still_hidden(
        &self,
        visibility: &Visibility,
    ) -> Result<Option<MessageId>, ErrorReply> {
        let Some(seen) = &visibility.membership else { return Ok(None) };
        let joined = self.still_inside(seen)?;
        Ok(visibility.hidden.map(|_| joined))
    }

    /// When a member joined, as far as is known now of one whom a read showed inside. Refuses one
    /// who was said to be out later.
    pub(super) fn still_inside(&self, seen: &Membership) -> Result<MessageId, ErrorReply> {
        let hub = self.hub.borrow();
        let known = hub.user_rooms(&seen.user).and_then(|rooms| rooms.get(seen.room.as_str()));
        let state = known.map_or(seen.state, |known| seen.state.merge(known.state));
        if state.is_inside() { Ok(state.joined()) } else { Err(no_such_conversation()) }
    }
}

impl Services {
    /// The answer of a read, within the store's time.
    pub(super) async fn answer<T>(
        &self,
        read: Pending<Result<T, ReadError>>,
    ) -> Result<T, ErrorReply> {
        within(self.waits.store, read).await
    }

    /// The acknowledgement of a write, within the store's time.
    pub(super) async fn written(
        &self,
        write: Pending<Result<(), AppendError>>,
    ) -> Result<(), ErrorReply> {
        let bound = self.waits.store;
        match tokio::time::timeout(bound, write).await {
            Ok(written) => written.map_err(append_refusal),
            Err(_elapsed) => {
                let message = format!("the store did not answer within {bound:?}");
                Err(ErrorReply::new(Code::OutcomeUnknown, message))
            }
        }
    }

    /// Refuses a user who is not in a conversation.
    pub(super) async fn must_be_in(
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

    /// Whether users write into a conversation only once a service has.
    pub(super) fn is_for_services_to_start(&self, conversation: &Conversation) -> bool {
        self.direct == Direct::Service && matches!(conversation, Conversation::Dm(..))
    }

    /// Refuses what a user would write into a conversation that is a service's to start, and that
    /// none has started.
    pub(super) async fn must_be_started(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), ErrorReply> {
        if !self.is_for_services_to_start(conversation) {
            return Ok(());
        }
        let started = self.answer(self.store.is_member(user, conversation)).await?;
        started.then_some(()).ok_or_else(no_such_conversation)
    }

    /// What a user is shown of a conversation. Refuses one who is not in it.
    pub(super) async fn visibility(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<Visibility, ErrorReply> {
        let Conversation::Room(room) = conversation else {
            return self.must_be_in(user, conversation).await.map(|()| Visibility::default());
        };
        let row = self.answer(self.store.room(room));
        let (membership, row) = tokio::try_join!(self.place_in(room, user), row)?;
        let row = row.ok_or_else(no_such_conversation)?;
        Ok(Visibility { hidden: hidden_upto(&row, &membership), membership: Some(membership) })
    }

    /// What was said of a user and a room, members or not.
    pub(super) async fn member_state(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<MemberState, ErrorReply> {
        let known = self.answer(self.store.membership(room, user)).await?;
        Ok(known.map_or(MemberState::UNKNOWN, |known| known.state))
    }

    /// Where a user stands with a room that he is in.
    pub(super) async fn place_in(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<Membership, ErrorReply> {
        let membership = self.answer(self.store.membership(room, user)).await?;
        membership.filter(Membership::is_inside).ok_or_else(no_such_conversation)
    }
}

/// The answer of a read, within a time. A read changes nothing, so none is `unavailable`.
pub(super) async fn within<T>(
    bound: Duration,
    read: Pending<Result<T, ReadError>>,
) -> Result<T, ErrorReply> {
    match tokio::time::timeout(bound, read).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ErrorReply::new(Code::Unavailable, error.to_string())),
        Err(_elapsed) => {
            let message = format!("the store did not answer within {bound:?}");
            Err(ErrorReply::new(Code::Unavailable, message))
        }
    }
}

/// What a write that is not acknowledged is to whoever asked for it.
pub(super) fn append_refusal(error: AppendError) -> ErrorReply {
    let code = match error {
        AppendError::Unavailable { .. } => Code::Unavailable,
        AppendError::OutcomeUnknown { .. } => Code::OutcomeUnknown,
    };
    ErrorReply::new(code, error.to_string())
}

/// Up to where a room's past is hidden from a member, if any of it is.
pub(super) fn hidden_upto(room: &Room, membership: &Membership) -> Option<MessageId> {
    (room.past == HistoryVisibility::Joined).then_some(membership.joined())
}

/// What is not there and what is not the caller's get the same answer.
pub(super) fn no_such_conversation() -> ErrorReply {
    ErrorReply::new(Code::NotFound, "no such conversation")
}
