//! Which function executes an op.

use std::rc::Rc;

use super::Router;
use super::start::Start;
use crate::hub::Session;
use crate::protocol::{ErrorReply, Op, Request, ServerFrame};

impl Router {
    /// Executes an op, and refuses it if it is at fault.
    pub(super) fn execute(
        self: &Rc<Self>,
        session: &Rc<Session>,
        request: Request<'_>,
        start: Start,
    ) {
        let Request { id, op } = request;
        let result = op.and_then(|op| match op {
            Op::Hello(_) => {
                let message = "the session has begun; a fresh token is brought by `renew`";
                Err(ErrorReply::bad_request(message).of_op("hello"))
            }
            Op::Renew(token) => self.renew(session, id.as_ref(), &token),
            Op::Send(send) => self.send(session, id.clone(), &send, start),
            Op::History(history) => self.history(session, id.clone(), &history, start),
            Op::Inbox(inbox) => {
                self.inbox(session, id.clone(), &inbox, start);
                Ok(())
            }
            Op::MarkRead(mark) => self.mark_read(session, id.clone(), &mark, start),
            Op::Publish(publish) => self.publish(session, id.as_ref(), publish),
            Op::Signal(signal) => self.signal(session, id.as_ref(), &signal, start),
            Op::Subscribe(patterns) => self.subscribe(session, id.clone(), patterns),
            Op::Unsubscribe(patterns) => self.unsubscribe(session, id.as_ref(), &patterns),
            Op::Ping => {
                let now = self.services.clocks.wall.now().millis();
                self.sessions.reply(session, &ServerFrame::Pong { id: id.as_ref(), now });
                Ok(())
            }
        });
        if let Err(refusal) = result {
            self.sessions.refuse(session, id.as_ref(), &refusal);
        }
    }
}
