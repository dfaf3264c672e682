//! Flow control: an op that may not start yet is held back, in order, instead of being refused.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Router;
use super::start::Start;
use crate::clock::Readable;
use crate::hub::{Closed, HELD_MAX, HeldFrame, HeldOp, Lane, OpLimit, OpPermit, Session};
use crate::limiter::RateLimited;
use crate::protocol::{Code, ErrorReply, Op, Request, RequestHead};

/// Held frames that start before other tasks have their turn.
const STARTS_A_TURN: usize = 64;

/// When a client may come back after a frame that waited for answers to earlier ones.
const UNANSWERED_RETRY: Duration = Duration::from_secs(1);

/// Whether an op may start.
enum Admission {
    Now(OpPermit),
    /// Not yet; look again at that time, or when an op of its session is answered.
    Later {
        at: Instant,
        refused: Option<RateLimited>,
    },
    Refused(ErrorReply),
}

/// Returns the kind of an op that may be held back. The others go ahead of what is.
pub(super) const fn held_op(op: &Op<'_>) -> Option<HeldOp> {
    Some(match op {
        Op::Send(_) => HeldOp::Send,
        Op::Publish(_) => HeldOp::Publish,
        Op::Signal(_) => HeldOp::Signal,
        Op::MarkRead(_) => HeldOp::MarkRead,
        Op::History(_) => HeldOp::History,
        Op::Inbox(_) => HeldOp::Inbox,
        Op::Hello(_) | Op::Renew(_) | Op::Subscribe(_) | Op::Unsubscribe(_) | Op::Ping => {
            return None;
        }
    })
}

impl Router {
    /// Returns whether a session holds back so much that nothing more may be read from its client.
    pub fn holds_enough(&self, session: &Session) -> bool {
        session.is_held_full(&self.services.config.limits.session)
    }

    /// Starts an op, holds it back, or refuses it.
    pub(super) fn start_or_hold(
        self: &Rc<Self>,
        session: &Rc<Session>,
        op: HeldOp,
        request: Request<'_>,
        text: &str,
    ) {
        let since = session.link().last_seen();
        let admission = if let Some((_, wait)) = session.closed_for(op.lane()) {
            Admission::Refused(self.refuse_with_earlier(op, wait))
        } else if session.is_holding(op.lane()) {
            Admission::Later { at: since + HELD_MAX, refused: None }
        } else {
            self.admit(session, op, since)
        };
        match admission {
            Admission::Now(permit) => {
                self.execute(session, request, Start { _permit: Some(permit), since });
            }
            Admission::Refused(refusal) => {
                self.sessions.refuse(session, request.id.as_ref(), &refusal.of_op(op.name()));
            }
            Admission::Later { .. } => {
                self.services.metrics.limits.held_frames.inc();
                if session.hold(HeldFrame { op, since, text: text.into() }) {
                    tokio::task::spawn_local(Rc::clone(self).serve_held(Rc::clone(session)));
                }
            }
        }
    }

    /// Decides whether the first op of a lane may start, and charges its user if it may.
    fn admit(&self, session: &Rc<Session>, op: HeldOp, since: Instant) -> Admission {
        let (now, until) = (Instant::now(), since + HELD_MAX);
        if op.needs_rooms() && !session.is_loaded() {
            return Admission::Later { at: now + HELD_MAX, refused: None };
        }
        if op.lane() != Lane::Reads && session.is_leaving() {
            return Admission::Refused(ErrorReply::stopping());
        }
        let limit = self.sessions.hub.borrow().op_limit(session, op.lane());
        match limit {
            Some(OpLimit::Session) if now < until => {
                return Admission::Later { at: until, refused: None };
            }
            Some(OpLimit::Session) => {
                session.close_lane(op.lane(), Closed::All, UNANSWERED_RETRY);
                return Admission::Refused(waited_for_answers());
            }
            Some(OpLimit::User(max)) => {
                let message =
                    format!("{max} reads of all your sessions are unanswered, no more are allowed");
                return Admission::Refused(ErrorReply::new(Code::LimitReached, message));
            }
            None => {}
        }
        let Err(refused) = self.limiter.start(&session.user, op.rate()) else {
            return Admission::Now(self.sessions.hub.borrow().begin_op(session, op.lane()));
        };
        if let Some(wait) = refused.retry_after.filter(|wait| now + *wait <= until) {
            return Admission::Later { at: now + wait, refused: Some(refused) };
        }
        session.close_lane(op.lane(), Closed::All, refused.retry_after.unwrap_or_default());
        let _counted = self.limiter.counted(Err(refused));
        Admission::Refused(refused.refusal())
    }

