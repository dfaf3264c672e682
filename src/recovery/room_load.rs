//! Loads a user's rooms once for all sessions that wait for them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::Recovery;
use crate::hub::{LoadEnd, LoadGuard, LoadShare, Session};
use crate::protocol::{Code, ErrorReply, RequestHead};
use crate::send::MEMBERSHIPS_MAX;
use crate::store::MembershipsQuery;
use crate::watermark::CatchUpRead;

impl Recovery {
    /// Reads the rooms of a session's user and waits up to `patience` for their buckets, or waits
    /// for another session that does. Returns `None` if the session ended. What is held
    /// back starts once the rooms are read, and is refused whenever a read fails.
    pub(super) async fn load_rooms(
        self: &Rc<Self>,
        session: &Rc<Session>,
        patience: Duration,
    ) -> Option<CatchUpRead> {
        while session.link().is_open() {
            let share = self.sessions.hub.borrow_mut().share_load(&session.user)?;
            let end = match share {
                LoadShare::Leads(guard) => self.lead_load(session, guard, patience).await,
                LoadShare::Follows(load) => load.end().await,
            };
            match end {
                LoadEnd::Read(reading) => return Some(reading),
                LoadEnd::Failed => self.refuse_held(session),
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
        // Tried once: the caller tries again after it has refused what is held back.
        let reader = self.session_reader(session, 1);
        let read = reader.read(|| {
            begun.set(Some(self.look_before_reading(session)));
            let query = MembershipsQuery { user: user.clone(), limit: MEMBERSHIPS_MAX };
            self.services.store.memberships(query)
        });
        let end = match read.await.zip(begun.get()) {
            Some((rows, reading)) if self.sessions.hub.borrow().is_loading(user, &guard) => {
                self.apply_memberships(user, &rows);
                let sessions = self.sessions.hub.borrow_mut().loaded(user);
                sessions.into_iter().for_each(|session| session.load());
                let heard = self.hears_all(user, patience).await;
                LoadEnd::Read(if heard { reading } else { reading.unconfirmed() })
            }
            None if session.link().is_open() => LoadEnd::Failed,
            _ => LoadEnd::Abandoned,
        };
        self.sessions.hub.borrow_mut().finish_load(user, guard, end);
        end
    }

    /// Records what is known before the next read is issued.
    fn look_before_reading(&self, session: &Session) -> CatchUpRead {
        let (wall, watermark_state) =
            (self.services.clocks.wall.sure(), self.services.cluster.watermark_state.look());
        let confirmed = self.services.cluster.interest.is_confirmed(&session.key());
        CatchUpRead::begin(wall, watermark_state, confirmed)
    }

    /// Refuses what is held back, since the rooms could not be read; more may be held back then.
    fn refuse_held(&self, session: &Rc<Session>) {
        for frame in session.take_all_held() {
            let head = RequestHead::scan(&frame.text);
            let message = "your rooms could not be read from the store";
            let refusal = head.refusal(ErrorReply::new(Code::Unavailable, message));
            self.sessions.refuse(session, head.id.as_ref(), &refusal);
        }
    }
}
