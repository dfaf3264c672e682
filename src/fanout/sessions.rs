//! The sessions of a worker, and what is queued and written for them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::domain::{Conversation, Membership, MessageId, RoomId, RoutingKey, UserId};
use crate::hub::{Delivered, Hub, Priority, PushOutcome, Session};
use crate::protocol::{CloseReason, ConversationRef, ErrorReply, RequestId, ServerFrame};
use crate::services::{Services, Visibility, no_such_conversation};
use crate::socket::WorkerShare;
use crate::watermark::UserRooms;

use super::SLICE;

/// The sessions of a worker, and what is queued and written for them.
#[derive(Debug)]
pub struct Sessions {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// The worker's index.
    pub worker: u32,
    /// The worker's sessions.
    pub hub: RefCell<Hub>,
    /// Requests [`Sessions::flush`]; other workers request it too, through this worker's share.
    pub flush_wanted: Arc<Notify>,
    /// The worker's share of the bytes that may wait for all clients of the node together.
    pub share: Rc<WorkerShare>,
}

impl Sessions {
    /// Queues a reply.
    pub fn reply(&self, session: &Rc<Session>, frame: &ServerFrame<'_>) {
        self.reply_text(session, frame.text());
    }

    /// Queues a reply that is text already.
    pub fn reply_text(&self, session: &Rc<Session>, text: Bytes) {
        if session.deliver_frame(text, Priority::Message) == PushOutcome::Evicted {
            self.services.metrics.sessions.closes(CloseReason::SlowConsumer.code());
        }
        self.hub.borrow_mut().touch(session);
        self.flush_wanted.notify_one();
    }

    /// Queues `ok`, if the request has an id.
    pub fn ok(&self, session: &Rc<Session>, id: Option<&RequestId>) {
        if let Some(id) = id {
            self.reply(session, &ServerFrame::Ok { id });
        }
    }

    /// Queues an error.
    pub fn refuse(&self, session: &Rc<Session>, id: Option<&RequestId>, refusal: &ErrorReply) {
        self.reply(session, &refusal.frame(id));
    }

    /// Counts what a step of deliveries did.
    pub fn count(&self, delivered: Delivered) {
        self.services.metrics.sessions.deliveries.inc_by(delivered.handed);
        self.services.metrics.sessions.shed_events.inc_by(delivered.shed);
        for _ in 0..delivered.evicted {
            self.services.metrics.sessions.closes(CloseReason::SlowConsumer.code());
        }
    }

    /// Writes what is queued, one write per session with queued frames. If there are very many, the
    /// rest is written in a later turn.
    pub fn flush(&self) {
        let (touched, more) = self.hub.borrow_mut().take_touched(SLICE);
        touched.iter().for_each(|session| session.flush());
        if more {
            self.flush_wanted.notify_one();
        }
        if self.share.is_over() {
            self.evict_fullest();
        }
        if !touched.is_empty() {
            // The bytes queued here may exceed the node's budget while most bytes wait on another
            // worker, which may have nothing to write.
            self.share.call_others();
        }
    }

    /// Evicts sessions when the node's clients together exceed their budget and this worker exceeds
    /// its share. Sessions with the most waiting bytes go first, until the worker is within its
    /// share.
    fn evict_fullest(&self) {
        let mut waiting: Vec<Rc<Session>> = self.hub.borrow().sessions().cloned().collect();
        waiting
            .retain(|session| session.link().is_open() && session.link().blocked_since().is_some());
        waiting.sort_by_cached_key(|session| session.link().bytes());
        while let Some(fullest) = waiting.pop() {
            let _turn = self.share.turn();
            if !self.share.is_over() {
                break;
            }
            self.services.metrics.sessions.closes(CloseReason::SlowConsumer.code());
            fullest.evict();
        }
    }

    /// Returns the conversation that a session names, if its user is in it. A conversation that
    /// does not exist and one that the user is not in get the same answer.
    pub fn conversation_of(
        &self,
        session: &Session,
        named: &ConversationRef<'_>,
    ) -> Result<Conversation, ErrorReply> {
        let conversation = named.resolve(&session.user)?;
        let inside = match &conversation {
            Conversation::Dm(..) => conversation.is_direct_of(&session.user),
            Conversation::Room(room) => self.hub.borrow().is_inside(&session.user, room),
        };
        if inside { Ok(conversation) } else { Err(no_such_conversation()) }
    }

    /// Checks the membership again after a read, in the step that answers. Refuses the read if this
    /// worker has received the user's removal meanwhile: nothing of the room may follow the `left`.
    /// Returns up to which id all is hidden from the user.
    pub fn still_hidden(&self, visibility: &Visibility) -> Result<Option<MessageId>, ErrorReply> {
        let Some(seen) = &visibility.membership else { return Ok(None) };
        let joined = self.still_inside(seen)?;
        Ok(visibility.hidden.map(|_| joined))
    }

    /// Returns when a member joined, by a read that showed the user inside and by what is known
    /// now. Refuses a user whose removal is newer than that read.
    pub fn still_inside(&self, seen: &Membership) -> Result<MessageId, ErrorReply> {
        let hub = self.hub.borrow();
        let known = hub.user_rooms(&seen.user).and_then(|rooms| rooms.get(seen.room.as_str()));
        let state = known.map_or(seen.state, |known| seen.state.merge(known.state));
        if state.is_inside() { Ok(state.joined()) } else { Err(no_such_conversation()) }
    }

    /// Returns the rooms that a session's user is in, each with the stamp of the joining.
    pub fn rooms_of(&self, session: &Session) -> Vec<(RoomId, MessageId)> {
        let hub = self.hub.borrow();
        let rooms = hub.user_rooms(&session.user).into_iter().flat_map(UserRooms::inside);
        rooms.map(|known| (known.room.clone(), known.joined())).collect()
    }

    /// Returns the keys that a user's sessions need: the user's own, and those of the user's rooms.
    pub fn keys_of(&self, user: &UserId) -> Vec<RoutingKey> {
        let hub = self.hub.borrow();
        let rooms = hub.user_rooms(user).into_iter().flat_map(UserRooms::inside);
        let rooms = rooms.map(|known| RoutingKey::room(&known.room));
        std::iter::once(RoutingKey::user(user)).chain(rooms).collect()
    }
}
