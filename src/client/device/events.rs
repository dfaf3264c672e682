//! What an application gets from its device.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::MessageId;

/// Where a session ended, for the next one to go on from: opaque, made by a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Cursor(Box<str>);

impl Cursor {
    /// Makes a cursor of text that was kept.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text to keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The mark of a send: it is one send under it, however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Nonce(Box<str>);

impl Nonce {
    /// Makes a mark of text that was kept.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The outcome of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcomeSeen {
    /// It is stored.
    Sent {
        /// The message's id.
        id: MessageId,
    },
    /// It may be stored, and may still appear.
    Unknown,
    /// It is not stored.
    Refused {
        /// Why, for programs.
        code: String,
        /// Why, for humans.
        message: String,
    },
}

/// What a resume brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeSeen {
    /// Whether every missed message was shown, but for the gaps. Otherwise anything may be missing.
    pub resumed: bool,
    /// Why it was not resumed.
    pub reason: Option<String>,
    /// Where messages are missing.
    pub gaps: Vec<GapSeen>,
    /// What has to be loaded: `inbox`, `history`.
    pub reload: Vec<String>,
}

/// Messages of a conversation that were not shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GapSeen {
    /// The conversation.
    pub conversation: String,
    /// Nothing is missing up to this id.
    pub after: String,
    /// Nothing is missing from this id on; none if all above `after` is missing.
    pub before: Option<String>,
}

/// What an application sees.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A session has begun, the first one or a further one.
    Connected {
        /// The node that holds it.
        node: String,
    },
    /// An attempt to connect failed, or ended before it was a session. The device tries again.
    Refused {
        /// Why.
        why: String,
    },
    /// The session is over; the device is about to reconnect.
    Lost {
        /// Why.
        why: String,
    },
    /// A message, shown once.
    Message {
        /// Its id, which is its place in the order.
        id: MessageId,
        /// The id under which the same send was shown before: the message moves. Of a send that
        /// became several messages the largest id counts.
        replaces: Option<MessageId>,
        /// What it belongs to.
        conversation: String,
        /// Who sent it; empty if no user did.
        from: String,
        /// What all tries of one send share, if its sender gave it a mark.
        dedup: Option<Box<str>>,
        /// Any JSON value.
        body: Value,
    },
    /// Everything up to here has been shown, except what a resume names.
    Cursor {
        /// What the resume before it brought; none for a session that goes on.
        resume: Option<ResumeSeen>,
    },
    /// An event or news, as the protocol has them.
    Event(Value),
    /// The outcome of a send.
    Answered {
        /// Its mark.
        nonce: Nonce,
        /// The outcome.
        outcome: SendOutcomeSeen,
    },
}
