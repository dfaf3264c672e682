//! What an HTTP request asks of a worker.

use std::rc::Rc;

use bytes::Bytes;

use super::{Caller, Router};
use crate::domain::{Conversation, MessageId, UserId};
use crate::protocol::{MessageText, Refusal, Side};
use crate::store::Page;

/// A message to be sent for somebody.
#[derive(Debug)]
pub struct SendOrder {
    /// Who sends it.
    pub from: UserId,
    /// Where to.
    pub conversation: Conversation,
    /// Any JSON value, as text.
    pub body: Bytes,
    /// The sender's mark against repeats.
    pub nonce: Option<Box<str>>,
    /// Whether the nonce may have been used for the same message before.
    pub retry: bool,
    /// The newest id that the sender has seen.
    pub after: Option<MessageId>,
}

/// One conversation of an inbox.
#[derive(Debug)]
pub struct InboxEntry {
    /// Which one.
    pub conversation: Conversation,
    /// A room's title.
    pub title: Option<Box<str>>,
    /// Its newest message.
    pub last: Option<MessageText>,
    /// Up to where it is read.
    pub read: Option<MessageId>,
}

/// A page of an inbox.
#[derive(Debug)]
pub struct InboxPage {
    /// The conversations, the recently active first.
    pub entries: Vec<InboxEntry>,
    /// What to ask for the next page with.
    pub next: Option<String>,
}

impl Router {
    /// Sends a message for somebody.
    pub async fn send_for(self: Rc<Self>, _order: SendOrder) -> Result<MessageText, Refusal> {
        todo!()
    }

    /// Reads a page of a conversation.
    pub async fn history_for(
        self: Rc<Self>,
        _caller: Caller,
        _conversation: Conversation,
        _side: Side,
        _limit: usize,
    ) -> Result<Page, Refusal> {
        todo!()
    }

    /// Reads a page of a user's inbox.
    pub async fn inbox_for(
        self: Rc<Self>,
        _user: UserId,
        _next: Option<String>,
        _limit: usize,
    ) -> Result<InboxPage, Refusal> {
        todo!()
    }
}
