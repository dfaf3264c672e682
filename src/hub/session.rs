//! One client connection as the hub knows it.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::held_frames::HeldFrames;
use super::op_permits::OpsInFlight;
use super::recovery_state::Buffering;
use super::subscriptions::{PatternBudget, PatternLimit, Subscriptions};
use super::{FifoGate, RecentNonces, RecoveryState, SessionId};
use crate::auth::Principal;
use crate::config::SessionBounds;
use crate::delivery::CopyKind;
use crate::domain::{MessageId, Pattern, RoutingKey, Subject, UserId};
use crate::protocol::CloseReason;
use crate::socket::{Link, OutboxItem};
use crate::telemetry::ClientPermit;

/// How a frame is treated if its client is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// It must not be lost silently: a full outbox closes the session, which then resumes.
    Message,
    /// It is shed first.
    Event,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOutcome {
    /// It is queued.
    Queued,
    /// It was shed, and is to be counted.
    Shed,
    /// It did not fit: it closed the session, and that is to be counted.
    Evicted,
    /// The session is being closed already.
    Closed,
}

/// A session: its user, its patterns, and its connection.
#[derive(Debug)]
pub struct Session {
    /// Its number, unique on its node.
    pub number: u64,
    /// Its user.
    pub user: UserId,
    /// The client's name of its device.
    pub device: Option<Box<str>>,
    /// Which messages it has got.
    pub recovery: RecoveryState,
    /// The order of its sends until they have ids.
    pub fifo_gate: FifoGate,
    /// The nonces of its last sends.
    pub nonces: RecentNonces,
    pub(super) ops: OpsInFlight,
    pub(super) held: HeldFrames,
    connection: SessionConnection,
    token: SessionToken,
    patterns: RefCell<Subscriptions>,
    id: Cell<Option<SessionId>>,
}

/// What a session writes to.
#[derive(Debug)]
struct SessionConnection {
    link: Rc<Link>,
    outbox_bytes: usize,
    /// When it was pinged last.
    pinged: Cell<Instant>,
    /// Whether it is to be flushed.
    touched: Cell<bool>,
    /// Counts it by its client's program.
    counted: OnceCell<ClientPermit>,
}

/// What the last token of a session said.
#[derive(Debug)]
struct SessionToken {
    principal: RefCell<Rc<Principal>>,
    /// Whether the client was told that it expires.
    expiry_told: Cell<bool>,
}

impl Session {
    /// Creates a session that is not in a hub yet.
    pub fn new(
        number: u64,
        principal: Principal,
        device: Option<Box<str>>,
        link: Rc<Link>,
        bounds: SessionBounds,
        patterns: Arc<PatternBudget>,
    ) -> Self {
        Self {
            number,
            user: principal.user.clone(),
            device,
            recovery: RecoveryState::default(),
            fifo_gate: FifoGate::default(),
            nonces: RecentNonces::default(),
            ops: OpsInFlight::new(bounds),
            held: HeldFrames::default(),
            connection: SessionConnection {
                link,
                outbox_bytes: bounds.outbox_bytes,
                pinged: Cell::new(Instant::now()),
                touched: Cell::default(),
                counted: OnceCell::default(),
            },
            token: SessionToken {
                principal: RefCell::new(Rc::new(principal)),
                expiry_told: Cell::default(),
            },
            patterns: RefCell::new(Subscriptions::new(patterns)),
            id: Cell::default(),
        }
    }

    /// Counts it by its client's program, until it ends.
    pub fn count_as(&self, permit: ClientPermit) {
        let _first = self.connection.counted.set(permit);
    }

    /// Returns the key of its user.
    pub fn key(&self) -> RoutingKey {
        RoutingKey::user(&self.user)
    }

    /// Returns its connection to the client.
    pub const fn link(&self) -> &Rc<Link> {
        &self.connection.link
    }

    /// Returns its user and that user's rights.
    pub fn principal(&self) -> Rc<Principal> {
        Rc::clone(&self.token.principal.borrow())
    }

    /// Accepts a fresh token.
    pub fn renew(&self, principal: Principal) {
        self.token.expiry_told.set(false);
        *self.token.principal.borrow_mut() = Rc::new(principal);
    }

    /// Returns true once per token: the client is to be told that the token expires.
    pub fn tell_expiry(&self) -> bool {
        !self.token.expiry_told.replace(true)
    }

    /// Returns whether a ping is due, and records it as sent.
    pub fn ping_is_due(&self, now: Instant, interval: Duration) -> bool {
        let due = now.saturating_duration_since(self.connection.pinged.get()) >= interval;
        if due {
            self.connection.pinged.set(now);
        }
        due
    }

