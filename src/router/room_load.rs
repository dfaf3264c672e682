//! Loads a user's rooms once for all sessions that wait for them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::Router;
use super::membership::MEMBERSHIPS_MAX;
use crate::hub::{LoadEnd, LoadGuard, LoadShare, Session};
use crate::store::MembershipsQuery;
use crate::watermark::CatchUpRead;

impl Router {
    /// Reads the rooms of a session's user and waits up to `patience` for their buckets, or waits
    /// for another session that does. Returns `None` if the session ended. Deferred frames are
    /// executed once the rooms are read, and refused whenever a read fails.
    pub(super) async fn load_rooms(
        self: &Rc<Self>,
        session: &Rc<Session>,
        patience: Duration,
    ) -> Option<CatchUpRead> {
        while session.link().is_open() {
            let share = self.hub.borrow_mut().share_load(&session.user)?;
            let end = match share {
                LoadShare::Leads(guard) => self.lead_load(session, guard, patience).await,
                LoadShare::Follows(load) => load.end().await,
            };
            match end {
                LoadEnd::Read(reading) => return Some(reading),
                LoadEnd::Failed => self.refuse_deferred(session),
                LoadEnd::Abandoned => {}
            }
        }
        None
    }

    async fn lead_load(
        self: &Rc<Self>,
        session: &Rc<Session>,
        guard: LoadGuard,
        patience: Duration,
    ) -> LoadEnd {
        let (begun, user) = (Cell::new(None), &session.user);
        // Tried once: the caller tries again after it has refused the deferred frames.
        let reader = self.session_reader(session, 1);
        let read = reader.read(|| {
            begun.set(Some(self.look_before_reading(session)));
            let query = MembershipsQuery { user: user.clone(), limit: MEMBERSHIPS_MAX };
            self.services.store.memberships(query)
        });
        let end = match read.await.zip(begun.get()) {
            Some((rows, reading)) if self.hub.borrow().is_loading(user, &guard) => {
                self.apply_memberships(user, &rows);
                let sessions = self.hub.borrow_mut().loaded(user);
                sessions.iter().for_each(|session| self.take_deferred(session));
                let heard = self.hears_all(user, patience).await;
                LoadEnd::Read(if heard { reading } else { reading.unconfirmed() })
            }
            None if session.link().is_open() => LoadEnd::Failed,
            _ => LoadEnd::Abandoned,
        };
        self.hub.borrow_mut().finish_load(user, guard, end);
        end
    }

    /// Records what is known before the next read is issued.
    fn look_before_reading(&self, session: &Session) -> CatchUpRead {
        let (wall, watermark_state) =
            (self.services.wall.sure(), self.services.watermark_state.look());
        let confirmed = self.services.interest.is_confirmed(&session.key());
        CatchUpRead::begin(wall, watermark_state, confirmed)
    }
}
