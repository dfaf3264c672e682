//! A worker's connections for publishing.

use super::event::{At, Conn, Event, Job, SimCommand};
use super::queue::{SECOND, Time};
use super::thread::ThreadStep;
use super::world::World;
use crate::domain::MonotonicTime;

/// How long an answer is waited for, in microseconds of the node's monotonic clock.
const ANSWER_WAIT: std::time::Duration = std::time::Duration::from_secs(3);

/// Publishes in one pipeline.
const PIPELINE_MAX: usize = 8;

/// The longest wait until a connection is tried again.
const RETRY: Time = 2 * SECOND;

/// A worker's connection to one shard.
#[derive(Debug, Default)]
pub struct Publishing {
    conn: Option<Conn>,
    attempt: u16,
    /// When the pipeline in flight was sent.
    sent: Option<MonotonicTime>,
}

impl World {
    fn publishing(&mut self, at: At, shard: u8) -> &mut Publishing {
        &mut self.worker(at).publishing[usize::from(shard)]
    }

    /// Makes a connection.
    pub fn connect_publisher(&mut self, at: At, shard: u8, attempt: u16) {
        let link = self.publishing(at, shard);
        if link.conn.is_none() && link.attempt == attempt && !self.connect(at, shard, false) {
            self.retry_publisher(at, shard);
        }
    }

    fn retry_publisher(&mut self, at: At, shard: u8) {
        let wait = self.rng.below(RETRY);
        let link = self.publishing(at, shard);
        link.attempt += 1;
        let job = Job::PubConnect(shard, link.attempt);
        self.queue.push(self.now + wait, Event::Thread(at, job));
    }

    /// Handles that it is up.
    pub fn publisher_up(&mut self, at: At, conn: Conn) {
        let shard = self.redis.conn(conn).shard;
        let run = self.redis.run(conn);
        let link = self.publishing(at, shard);
        if link.conn.is_some() {
            return self.hang_up(conn);
        }
        (link.conn, link.sent) = (Some(conn), None);
        self.worker(at).tracker.up(usize::from(shard), run);
        self.then(at, ThreadStep::Flush);
    }

    /// Sends everything that waits for a shard and can be sent.
    pub fn flush(&mut self, at: At) {
        let moment = self.moment(at.life);
        for shard in 0..self.plan.size.shards {
            let node = &mut self.nodes[usize::from(at.life.node)];
            let worker = &mut node.workers[usize::from(at.thread - 1)];
            let link = &mut worker.publishing[usize::from(shard)];
            let Some(conn) = link.conn.filter(|_| link.sent.is_none()) else { continue };
            let taken = worker.tracker.take(usize::from(shard), PIPELINE_MAX);
            if let Some(pipeline) = self.redis.pipeline(taken) {
                link.sent = Some(moment);
                self.send_up(conn, SimCommand::Publish(pipeline));
            }
        }
    }

    /// Handles the answers to a pipeline.
    pub fn publisher_answered(&mut self, at: At, conn: Conn, refused: u8) {
        let shard = self.redis.conn(conn).shard;
        let link = self.publishing(at, shard);
        if link.conn == Some(conn) && link.sent.take().is_some() {
            let confirmed = |index: usize| index >= 8 || refused & 1 << index == 0;
            self.worker(at).tracker.answered(usize::from(shard), confirmed);
            self.then(at, ThreadStep::Flush);
        }
    }

    /// Handles that a connection is gone.
    pub fn publisher_closed(&mut self, at: At, conn: Conn) {
        let shard = self.redis.conn(conn).shard;
        if self.publishing(at, shard).conn.is_none_or(|mine| mine == conn) {
            self.cut_publisher(at, shard);
        }
    }

    /// Closes a connection; its shard's address is resolved again.
    pub fn cut_publisher(&mut self, at: At, shard: u8) {
        let moment = self.moment(at.life);
        let link = self.publishing(at, shard);
        link.sent = None;
        if let Some(conn) = link.conn.take() {
            self.hang_up(conn);
            trace!(self, "{at:?} publisher {shard} down");
            self.worker(at).tracker.down(usize::from(shard), moment);
            self.then(at, ThreadStep::Flush);
        }
        self.retry_publisher(at, shard);
    }

    /// Handles the passing of time: connections that do not answer are closed.
    pub fn tick_publishers(&mut self, at: At, moment: MonotonicTime) {
        for shard in 0..self.plan.size.shards {
            let sent = self.publishing(at, shard).sent;
            if sent.is_some_and(|sent| moment.since(sent) > ANSWER_WAIT) {
                self.cut_publisher(at, shard);
            }
        }
    }
}
