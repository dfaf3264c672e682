//! Single flight for reads of a user's memberships: the user's sessions on a worker share one read.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

use super::Hub;
use crate::domain::UserId;
use crate::watermark::CatchUpRead;

/// How a read of a user's rooms ended.
#[derive(Debug, Clone, Copy)]
pub enum LoadEnd {
    /// The rooms are known. A session that waited may claim no more than this read: it is the older
    /// part of the session's own read.
    Read(CatchUpRead),
    /// The store did not answer.
    Failed,
    /// The session that made the read is gone.
    Abandoned,
}

/// A read in progress, as the waiting sessions see it.
#[derive(Debug, Default)]
pub struct RoomLoad {
    end: Cell<Option<LoadEnd>>,
    over: Notify,
}

/// What a session does for the read.
#[derive(Debug)]
pub enum LoadShare {
    /// It makes the read.
    Leads(LoadGuard),
    /// It waits for another session's read.
    Follows(Rc<RoomLoad>),
}

/// Held by the session that makes the read. Dropping it ends the read as abandoned.
#[derive(Debug)]
pub struct LoadGuard(Rc<RoomLoad>);

impl RoomLoad {
    /// Waits until the read ends.
    pub async fn end(&self) -> LoadEnd {
        loop {
            let over = self.over.notified();
            if let Some(end) = self.end.get() {
                return end;
            }
            over.await;
        }
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        let end = self.0.end.get().unwrap_or(LoadEnd::Abandoned);
        self.0.end.set(Some(end));
        self.0.over.notify_waiters();
    }
}

impl Hub {
    /// Joins the read that is in progress for a user, or begins one. Returns `None` for a user
    /// without sessions here.
    pub fn share_load(&mut self, user: &UserId) -> Option<LoadShare> {
        let user_entry = self.users.of_mut(user.as_str())?;
        if let Some(load) = user_entry.loading.as_ref().filter(|load| load.end.get().is_none()) {
            return Some(LoadShare::Follows(Rc::clone(load)));
        }
        let load = Rc::default();
        user_entry.loading = Some(Rc::clone(&load));
        Some(LoadShare::Leads(LoadGuard(load)))
    }

    /// Ends a read and wakes the sessions that wait for it.
    pub fn finish_load(&mut self, user: &UserId, guard: LoadGuard, end: LoadEnd) {
        guard.0.end.set(Some(end));
        if self.is_loading(user, &guard)
            && let Some(user_entry) = self.users.of_mut(user.as_str())
        {
            user_entry.loading = None;
        }
    }

    /// Returns whether a read is still the current one of its user. It is not if all sessions left
    /// since, even if others joined: the read began too early for them.
    pub fn is_loading(&self, user: &UserId, guard: &LoadGuard) -> bool {
        let current =
            self.users.of(user.as_str()).and_then(|user_entry| user_entry.loading.as_ref());
        current.is_some_and(|current| Rc::ptr_eq(current, &guard.0))
    }
}
