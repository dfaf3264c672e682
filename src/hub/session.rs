//! One client connection as the hub knows it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::recovery_state::Buffering;
use super::subscriptions::{PatternBudget, PatternLimit, Subscriptions};
use super::{FifoGate, RecentNonces, RecoveryState, SessionId};
use crate::auth::Principal;
use crate::config::SessionBounds;
use crate::delivery::CopyKind;
use crate::domain::{MessageId, Pattern, RoutingKey, Subject, UserId};
use crate::protocol::CloseReason;
use crate::socket::{Link, OutboxItem};

/// Bytes of frames that may wait until a user's rooms are known. It holds as many sends of usual
/// size as may be in flight by default, and more than a client sends before its first answer.
pub const DEFERRED_BYTES_MAX: usize = 64 * 1024;

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
    Yes,
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
    link: Rc<Link>,
    bounds: SessionBounds,
    principal: RefCell<Rc<Principal>>,
    patterns: RefCell<Subscriptions>,
    id: Cell<Option<SessionId>>,
    touched: Cell<bool>,
    expiry_told: Cell<bool>,
    leaving: Cell<bool>,
    pinged: Cell<Instant>,
    sends: Cell<u32>,
    reads: Cell<u32>,
    awaited: Cell<u32>,
    /// Whether the rooms of its user are known.
    loaded: Cell<bool>,
    /// Frames that wait until they are known.
    deferred: RefCell<Vec<Box<str>>>,
    /// The task that reads for the session until the session shares the watermark.
    reader: RefCell<Option<AbortHandle>>,
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
            link,
            bounds,
            principal: RefCell::new(Rc::new(principal)),
            patterns: RefCell::new(Subscriptions::new(patterns)),
            id: Cell::default(),
            touched: Cell::default(),
            expiry_told: Cell::default(),
            leaving: Cell::default(),
            pinged: Cell::new(Instant::now()),
            sends: Cell::default(),
            reads: Cell::default(),
            awaited: Cell::default(),
            loaded: Cell::default(),
            deferred: RefCell::default(),
            reader: RefCell::default(),
        }
    }

    /// Returns the key of its user.
    pub fn key(&self) -> RoutingKey {
        RoutingKey::user(&self.user)
    }

    /// Returns its connection to the client.
    pub const fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// Returns its user and that user's rights.
    pub fn principal(&self) -> Rc<Principal> {
        Rc::clone(&self.principal.borrow())
    }

    /// Accepts a fresh token.
    pub fn renew(&self, principal: Principal) {
        self.expiry_told.set(false);
        *self.principal.borrow_mut() = Rc::new(principal);
    }

    /// Returns true once per token: the client is to be told that the token expires.
    pub fn tell_expiry(&self) -> bool {
        !self.expiry_told.replace(true)
    }

    /// Returns whether a ping is due, and records it as sent.
    pub fn ping_is_due(&self, now: Instant, interval: Duration) -> bool {
        let due = now.saturating_duration_since(self.pinged.get()) >= interval;
        if due {
            self.pinged.set(now);
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
    pub fn deliver_frame(&self, frame: Bytes, urgency: Priority) -> PushOutcome {
        if !self.link.is_open() {
            return PushOutcome::Closed;
        }
        let waiting = self.link.bytes() + frame.len();
        let tight = self.link.bytes() > 0 && self.link.share().is_tight();
        if urgency == Priority::Event && (waiting > self.bounds.outbox_bytes / 2 || tight) {
            return PushOutcome::Shed;
        }
        if self.link.push(OutboxItem::Text(frame)).is_ok() {
            return PushOutcome::Yes;
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
        match self.recovery.take_in(id, room, frame, self.bounds.outbox_bytes / 2) {
            Buffering::Hand(frame) => Some(self.deliver_frame(frame, Priority::Message)),
            Buffering::Kept => Some(PushOutcome::Yes),
            Buffering::Had => None,
        }
    }

    /// Closes the session, behind what is queued.
    pub fn close(&self, close: CloseReason) {
        self.link.close(close.frame());
    }

    /// Closes the session of a client that does not read, and frees what waited for it.
    pub fn evict(&self) {
        self.link.evict(CloseReason::SlowConsumer.frame());
    }

    pub(super) fn touch(&self) -> bool {
        !self.touched.replace(true)
    }

    /// Writes what is queued, as far as the socket accepts it.
    pub fn flush(&self) {
        self.touched.set(false);
        self.link.flush();
    }

    /// Records the task that reads for the session until the session shares the watermark.
    pub fn read_by<T>(&self, reader: &JoinHandle<T>) {
        *self.reader.borrow_mut() = Some(reader.abort_handle());
    }

    /// Returns whether a task reads for the session.
    pub fn is_read_for(&self) -> bool {
        self.reader.borrow().is_some()
    }

    /// Forgets the task, which is about to end: its memory is kept as long as the handle is.
    pub fn end_reading(&self) {
        self.reader.take();
    }

    /// Aborts the task, since the session is over.
    pub fn stop_reading(&self) {
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
    }

    /// Takes a permit for a send in flight. Returns whether one was free.
    pub fn begin_send(&self) -> bool {
        begin(&self.sends, self.bounds.sends_in_flight)
    }

    /// Accepts no more sends: the session is to be closed once its sends are answered.
    pub fn take_no_sends(&self) {
        self.leaving.set(true);
    }

    /// Returns whether no more sends are accepted.
    pub const fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Returns whether a send waits for its answer.
    pub const fn is_sending(&self) -> bool {
        self.sends.get() > 0
    }

    /// Gives the permit back.
    pub fn end_send(&self) {
        self.sends.set(self.sends.get() - 1);
    }

    /// Takes a permit for a read in flight. Returns whether one was free.
    pub(super) fn begin_read(&self) -> bool {
        begin(&self.reads, self.bounds.reads_in_flight)
    }

    /// Gives the permit back.
    pub(super) fn end_read(&self) {
        self.reads.set(self.reads.get() - 1);
    }

    /// Returns how many patterns of subscribes wait for their confirmation.
    pub const fn awaited(&self) -> usize {
        self.awaited.get() as usize
    }

    /// Records that a subscribe to this number of patterns waits.
    pub fn begin_wait(&self, patterns: usize) {
        self.awaited.set(self.awaited.get() + patterns as u32);
    }

    /// Records that it no longer waits.
    pub fn end_wait(&self, patterns: usize) {
        self.awaited.set(self.awaited.get() - patterns as u32);
    }

    /// Returns whether the rooms of its user are known.
    pub const fn is_loaded(&self) -> bool {
        self.loaded.get()
    }

    /// Records that the rooms of its user are known.
    pub fn load(&self) {
        self.loaded.set(true);
    }

    /// Keeps a frame until the rooms of its user are known. Returns false if it does not fit.
    pub(super) fn defer(&self, text: &str) -> bool {
        let mut waiting = self.deferred.borrow_mut();
        let bytes: usize = waiting.iter().map(|text| text.len()).sum();
        let fits = bytes + text.len() <= DEFERRED_BYTES_MAX;
        if fits {
            waiting.push(text.into());
        }
        fits
    }

    /// Takes the deferred frames, in their order.
    pub(super) fn take_deferred(&self) -> Vec<Box<str>> {
        self.deferred.take()
    }

    /// Returns the session's bounds.
    pub const fn bounds(&self) -> &SessionBounds {
        &self.bounds
    }
}

fn begin(count: &Cell<u32>, max: usize) -> bool {
    let free = (count.get() as usize) < max;
    count.set(count.get() + u32::from(free));
    free
}