    /// Counts and returns the refusal of an op that comes while an earlier refusal of its session
    /// still holds.
    fn refuse_with_earlier(&self, op: HeldOp, wait: Duration) -> ErrorReply {
        self.limiter.count_repeated_refusal(op.rate());
        ErrorReply::refused_with_earlier(wait)
    }

    /// Starts the held frames of a session, each as soon as it may. Ends when none is left.
    async fn serve_held(self: Rc<Self>, session: Rc<Session>) {
        while let Some(wake) = session.held_wake() {
            let mut starts = 0;
            let next = self.start_held(&session, &mut starts);
            if session.has_held_room(&self.services.config.limits.session) {
                session.link().resume_reading();
            }
            if session.stop_serving_held() {
                return;
            }
            if starts >= STARTS_A_TURN {
                tokio::task::yield_now().await;
            } else {
                // It was notified, or the time has come: both mean to look again.
                let _looks_again = timeout_at(next, wake.notified()).await;
            }
        }
        session.link().resume_reading();
    }

    /// Starts what may start of every lane. Returns when to look again at the latest.
    fn start_held(self: &Rc<Self>, session: &Rc<Session>, starts: &mut usize) -> Instant {
        if let Some(refused) = session.take_delay() {
            let ahead = session.in_flight(Lane::Writes);
            self.refuse_overdue(session, HeldOp::Send, &refused, ahead);
        }
        let next = Lane::ALL.map(|lane| self.start_lane(session, lane, starts));
        next.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + HELD_MAX)
    }

    fn start_lane(
        self: &Rc<Self>,
        session: &Rc<Session>,
        lane: Lane,
        starts: &mut usize,
    ) -> Option<Instant> {
        while *starts < STARTS_A_TURN {
            let (op, since) = session.first_held(lane)?;
            let admission = match session.held_closed_for(lane) {
                Some(wait) => Admission::Refused(self.refuse_with_earlier(op, wait)),
                None => self.admit(session, op, since),
            };
            if let Admission::Later { at, refused } = admission {
                if let Some(refused) = refused {
                    self.refuse_overdue(session, op, &refused, 0);
                }
                return Some(at);
            }
            *starts += 1;
            let frame = session.take_first_held(lane)?;
            match admission {
                Admission::Now(permit) => {
                    let request = Request::read(&frame.text, &self.services.config.limits.requests);
                    self.execute(session, request, Start { _permit: Some(permit), since });
                }
                Admission::Refused(refusal) => self.refuse_held(session, &frame, &refusal),
                Admission::Later { .. } => {}
            }
        }
        None
    }

    /// Refuses what would be held back for too long behind an op that waits for its user's rate.
    fn refuse_overdue(
        &self,
        session: &Rc<Session>,
        op: HeldOp,
        refused: &RateLimited,
        ahead: usize,
    ) {
        let overdue = session.take_overdue(op.lane(), op.rate(), refused, ahead);
        let Some((wait, frames)) = overdue else { return };
        let refusal = RateLimited { retry_after: Some(wait), ..*refused }.refusal();
        for frame in &frames {
            let _counted = self.limiter.counted(Err(*refused));
            self.refuse_held(session, frame, &refusal);
        }
    }

    fn refuse_held(&self, session: &Rc<Session>, frame: &HeldFrame, refusal: &ErrorReply) {
        let id = RequestHead::scan(&frame.text).id;
        self.sessions.refuse(session, id.as_ref(), &refusal.clone().of_op(frame.op.name()));
    }
}

fn waited_for_answers() -> ErrorReply {
    let message = format!(
        "it waited for the answers to earlier ones for {}; again in {} ms",
        Readable(HELD_MAX),
        UNANSWERED_RETRY.as_millis()
    );
    ErrorReply::rate_limited(message, UNANSWERED_RETRY)
}
