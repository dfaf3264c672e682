//! A message to send.

use std::rc::Rc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::domain::{Conversation, Message, MessageId, UserId};
use crate::hub::Session;

/// A message to send.
#[derive(Debug)]
pub struct SendOrder {
    /// The sender.
    pub from: UserId,
    /// The conversation to send to.
    pub conversation: Conversation,
    /// Any JSON value, as text.
    pub body: Bytes,
    /// Identifies repeats of this send.
    pub nonce: Option<Box<str>>,
    /// Whether it is known to be the first try with its nonce.
    pub fresh: bool,
    /// The newest id that the sender has seen.
    pub seen: Option<MessageId>,
    /// Whether a service sends in the sender's name. It may start conversations that users may not.
    pub by_service: bool,
}

impl SendOrder {
    /// Returns the message that this becomes under an id.
    pub(super) fn message(&self, id: MessageId) -> Message {
        Message {
            id,
            conversation: self.conversation.clone(),
            from: self.from.clone(),
            nonce: self.nonce.clone(),
            body: self.body.clone(),
        }
    }
}

/// A send and its session, if it has one.
#[derive(Debug)]
pub struct Sending {
    /// What is sent.
    pub order: SendOrder,
    /// The session that sends, and until when the send may wait for its user's rate.
    pub session: Option<(Rc<Session>, Instant)>,
}

impl Sending {
    /// Returns the session that sends.
    pub(super) fn session(&self) -> Option<&Rc<Session>> {
        self.session.as_ref().map(|(session, _)| session)
    }
}
