//! What each op means: one file per op, over the services of a node and the hub of a worker.

mod access;
mod admission;
mod audit;
mod bounded_concurrency;
mod caller;
mod change;
mod command;
mod deferred;
mod events;
mod fair_queue;
mod fanout;
mod hello;
mod history;
mod inbox;
mod inbox_order;
mod inbox_place;
mod membership;
mod nonces;
mod pipeline;
mod publish;
mod read;
mod read_budget;
mod read_ops;
mod read_pacer;
mod recovery_reader;
mod recovery_round;
mod resume;
mod room_load;
mod room_quota;
mod rooms;
mod send;
mod services;
mod sliced_fanouts;
mod subscribe;
mod temporary_interest;
mod worker_call;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::bus::Envelope;
use crate::domain::{Micros, PatternScope};
use crate::hub::{Hub, Priority, PushOutcome, Session};
use crate::interest::WildcardFeed;
use crate::limiter::WorkerLimiter;
use crate::protocol::{CloseReason, ErrorReply, Op, Request, RequestId, ServerFrame};
use crate::shards::Publishers;
use crate::socket::WorkerShare;

use deferred::needs_rooms;

pub use admission::Admission;
pub use audit::UnconfirmedDelivery;
pub use caller::Caller;
pub use events::EventOrder;
pub use hello::HelloOptions;
#[cfg(test)]
pub(crate) use history::collapse;
pub use inbox::{InboxEntry, InboxPage};
pub use nonces::Nonces;
pub use read_budget::ReadBudget;
pub use read_pacer::Pacer;
pub use recovery_round::RoundState;
pub use resume::ResumeBounds;
pub use room_quota::ROOMS_MAX;
pub use rooms::RoomWish;
pub use send::SendOrder;
pub use services::{Direct, Services, Waits};
pub use sliced_fanouts::SlicedFanouts;
pub use worker_call::{
    Effect, WORKER_CALLS_MAX, WorkerCall, WorkerCallBounds, WorkerCalls, worker_call_wait,
};

/// A worker's part of every op.
#[derive(Debug)]
pub struct Router {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// The worker's index.
    pub worker: u32,
    /// The worker's sessions.
    pub hub: RefCell<Hub>,
    /// The worker's shard connections for publishes.
    pub publishers: Publishers,
    /// Publishes that are being delivered in slices.
    pub sliced: SlicedFanouts,
    /// Requests [`Router::flush`]; other workers request it too, through this worker's share.
    pub flush_wanted: Arc<Notify>,
    /// The worker's share of the bytes that may wait for all clients of the node together.
    pub share: Rc<WorkerShare>,
    /// Sends that are not answered yet, and nonces that are not recorded yet.
    pub sends: Cell<usize>,
    /// Messages of unknown outcome that are yet to be looked up in the store.
    pub late: Cell<usize>,
    /// Sends with nonces in flight.
    pub nonces: Rc<Nonces>,
    /// Everything acknowledged up to here was delivered by this worker to the sessions that share
    /// it.
    pub watermark: Cell<Micros>,
    /// The round in progress.
    pub round: RefCell<Option<RoundState>>,
    /// Messages whose delivery is checked once the watermark has passed them.
    pub unconfirmed: RefCell<Vec<UnconfirmedDelivery>>,
    /// Notified whenever the watermark moved or a round ended.
    pub watermark_moved: Notify,
    /// Requests the cursors of the sessions that are due for one.
    pub cursors_wanted: Notify,
    /// The budget of rounds.
    pub repairs: Pacer,
    /// The budget of resumes.
    pub resumes: Rc<ReadBudget>,
    /// The limits on sends, events and reads of the worker's users.
    pub limiter: WorkerLimiter,
}

impl Router {
    /// Handles one frame of a session, and returns how many list items it named.
    pub fn handle(self: &Rc<Self>, session: &Rc<Session>, text: &str) -> usize {
        self.services.metrics.sessions.client_frames.inc();
        self.take_frame(session, text)
    }

    fn take_frame(self: &Rc<Self>, session: &Rc<Session>, text: &str) -> usize {
        let Request { id, op } = Request::read(text, &self.services.bounds);
        let items = op.as_ref().map_or(0, Op::items);
        if !session.is_loaded() && op.as_ref().is_ok_and(needs_rooms) {
            self.defer(session, id.as_ref(), text);
            return items;
        }
        let result = op.and_then(|op| match op {
            Op::Hello(hello) => self.renew(session, id.as_ref(), &hello),
            Op::Send(send) => self.send(session, id.clone(), &send),
            Op::History(history) => self.history(session, id.clone(), &history),
            Op::Inbox(inbox) => self.inbox(session, id.clone(), &inbox),
            Op::Read(mark) => self.read(session, id.clone(), &mark),
            Op::Publish(publish) => self.publish(session, id.as_ref(), publish),
            Op::Subscribe(patterns) => self.subscribe(session, id.clone(), patterns),
            Op::Unsubscribe(patterns) => self.unsubscribe(session, id.as_ref(), &patterns),
            Op::Ping => {
                let time = self.services.wall.now().millis();
                self.reply(session, &ServerFrame::Pong { id: id.as_ref(), time });
                Ok(())
            }
        });
        if let Err(refusal) = result {
            self.refuse(session, id.as_ref(), &refusal);
        }
        items
    }

