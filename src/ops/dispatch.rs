//! Which function executes an op.

use std::rc::Rc;

use super::Router;
use super::start::Start;
use crate::hub::Session;
use crate::protocol::{ErrorReply, Op, Request, ServerFrame};

impl Router {
    /// Executes an op, and refuses it if it is at fault. A refusal that comes at once is named by
    /// its op here; what an op refuses later it names itself.
    pub(super) fn execute(
        self: &Rc<Self>,
        session: &Rc<Session>,
        request: Request<'_>,
        start: Start,
    ) {
        let Request { id, op } = request;
        let (name, result) = match op {
            Ok(Op::Hello(_)) => {
                let message = "the session has begun; a fresh token is brought by `renew`";
                ("hello", Err(ErrorReply::bad_request(message)))
            }
            Ok(Op::Renew(token)) => ("renew", self.renew(session, id.as_ref(), &token)),
            Ok(Op::Send(send)) => ("send", self.send(session, id.clone(), &send, start)),
            Ok(Op::History(history)) => {
                ("history", self.history(session, id.clone(), &history, start))
            }
            Ok(Op::Inbox(inbox)) => return self.inbox(session, id, &inbox, start),
            Ok(Op::MarkRead(mark)) => {
                ("mark_read", self.mark_read(session, id.clone(), &mark, start))
            }
            Ok(Op::Publish(publish)) => ("publish", self.publish(session, id.as_ref(), &publish)),
            Ok(Op::Signal(signal)) => ("signal", self.signal(session, id.as_ref(), &signal, start)),
            Ok(Op::Subscribe(patterns)) => {
                ("subscribe", self.subscribe(session, id.clone(), patterns))
            }
            Ok(Op::Unsubscribe(patterns)) => {
                ("unsubscribe", self.unsubscribe(session, id.as_ref(), &patterns))
            }
            Ok(Op::Ping) => {
                let now = self.services.clocks.wall.now().millis();
                let pong = ServerFrame::Pong { id: id.as_ref(), now };
                return self.sessions.reply(session, &pong);
            }
            // It is named as far as it could be read.
            Err(refusal) => return self.sessions.refuse(session, id.as_ref(), &refusal),
        };
        if let Err(refusal) = result {
            self.sessions.refuse(session, id.as_ref(), &refusal.of_op(name));
        }
    }
}