    /// Returns its slot in the hub, once it has one.
    pub const fn id(&self) -> Option<SessionId> {
        self.id.get()
    }

    pub(super) fn place(&self, id: SessionId) {
        self.id.set(Some(id));
    }

    /// Gives up its slot: tasks that still work for this session must not reach the slot's next
    /// session.
    pub(super) fn displace(&self) -> Option<SessionId> {
        self.id.take()
    }

    /// Adds patterns, all or none. Returns the new ones.
    pub(super) fn add_patterns(&self, patterns: &[Pattern]) -> Result<Vec<Pattern>, PatternLimit> {
        self.patterns.borrow_mut().add(patterns)
    }

    /// Removes patterns. Returns those that the session had.
    pub(super) fn remove_patterns(&self, patterns: &[Pattern]) -> Vec<Pattern> {
        self.patterns.borrow_mut().remove(patterns)
    }

    pub(super) fn take_patterns(&self) -> Vec<Pattern> {
        self.patterns.borrow_mut().take()
    }

    /// Returns whether one of its patterns matches and is served by such a copy of an event.
    pub(super) fn hears(&self, subject: &Subject, via: CopyKind) -> bool {
        self.patterns.borrow().hears(subject, via)
    }

    /// Makes a request answer for these patterns, and returns its number. The newest request
    /// decides what becomes of a pattern that none has confirmed.
    pub fn claim(&self, patterns: &[Pattern]) -> u32 {
        self.patterns.borrow_mut().claim(patterns)
    }

    /// Records that a request was answered `ok`: no other request may take its patterns back.
    pub fn confirm(&self, patterns: &[Pattern]) {
        self.patterns.borrow_mut().confirm(patterns);
    }

    /// Returns the patterns that a failed request must take back: those that no request has
    /// confirmed and no later one has claimed.
    pub fn unconfirmed(&self, claim: u32) -> Vec<Pattern> {
        self.patterns.borrow().unconfirmed(claim)
    }

    /// Returns which of these patterns the session does not have yet, each once.
    pub fn lacking(&self, patterns: &[Pattern]) -> Vec<Pattern> {
        self.patterns.borrow().lacking(patterns)
    }

    /// Returns the session's patterns that satisfy a condition.
    pub fn patterns(&self, is_wanted: impl Fn(&Pattern) -> bool) -> Vec<Pattern> {
        self.patterns.borrow().iter().filter(|it| is_wanted(it)).cloned().collect()
    }

    /// Returns how many patterns the session has.
    pub fn pattern_count(&self) -> usize {
        self.patterns.borrow().len()
    }

    /// Queues a frame. Events are shed once the session or the node has used half of its bound, so
    /// that the other half is left for messages. A message that does not fit closes the session.
    pub fn deliver_frame(&self, frame: Bytes, priority: Priority) -> PushOutcome {
        if !self.connection.link.is_open() {
            return PushOutcome::Closed;
        }
        let waiting = self.connection.link.bytes() + frame.len();
        let tight = self.connection.link.bytes() > 0 && self.connection.link.share().is_tight();
        if priority == Priority::Event && (waiting > self.connection.outbox_bytes / 2 || tight) {
            return PushOutcome::Shed;
        }
        if self.connection.link.push(OutboxItem::Text(frame)).is_ok() {
            return PushOutcome::Queued;
        }
        self.evict();
        PushOutcome::Evicted
    }

    /// Delivers a live message, unless a catch-up buffers it or the session has it already.
    pub(super) fn deliver_message(
        &self,
        id: MessageId,
        room: Option<&str>,
        frame: &Bytes,
    ) -> Option<PushOutcome> {
        match self.recovery.take_in(id, room, frame, self.connection.outbox_bytes / 2) {
            Buffering::Hand(frame) => Some(self.deliver_frame(frame, Priority::Message)),
            Buffering::Kept => Some(PushOutcome::Queued),
            Buffering::Had => None,
        }
    }

    /// Closes the session, behind what is queued.
    pub fn close(&self, close: CloseReason) {
        self.connection.link.close(close.frame());
    }

    /// Closes the session of a client that does not read, and frees what waited for it.
    pub fn evict(&self) {
        self.connection.link.evict(CloseReason::SlowConsumer.frame());
    }

    pub(super) fn touch(&self) -> bool {
        !self.connection.touched.replace(true)
    }

    /// Writes what is queued, as far as the socket accepts it.
    pub fn flush(&self) {
        self.connection.touched.set(false);
        self.connection.link.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Safeguards;

    /// The safeguards can be switched off in tests alone, and take no space elsewhere.
    #[test]
    fn a_session_is_small() {
        let size = size_of::<Session>() - size_of::<Safeguards>();
        assert!(size <= 360, "{size}");
    }
}