    /// Refuses a frame without executing it; only its id is read.
    pub fn reject(&self, session: &Rc<Session>, text: &str, refusal: &ErrorReply) {
        self.services.metrics.limits.refused_frames.inc();
        let id = Request::read_id(text, &self.services.bounds);
        self.refuse(session, id.as_ref(), refusal);
    }

    /// Queues a reply.
    fn reply(&self, session: &Rc<Session>, frame: &ServerFrame<'_>) {
        self.reply_text(session, frame.text());
    }

    fn reply_text(&self, session: &Rc<Session>, text: bytes::Bytes) {
        if session.deliver_frame(text, Priority::Message) == PushOutcome::Evicted {
            self.services.metrics.sessions.closes(CloseReason::SlowConsumer.code());
        }
        self.hub.borrow_mut().touch(session);
        self.flush_wanted.notify_one();
    }

    fn ok(&self, session: &Rc<Session>, id: Option<&RequestId>) {
        if let Some(id) = id {
            self.reply(session, &ServerFrame::Ok { id });
        }
    }

    fn refuse(&self, session: &Rc<Session>, id: Option<&RequestId>, refusal: &ErrorReply) {
        self.reply(session, &refusal.frame(id));
    }

    /// A key, or the wildcard feed, is wanted here now. The bit is set before the subscribe can go
    /// out.
    fn add_interest(&self, scope: &PatternScope) {
        match scope {
            PatternScope::Key(key) => {
                self.services.worker_interest.add(key, self.worker);
                self.services.interest.acquire(key);
            }
            PatternScope::Wide if self.services.feed.begin(self.worker) => self.announce_tap(),
            PatternScope::Wide => {}
        }
    }

    /// A key, or the wildcard feed, is no longer wanted here.
    fn remove_interest(&self, scope: &PatternScope) {
        match scope {
            PatternScope::Key(key) => {
                self.services.worker_interest.remove(key, self.worker);
                self.services.interest.release(key);
            }
            PatternScope::Wide => self.services.feed.end(self.worker),
        }
    }

    /// Tells all nodes that this one takes the wildcard feed. A node that misses the notice reads
    /// it in the cluster table.
    fn announce_tap(&self) {
        let Services { boot, store_tag, .. } = *self.services;
        let notice = Envelope::notice(boot, store_tag, WildcardFeed::NOTICE);
        let payload = notice.encode_for(&notice.keys, &self.services.bus_seal);
        self.publishers.publish_to_every_shard(&payload);
    }

    /// Ends a session; a second call does nothing.
    pub fn leave(&self, session: &Session) {
        if session.id().is_none() {
            return;
        }
        session.recovery.reader.abort();
        let unwanted = self.hub.borrow_mut().leave(session);
        unwanted.iter().for_each(|scope| self.remove_interest(scope));
        self.services.metrics.sessions.open.dec();
    }

    /// Returns whether no send waits for its answer or its record, and nothing waits to be
    /// published.
    pub fn is_quiet(&self) -> bool {
        self.sends.get() == 0 && self.publishers.are_drained()
    }

    /// Writes what is queued, one write per session with queued frames. If there are very many, the
    /// rest is written in a later turn.
    pub fn flush(&self) {
        let (touched, more) = self.hub.borrow_mut().take_touched(fanout::SLICE);
        touched.iter().for_each(|session| session.flush());
        if more {
            self.flush_wanted.notify_one();
        }
        if self.share.is_over() {
            self.evict_fullest();
        }
        if !touched.is_empty() {
            // The bytes queued here may exceed the node's budget while most bytes wait on another
            // worker, which may have nothing to write.
            self.share.call_others();
        }
    }

    /// Evicts sessions when the node's clients together exceed their budget and this worker exceeds
    /// its share. Sessions with the most waiting bytes go first, until the worker is within its
    /// share.
    fn evict_fullest(&self) {
        let mut waiting: Vec<Rc<Session>> = self.hub.borrow().sessions().cloned().collect();
        waiting
            .retain(|session| session.link().is_open() && session.link().blocked_since().is_some());
        waiting.sort_by_cached_key(|session| session.link().bytes());
        while let Some(fullest) = waiting.pop() {
            let _turn = self.share.turn();
            if !self.share.is_over() {
                break;
            }
            self.services.metrics.sessions.closes(CloseReason::SlowConsumer.code());
            fullest.evict();
        }
    }
}
