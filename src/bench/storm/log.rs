//! What the clients of a storm saw.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::bench::latency::LatencyRecorder;
use crate::client::{ResumeSeen, SendOutcomeSeen};

/// Different reasons of refusals that are told apart; further ones count as `other`.
const REASONS_MAX: usize = 32;

/// Where a session is when the fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// On the node that is struck.
    Struck,
    /// On another node, which must not end it.
    Surviving,
    /// With the load itself, on the only node.
    Apart,
}

/// A session.
#[derive(Debug, Clone)]
pub(super) struct SessionFacts {
    pub(super) role: Role,
    /// Whether it has a cursor of its present connection.
    pub(super) has_cursor: bool,
    /// When it was first lost after the fault.
    pub(super) lost_at: Option<Instant>,
    /// When it last got the first cursor of a connection after that.
    pub(super) back_at: Option<Instant>,
    /// Why its cursor was not resumed from.
    pub(super) not_resumed: Option<String>,
}

/// A message.
#[derive(Debug, Clone)]
pub(super) struct MessageFacts {
    pub(super) intended: Instant,
    /// The session that it is for.
    to: usize,
    /// Whether it is from one bystander to the other.
    pub(super) is_probe: bool,
    pub(super) outcome: Option<SendOutcomeSeen>,
    /// How often the session that it is for was shown it.
    pub(super) arrivals: u32,
    /// From the intended time to the first of them.
    pub(super) latency: Option<Duration>,
}

/// What the clients saw.
#[derive(Debug)]
pub(super) struct StormLog {
    pub(super) sessions: Vec<SessionFacts>,
    pub(super) messages: Vec<MessageFacts>,
    pub(super) fault_at: Option<Instant>,
    /// Connections tried since the fault.
    pub(super) connects: u64,
    /// Those that became no session, by reason.
    pub(super) refusals: BTreeMap<String, u64>,
    /// Sessions of surviving nodes that were lost.
    pub(super) closed: u64,
    /// Messages that came to a session that they are not for.
    pub(super) stray: u64,
    /// Messages that were shown in place of an earlier try of the same send.
    pub(super) replaced: u64,
    pub(super) send_lag: LatencyRecorder,
}

impl StormLog {
    pub(super) fn new(roles: impl IntoIterator<Item = Role>) -> Self {
        let session = |role| SessionFacts {
            role,
            has_cursor: false,
            lost_at: None,
            back_at: None,
            not_resumed: None,
        };
        Self {
            sessions: roles.into_iter().map(session).collect(),
            messages: Vec::new(),
            fault_at: None,
            connects: 0,
            refusals: BTreeMap::new(),
            closed: 0,
            stray: 0,
            replaced: 0,
            send_lag: LatencyRecorder::new(),
        }
    }

    /// Notes the fault: what is counted of connections begins here.
    pub(super) fn fault(&mut self, now: Instant) {
        self.fault_at = Some(now);
        (self.connects, self.closed) = (0, 0);
        self.refusals.clear();
    }

    pub(super) const fn connected(&mut self) {
        self.connects += 1;
    }

    pub(super) fn refused(&mut self, why: &str) {
        self.connects += 1;
        let is_known = self.refusals.contains_key(why) || self.refusals.len() < REASONS_MAX;
        let why = if is_known { why } else { "other" };
        *self.refusals.entry(why.to_owned()).or_default() += 1;
    }

    pub(super) fn lost(&mut self, session: usize, now: Instant) {
        let facts = &mut self.sessions[session];
        facts.has_cursor = false;
        if self.fault_at.is_some() {
            facts.lost_at.get_or_insert(now);
        }
        self.closed += u64::from(facts.role == Role::Surviving);
    }

    pub(super) fn cursor(&mut self, session: usize, resume: Option<ResumeSeen>, now: Instant) {
        let facts = &mut self.sessions[session];
        if !facts.has_cursor && facts.lost_at.is_some() {
            facts.back_at = Some(now);
        }
        facts.has_cursor = true;
        if facts.lost_at.is_some()
            && let Some(ResumeSeen { resumed: false, reason, .. }) = resume
        {
            facts.not_resumed = Some(reason.unwrap_or_else(|| "unknown".into()));
        }
    }

    /// Notes a send, and returns the number by which its message is known.
    pub(super) fn sending(&mut self, to: usize, is_probe: bool, intended: Instant) -> usize {
        self.send_lag.record(intended.elapsed());
        let (outcome, arrivals, latency) = (None, 0, None);
        self.messages.push(MessageFacts { intended, to, is_probe, outcome, arrivals, latency });
        self.messages.len() - 1
    }

    pub(super) fn answered(&mut self, message: usize, outcome: SendOutcomeSeen) {
        self.messages[message].outcome = Some(outcome);
    }

    /// Notes a message that was shown; `replaces` if it is another try of one that was shown.
    pub(super) fn arrived(&mut self, session: usize, message: u64, replaces: bool, now: Instant) {
        let facts = usize::try_from(message).ok().and_then(|index| self.messages.get_mut(index));
        match facts {
            Some(facts) if facts.to == session && replaces => self.replaced += 1,
            Some(facts) if facts.to == session => {
                facts.arrivals += 1;
                let latency = now.saturating_duration_since(facts.intended);
                facts.latency.get_or_insert(latency);
            }
            _ => self.stray += 1,
        }
    }

    /// Sessions that have no cursor now.
    pub(super) fn without_cursor(&self) -> usize {
        self.sessions.iter().filter(|session| !session.has_cursor).count()
    }

    /// Struck sessions that are not back: most of a node that drains are there for a while.
    pub(super) fn away(&self) -> usize {
        let struck = self.sessions.iter().filter(|session| session.role == Role::Struck);
        struck.filter(|session| !session.is_back()).count()
    }

    /// Acknowledged messages that were not shown.
    pub(super) fn lost_messages(&self) -> usize {
        self.messages.iter().filter(|message| message.is_acked() && message.arrivals == 0).count()
    }

    /// Sends without an answer, and acknowledged messages that were not shown.
    pub(super) fn unsettled(&self) -> usize {
        let unanswered = self.messages.iter().filter(|message| message.outcome.is_none()).count();
        unanswered + self.lost_messages()
    }
}

impl SessionFacts {
    /// Whether it was lost and has a cursor again.
    pub(super) const fn is_back(&self) -> bool {
        self.has_cursor && self.back_at.is_some()
    }
}

impl MessageFacts {
    pub(super) const fn is_acked(&self) -> bool {
        matches!(self.outcome, Some(SendOutcomeSeen::Sent { .. }))
    }
}
