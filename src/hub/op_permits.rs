//! Permits for ops that wait for their answer: sends, reads, and subscribes. What a permit counts is
//! given back when it is dropped.

use std::cell::Cell;
use std::rc::Rc;

use super::{Hub, Session};
use crate::config::SessionBounds;

/// The most unanswered reads of all sessions of one user on a worker. It is the most that
/// `limits.reads_in_flight` can allow one session.
pub const USER_READS_MAX: usize = 64;

/// The unanswered ops of a session.
#[derive(Debug)]
pub(super) struct OpsInFlight {
    sends: Cell<u32>,
    sends_max: u32,
    reads: Cell<u32>,
    reads_max: u32,
    /// Patterns of subscribes that wait for their confirmation.
    awaited: Cell<u32>,
    /// Whether no more sends are accepted.
    leaving: Cell<bool>,
}

impl OpsInFlight {
    pub(super) const fn new(bounds: SessionBounds) -> Self {
        Self {
            sends: Cell::new(0),
            sends_max: bounds.sends_in_flight as u32,
            reads: Cell::new(0),
            reads_max: bounds.reads_in_flight as u32,
            awaited: Cell::new(0),
            leaving: Cell::new(false),
        }
    }
}

fn add(count: &Cell<u32>, more: u32) {
    count.set(count.get() + more);
}

fn subtract(count: &Cell<u32>, less: u32) {
    count.set(count.get() - less);
}

/// Permission for one send.
#[derive(Debug)]
pub struct SendOpPermit(Rc<Session>);

/// Patterns of one subscribe that wait for their confirmation.
#[derive(Debug)]
pub struct PatternWait {
    session: Rc<Session>,
    patterns: u32,
}

/// Permission for one read.
#[derive(Debug)]
pub struct ReadOpPermit {
    session: Rc<Session>,
    of_user: Rc<Cell<usize>>,
}

/// The bound that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOpLimit {
    /// The bound of the session.
    Session(usize),
    /// The bound of its user.
    User(usize),
}

impl Session {
    /// Takes a permit for a send, or returns how many sends may be unanswered.
    pub fn begin_send(self: &Rc<Self>) -> Result<SendOpPermit, u32> {
        if self.ops.sends.get() >= self.ops.sends_max {
            return Err(self.ops.sends_max);
        }
        add(&self.ops.sends, 1);
        Ok(SendOpPermit(Rc::clone(self)))
    }

    /// Returns whether a send waits for its answer.
    pub const fn is_sending(&self) -> bool {
        self.ops.sends.get() > 0
    }

    /// Accepts no more sends: the session is to be closed once its sends are answered.
    pub fn take_no_sends(&self) {
        self.ops.leaving.set(true);
    }

    /// Returns whether no more sends are accepted.
    pub const fn is_leaving(&self) -> bool {
        self.ops.leaving.get()
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
    /// Takes a permit for a read of a session.
    pub fn begin_read(&self, session: &Rc<Session>) -> Result<ReadOpPermit, ReadOpLimit> {
        let user_entry = self.users.of(session.user.as_str());
        let of_user =
            user_entry.map_or_else(Rc::default, |user_entry| Rc::clone(&user_entry.reads));
        let ops = &session.ops;
        if ops.reads.get() >= ops.reads_max {
            return Err(ReadOpLimit::Session(ops.reads_max as usize));
        }
        if of_user.get() >= USER_READS_MAX {
            return Err(ReadOpLimit::User(USER_READS_MAX));
        }
        add(&ops.reads, 1);
        of_user.set(of_user.get() + 1);
        Ok(ReadOpPermit { session: Rc::clone(session), of_user })
    }
}

impl Drop for SendOpPermit {
    fn drop(&mut self) {
        subtract(&self.0.ops.sends, 1);
    }
}

impl Drop for PatternWait {
    fn drop(&mut self) {
        subtract(&self.session.ops.awaited, self.patterns);
    }
}

impl Drop for ReadOpPermit {
    fn drop(&mut self) {
        subtract(&self.session.ops.reads, 1);
        self.of_user.set(self.of_user.get() - 1);
    }
}
