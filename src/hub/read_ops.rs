//! Permits for ops that read: the unanswered reads of a session and of its user are bounded.

use std::cell::Cell;
use std::rc::Rc;

use super::{Hub, Session};

/// The most unanswered reads of all sessions of one user on a worker. It is the most that
/// `limits.reads_in_flight` can allow one session.
pub const USER_READS_MAX: usize = 64;

/// Permission for one read. Dropping it gives the permission back.
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

impl Hub {
    /// Takes a permit for a read of a session.
    pub fn begin_read(&self, session: &Rc<Session>) -> Result<ReadOpPermit, ReadOpLimit> {
        let user_entry = self.users.of(session.user.as_str());
        let of_user =
            user_entry.map_or_else(Rc::default, |user_entry| Rc::clone(&user_entry.reads));
        if !session.begin_read() {
            return Err(ReadOpLimit::Session(session.bounds().reads_in_flight));
        }
        of_user.set(of_user.get() + 1);
        let permit = ReadOpPermit { session: Rc::clone(session), of_user };
        if permit.of_user.get() > USER_READS_MAX {
            return Err(ReadOpLimit::User(USER_READS_MAX));
        }
        Ok(permit)
    }
}

impl Drop for ReadOpPermit {
    fn drop(&mut self) {
        self.session.end_read();
        self.of_user.set(self.of_user.get() - 1);
    }
}
