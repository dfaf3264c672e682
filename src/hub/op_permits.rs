//! Permits for ops that wait for their answer, and for subscribes. What a permit counts is given back
//! when it is dropped.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Hub, Lane, Session};
use crate::config::SessionBounds;

/// The most unanswered reads of all sessions of one user on a worker. It is the most that
/// `limits.reads_in_flight` can allow one session.
pub const USER_READS_MAX: usize = 64;

/// The unanswered ops of a session.
pub(super) struct OpsInFlight {
    lanes: [Cell<u32>; Lane::ALL.len()],
    /// The bound of the writes, and of the marks.
    writes_max: u32,
    reads_max: u32,
    /// Patterns of subscribes that wait for their confirmation.
    awaited: Cell<u32>,
    intake: Cell<SendIntake>,
}

/// Whether sends are accepted.
#[derive(Default)]
enum SendIntake {
    #[default]
    Open,
    /// They are, and one waits for its user's rate. It is notified when that ends.
    Waiting(Rc<Notify>),
    /// No more sends are accepted.
    Closed,
}

impl fmt::Debug for OpsInFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpsInFlight").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

impl OpsInFlight {
    pub(super) fn new(bounds: SessionBounds) -> Self {
        Self {
            lanes: Default::default(),
            writes_max: bounds.sends_in_flight as u32,
            reads_max: bounds.reads_in_flight as u32,
            awaited: Cell::new(0),
            intake: Cell::default(),
        }
    }

    const fn max(&self, lane: Lane) -> u32 {
        match lane {
            Lane::Writes | Lane::Marks => self.writes_max,
            Lane::Reads => self.reads_max,
        }
    }

    const fn count(&self, lane: Lane) -> &Cell<u32> {
        &self.lanes[lane as usize]
    }
}

fn add(count: &Cell<u32>, more: u32) {
    count.set(count.get() + more);
}

fn subtract(count: &Cell<u32>, less: u32) {
    count.set(count.get() - less);
}

/// Patterns of one subscribe that wait for their confirmation.
#[derive(Debug)]
pub struct PatternWait {
    session: Rc<Session>,
    patterns: u32,
}

/// Permission for one op. When it is dropped, the next frame that is held back may start.
#[derive(Debug)]
pub struct OpPermit {
    session: Rc<Session>,
    lane: Lane,
    /// The unanswered reads of its user, if it is one.
    of_user: Option<Rc<Cell<usize>>>,
}

/// The bound that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpLimit {
    /// The bound of the session.
    Session,
    /// The bound of all sessions of its user.
    User(usize),
}

impl Session {
    /// Returns how many ops of a lane wait for their answer.
    pub const fn in_flight(&self, lane: Lane) -> usize {
        self.ops.count(lane).get() as usize
    }

    /// Returns whether a send or a mark waits for its answer, or is held back.
    pub fn is_sending(&self) -> bool {
        [Lane::Writes, Lane::Marks]
            .iter()
            .any(|lane| self.in_flight(*lane) > 0 || self.is_holding(*lane))
    }

    /// Accepts no more sends: the session is to be closed once its sends are answered. Those that
    /// are held back or wait for their user's rate are refused.
    pub fn take_no_sends(&self) {
        if let SendIntake::Waiting(send) = self.ops.intake.replace(SendIntake::Closed) {
            send.notify_one();
        }
        self.wake_held();
    }

    /// Waits for a time, or until no more sends are accepted. One send of a session waits so at a
    /// time.
    pub async fn wait_unless_leaving(&self, wait: Duration) {
        if self.is_leaving() {
            return;
        }
        let leaves = Rc::<Notify>::default();
        self.ops.intake.set(SendIntake::Waiting(Rc::clone(&leaves)));
        let is_over = timeout(wait, leaves.notified()).await.is_err();
        if is_over && !self.is_leaving() {
            self.ops.intake.set(SendIntake::Open);
        }
    }

    /// Returns whether no more sends are accepted.
    pub fn is_leaving(&self) -> bool {
        let intake = self.ops.intake.take();
        let is_closed = matches!(intake, SendIntake::Closed);
        self.ops.intake.set(intake);
        is_closed
    }

    /// Counts patterns that wait for their confirmation.
    pub fn begin_wait(self: &Rc<Self>, patterns: usize) -> PatternWait {
        let patterns = patterns as u32;
        add(&self.ops.awaited, patterns);
        PatternWait { session: Rc::clone(self), patterns }
    }

    /// Returns how many patterns of subscribes wait for their confirmation.
    pub const fn awaited(&self) -> usize {
        self.ops.awaited.get() as usize
    }
}

impl Hub {
    /// Returns the bound that keeps an op of a session from beginning now, if there is one.
    pub fn op_limit(&self, session: &Session, lane: Lane) -> Option<OpLimit> {
        if session.ops.count(lane).get() >= session.ops.max(lane) {
            return Some(OpLimit::Session);
        }
        let is_over = lane == Lane::Reads && self.reads_of_user(session).get() >= USER_READS_MAX;
        is_over.then_some(OpLimit::User(USER_READS_MAX))
    }

    /// Takes a permit for an op of a session that no bound keeps from beginning.
    pub fn begin_op(&self, session: &Rc<Session>, lane: Lane) -> OpPermit {
        let of_user = (lane == Lane::Reads).then(|| self.reads_of_user(session));
        if let Some(reads) = &of_user {
            reads.set(reads.get() + 1);
        }
        add(session.ops.count(lane), 1);
        OpPermit { session: Rc::clone(session), lane, of_user }
    }

    fn reads_of_user(&self, session: &Session) -> Rc<Cell<usize>> {
        let user_entry = self.users.of(session.user.as_str());
        user_entry.map_or_else(Rc::default, |user_entry| Rc::clone(&user_entry.reads))
    }
}

impl Drop for PatternWait {
    fn drop(&mut self) {
        subtract(&self.session.ops.awaited, self.patterns);
    }
}

impl Drop for OpPermit {
    fn drop(&mut self) {
        subtract(self.session.ops.count(self.lane), 1);
        if let Some(reads) = &self.of_user {
            reads.set(reads.get() - 1);
        }
        self.session.wake_held();
    }
}
