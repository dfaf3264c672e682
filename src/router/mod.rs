//! What each op means: one file an op, over the services of a node and the hub of a worker.

mod fanout;
mod hello;
mod history;
mod publish;
mod send;
mod services;
mod subscribe;
mod wall;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::Key;
use crate::hub::{Handed, Hub, Session, Urgency};
use crate::links::Publishers;
use crate::protocol::{Close, Op, Refusal, Request, RequestId, ServerFrame};

pub use hello::Wishes;
pub use services::{Direct, Services, Waits};
pub use wall::WallClock;

/// A worker's end of every op.
#[derive(Debug)]
pub struct Router {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// Which worker this is.
    pub worker: u32,
    /// Its sessions.
    pub hub: RefCell<Hub>,
    /// Its ways to the shards.
    pub publishers: Publishers,
    /// Asks for [`Router::flush`].
    pub flush_wanted: Notify,
    /// Sends that are not answered yet.
    pub sends: Cell<usize>,
}

impl Router {
    /// Takes one frame of a session.
    pub fn handle(self: &Rc<Self>, session: &Rc<Session>, text: &str) {
        self.services.metrics.client_frames.inc();
        let Request { id, op } = Request::read(text, &self.services.bounds);
        let result = op.and_then(|op| match op {
            Op::Hello(hello) => self.renew(session, id.as_ref(), &hello),
            Op::Send(send) => self.send(session, id.clone(), &send),
            Op::History(history) => self.history(session, id.clone(), &history),
            Op::Publish(publish) => self.publish(session, id.as_ref(), publish),
            Op::Subscribe(patterns) => self.subscribe(session, id.clone(), patterns),
            Op::Unsubscribe(patterns) => {
                self.unsubscribe(session, id.as_ref(), &patterns);
                Ok(())
            }
            Op::Ping => {
                let time = self.services.wall.now().millis();
                self.reply(session, &ServerFrame::Pong { id: id.as_ref(), time });
                Ok(())
            }
        });
        if let Err(refusal) = result {
            self.refuse(session, id.as_ref(), &refusal);
        }
    }

    /// Queues a reply.
    fn reply(&self, session: &Rc<Session>, frame: &ServerFrame<'_>) {
        self.reply_text(session, frame.text());
    }

    fn reply_text(&self, session: &Rc<Session>, text: bytes::Bytes) {
        if session.hand(text, Urgency::Message) == Handed::Evicted {
            self.services.metrics.closes(Close::SlowConsumer.code());
        }
        self.hub.borrow_mut().touch(session);
        self.flush_wanted.notify_one();
    }

    fn ok(&self, session: &Rc<Session>, id: Option<&RequestId>) {
        if let Some(id) = id {
            self.reply(session, &ServerFrame::Ok { id });
        }
    }

    fn refuse(&self, session: &Rc<Session>, id: Option<&RequestId>, refusal: &Refusal) {
        let Refusal { code, message } = refusal;
        let retry = code.retry();
        self.reply(session, &ServerFrame::Error { id, code: *code, message, retry });
    }

    /// A key became wanted here. The bit is set before the subscribe can go out.
    fn wanted(&self, key: &Key) {
        self.services.wants.add(key, self.worker);
        self.services.interest.acquire(key);
    }

    /// A key is no longer wanted here.
    fn unwanted(&self, key: &Key) {
        self.services.wants.remove(key, self.worker);
        self.services.interest.release(key);
    }

    /// A session is over.
    pub fn leave(&self, session: &Session) {
        let unwanted = self.hub.borrow_mut().leave(session);
        unwanted.iter().for_each(|key| self.unwanted(key));
        self.services.metrics.sessions.dec();
    }

    /// Whether no send waits for its answer and nothing waits to be published.
    pub fn is_quiet(&self) -> bool {
        self.sends.get() == 0 && self.publishers.are_drained()
    }

    /// Writes what is queued, once a session that anything was queued for.
    pub fn flush(&self) {
        let touched = self.hub.borrow_mut().take_touched();
        touched.iter().for_each(|session| session.flush());
    }
}
