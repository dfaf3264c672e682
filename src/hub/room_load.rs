//! A read of where a user stands with rooms, which his sessions on a worker share.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

use super::Hub;
use crate::domain::UserId;
use crate::proof::Reading;

/// How such a read ended.
#[derive(Debug, Clone, Copy)]
pub enum LoadEnd {
    /// The rooms are known, and heard where the reading says so. What its sessions read besides
    /// counts from the begin of this read: it contributes to theirs, whenever they came.
    Read(Reading),
    /// The store did not answer.
    Failed,
    /// The session that it was read for is gone.
    Abandoned,
}

/// The read, as those see it who wait for it.
#[derive(Debug, Default)]
pub struct RoomLoad {
    end: Cell<Option<LoadEnd>>,
    over: Notify,
}

/// The part of a session in such a read.
#[derive(Debug)]
pub enum LoadShare {
    /// It reads for all.
    Leads(LoadLead),
    /// Another one does.
    Follows(Rc<RoomLoad>),
}

/// The duty to say how a read ended. Dropping it says that it was abandoned.
#[derive(Debug)]
pub struct LoadLead(Rc<RoomLoad>);

impl RoomLoad {
    /// Waits for the end.
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

impl Drop for LoadLead {
    fn drop(&mut self) {
        let end = self.0.end.get().unwrap_or(LoadEnd::Abandoned);
        self.0.end.set(Some(end));
        self.0.over.notify_waiters();
    }
}

impl Hub {
    /// Joins the read of a user's rooms that is under way, or begins one; none for a user without
    /// sessions here.
    pub fn share_load(&mut self, user: &UserId) -> Option<LoadShare> {
        let person = self.people.of_mut(user.as_str())?;
        if let Some(load) = person.loading.as_ref().filter(|load| load.end.get().is_none()) {
            return Some(LoadShare::Follows(Rc::clone(load)));
        }
        let load = Rc::default();
        person.loading = Some(Rc::clone(&load));
        Some(LoadShare::Leads(LoadLead(load)))
    }

    /// Tells all who wait how a read ended.
    pub fn finish_load(&mut self, user: &UserId, lead: LoadLead, end: LoadEnd) {
        lead.0.end.set(Some(end));
        if self.is_loading(user, &lead)
            && let Some(person) = self.people.of_mut(user.as_str())
        {
            person.loading = None;
        }
    }

    /// Whether a read is still that of its user's sessions: these may all have gone, and others have
    /// come, for whom it began too early.
    pub fn is_loading(&self, user: &UserId, lead: &LoadLead) -> bool {
        let current = self.people.of(user.as_str()).and_then(|person| person.loading.as_ref());
        current.is_some_and(|current| Rc::ptr_eq(current, &lead.0))
    }
}
