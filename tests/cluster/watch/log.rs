//! What clients saw, in the order in which they saw it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use narrowcast::client::{Cursor, Nonce, ResumeSeen};
use narrowcast::domain::MessageId;
use parking_lot::Mutex;
use serde_json::Value;

/// A device, by its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub usize);

/// What a node says of what a client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub complete: bool,
    pub gaps: Vec<String>,
}

impl Claim {
    /// The claim of a `cursor` frame. A session without a cursor is owed nothing from before.
    pub fn of(resume: Option<ResumeSeen>) -> Self {
        let Some(resume) = resume else { return Self { complete: true, gaps: Vec::new() } };
        let complete = resume.resumed || resume.reason.as_deref() == Some("no_cursor");
        Self { complete, gaps: resume.gaps.into_iter().map(|gap| gap.conversation).collect() }
    }

    /// Whether it says that messages of a conversation may be missing.
    pub fn excuses(&self, conversation: &str) -> bool {
        let anything = !self.complete && self.gaps.is_empty();
        anything || self.gaps.iter().any(|gap| gap == conversation)
    }
}

/// Something that happened at a device.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    Connected,
    Lost,
    /// The node does not want it back.
    Ended {
        why: String,
    },
    Sending {
        nonce: Nonce,
        conversation: String,
        body: Value,
    },
    Acked {
        nonce: Nonce,
        id: MessageId,
    },
    Unknown,
    Refused {
        nonce: Nonce,
        code: String,
    },
    Saw {
        id: MessageId,
        conversation: String,
        from: String,
        dedup: Option<Box<str>>,
        body: Value,
    },
    Held {
        cursor: Option<Cursor>,
        claim: Claim,
    },
}

/// A line of the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// Since the log was begun.
    pub at: Duration,
    pub device: DeviceId,
    pub fact: Fact,
}

/// What a node returned to somebody who came with a cursor that a device had held.
#[derive(Debug, Clone)]
pub struct Return {
    pub device: DeviceId,
    /// The line in which it held it.
    pub held: usize,
    pub claim: Claim,
    pub ids: BTreeSet<MessageId>,
}

/// What clients saw.
#[derive(Debug)]
pub struct Log {
    began: Instant,
    /// Whose the devices are.
    pub users: Vec<String>,
    pub lines: Vec<Line>,
    pub returns: Vec<Return>,
    /// When the last fault ended.
    pub healed: Option<Duration>,
    /// Repeats that devices kept from their applications.
    pub repeats: u64,
    sending: usize,
    acked: usize,
}

/// The log that all devices write to.
pub type SharedLog = Arc<Mutex<Log>>;

impl Log {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            users: Vec::new(),
            lines: Vec::new(),
            returns: Vec::new(),
            healed: None,
            repeats: 0,
            sending: 0,
            acked: 0,
        }
    }

    pub fn add_device(&mut self, user: &str) -> DeviceId {
        self.users.push(user.to_owned());
        DeviceId(self.users.len() - 1)
    }

    pub fn note(&mut self, device: DeviceId, fact: Fact) {
        self.note_at(self.began.elapsed(), device, fact);
    }

    pub fn note_at(&mut self, at: Duration, device: DeviceId, fact: Fact) {
        match fact {
            Fact::Sending { .. } => self.sending += 1,
            Fact::Acked { .. } => {
                self.sending -= 1;
                self.acked += 1;
            }
            Fact::Unknown | Fact::Refused { .. } => self.sending -= 1,
            _ => {}
        }
        self.lines.push(Line { at, device, fact });
    }

    /// The fault that there was is over.
    pub fn note_healed(&mut self) {
        self.healed = Some(self.began.elapsed());
    }

    /// Sends that were acknowledged so far.
    pub fn acked(&self) -> usize {
        self.acked
    }

    /// Sends without an outcome.
    pub fn unanswered(&self) -> usize {
        self.sending
    }

    /// Devices that hold their first cursor, or were told that there is none.
    pub fn greeted(&self) -> usize {
        let held = self.lines.iter().filter(|line| matches!(line.fact, Fact::Held { .. }));
        held.map(|line| line.device).collect::<BTreeSet<_>>().len()
    }
}
