//! Places for reads of history and inbox that are not answered yet: a session's, and its user's.

use std::cell::Cell;
use std::rc::Rc;

use super::{Hub, Session};

/// Reads of one user that may be unanswered on a worker, over all his sessions: as many as the
/// configuration can allow to one. They wait for each other, and more would only be memory.
pub const USER_READS_MAX: usize = 64;

/// A place for one read, given back when it is dropped.
#[derive(Debug)]
pub struct ReadPlace {
    session: Rc<Session>,
    of_user: Rc<Cell<usize>>,
}

/// Whose places are all taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReadPlace {
    /// The session's.
    Session(usize),
    /// Those of its user.
    User(usize),
}

impl Hub {
    /// Takes a place for a read of a session.
    pub fn begin_read(&self, session: &Rc<Session>) -> Result<ReadPlace, NoReadPlace> {
        let person = self.people.of(session.user.as_str());
        let of_user = person.map_or_else(Rc::default, |person| Rc::clone(&person.reads));
        if !session.begin_read() {
            return Err(NoReadPlace::Session(session.bounds().reads_in_flight));
        }
        of_user.set(of_user.get() + 1);
        let place = ReadPlace { session: Rc::clone(session), of_user };
        if place.of_user.get() > USER_READS_MAX {
            return Err(NoReadPlace::User(USER_READS_MAX));
        }
        Ok(place)
    }
}

impl Drop for ReadPlace {
    fn drop(&mut self) {
        self.session.end_read();
        self.of_user.set(self.of_user.get() - 1);
    }
}
