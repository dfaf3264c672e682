//! The owner of a shard's subscriber connection. It orders the commands of the interest, and
//! delivers what it receives to the workers that want it.

use std::collections::VecDeque;

use super::agent::Told;
use super::event::{
    At, Conn, Event, Job, KEYS_MAX, Life, SimCargo, SimCommand, SimKey, SimKeys, What, each_key,
};
use super::queue::{MILLI, SECOND, Time};
use super::redis::always;
use super::worker::QueueItem;
use super::world::World;
use crate::cluster::Safeguards;
use crate::domain::Class;
use crate::interest::{BucketSubscriptions, InterestAction, Linger, SubscribeCommand};
use crate::layout::{Bucket, BucketCount};

/// The longest wait until a connection is tried again.
const RETRY: Time = 2 * SECOND;

/// How long an answer is waited for.
const ANSWER_WAIT: Time = 5 * SECOND;

/// Buckets in one command.
const BATCH_MAX: usize = 2;

/// A node's subscriptions at one shard.
#[derive(Debug)]
pub struct Hearing {
    /// The state of its interest.
    pub machine: BucketSubscriptions,
    conn: Option<Conn>,
    attempt: u16,
    /// Whether `all` and the node's own channel are subscribed.
    begun: bool,
    /// Buckets that were needed then and are not confirmed yet, one bit each.
    missing: Option<u64>,
    commands: VecDeque<SubscribeCommand>,
    /// When the last command was sent or answered.
    asked: Time,
}

impl Hearing {
    /// Starts with nothing subscribed.
    pub fn new(linger: u64, rules: Safeguards) -> Self {
        Self {
            machine: BucketSubscriptions::under(Linger { ms: linger }, rules),
            conn: None,
            attempt: 0,
            begun: false,
            missing: None,
            commands: VecDeque::new(),
            asked: 0,
        }
    }

    /// Whether a command waits for its answer for too long.
    fn is_late(&self, now: Time) -> bool {
        let waits = !self.begun || !self.commands.is_empty();
        self.conn.is_some() && waits && now - self.asked > ANSWER_WAIT
    }
}

/// A bucket of the simulation in the form of the interest.
pub fn bucket(index: u8) -> Bucket {
    let of = BucketCount::new(64).expect("64 is a power of two");
    Bucket { class: Class::User, of, index: u32::from(index) }
}

fn channels(batch: &SubscribeCommand) -> u64 {
    batch.buckets.iter().fold(0, |mask, bucket| mask | 1 << bucket.index)
}

impl World {
    pub(super) fn hearing(&mut self, life: Life, shard: u8) -> &mut Hearing {
        &mut self.nodes[usize::from(life.node)].interest.hearing[usize::from(shard)]
    }

    /// Makes a connection.
    pub fn connect_subscriber(&mut self, at: At, shard: u8, attempt: u16) {
        let hearing = self.hearing(at.life, shard);
        if hearing.conn.is_none() && hearing.attempt == attempt && !self.connect(at, shard, true) {
            self.retry_subscriber(at, shard);
        }
    }

    fn retry_subscriber(&mut self, at: At, shard: u8) {
        let wait = self.rng.below(RETRY);
        let hearing = self.hearing(at.life, shard);
        hearing.attempt += 1;
        let job = Job::SubConnect(shard, hearing.attempt);
        self.queue.push(self.now + wait, Event::Thread(at, job));
    }

    /// Handles that it is up: what is always subscribed comes first.
    pub fn subscriber_up(&mut self, at: At, conn: Conn) {
        let (shard, now) = (self.redis.conn(conn).shard, self.now);
        let hearing = self.hearing(at.life, shard);
        if hearing.conn.is_some() {
            return self.hang_up(conn);
        }
        (hearing.conn, hearing.begun, hearing.missing) = (Some(conn), false, None);
        hearing.asked = now;
        let run = self.redis.run(conn);
        trace!(self, "{at:?} subscriber {shard} up to {run:?}");
        self.tell(at.life, Told::Connected(shard, run));
        self.send_up(conn, SimCommand::Subscribe(always(at.life.node)));
    }

    /// Handles the answer to a command.
    pub fn subscriber_answered(&mut self, at: At, conn: Conn) {
        let shard = self.redis.conn(conn).shard;
        let (needed, now) = (self.needed(at.life, shard), self.now);
        let hearing = self.hearing(at.life, shard);
        if hearing.conn != Some(conn) {
            return;
        }
        hearing.asked = now;
        if hearing.begun {
            if let Some(batch) = hearing.commands.pop_front() {
                self.confirm(at, shard, &batch);
            }
        } else {
            hearing.begun = true;
            hearing.missing = Some(needed);
            hearing.machine.connected();
        }
        self.command(at, shard);
    }

    fn confirm(&mut self, at: At, shard: u8, batch: &SubscribeCommand) {
        let hearing = self.hearing(at.life, shard);
        let tickets = hearing.machine.answered(batch);
        if let Some(missing) = &mut hearing.missing {
            *missing &= !channels(batch);
        }
        for send_id in tickets {
            let (owner, job) = self.waiter(at.life, send_id);
            self.hand_off(owner, job);
        }
    }

    /// The buckets of a shard that sessions on a node need.
    fn needed(&self, life: Life, shard: u8) -> u64 {
        let node = &self.nodes[usize::from(life.node)];
        let keys =
            (0..KEYS_MAX as SimKey).filter(|key| node.interest.wants[usize::from(*key)] != 0);
        let buckets = keys.map(|key| self.bucket_of(key));
        buckets.filter(|bucket| self.shard_of(*bucket) == shard).fold(0, |mask, b| mask | 1 << b)
    }

    /// Sends the next command, if the connection takes one.
    pub fn command(&mut self, at: At, shard: u8) {
        let (window, now) = (self.plan.bounds.commands, self.now);
        let hearing = self.hearing(at.life, shard);
        if hearing.is_late(now) {
            return self.cut_subscriber(at, shard);
        }
        hearing.machine.expire(now / MILLI);
        let Some(conn) = hearing.conn.filter(|_| hearing.begun) else { return };
        if hearing.commands.len() < window
            && let Some(batch) = hearing.machine.next_batch(BATCH_MAX)
        {
            let channels = channels(&batch);
            let command = match batch.action {
                InterestAction::Subscribe => SimCommand::Subscribe(channels),
                InterestAction::Unsubscribe => SimCommand::Unsubscribe(channels),
            };
            hearing.commands.push_back(batch);
            hearing.asked = now;
            return self.send_command(at, shard, conn, command);
        }
        let is_idle = hearing.commands.is_empty();
        if hearing.missing.is_some_and(|missing| missing == 0 || is_idle) {
            hearing.missing = None;
            self.tell(at.life, Told::Resubscribed(shard));
        }
    }

    fn send_command(&mut self, at: At, shard: u8, conn: Conn, command: SimCommand) {
        self.send_up(conn, command);
        self.command(at, shard);
    }

    /// Handles that a connection is gone.
    pub fn subscriber_closed(&mut self, at: At, conn: Conn) {
        let shard = self.redis.conn(conn).shard;
        if self.hearing(at.life, shard).conn.is_none_or(|mine| mine == conn) {
            self.cut_subscriber(at, shard);
        }
    }

    /// Closes a connection; its shard's address is resolved again.
    pub fn cut_subscriber(&mut self, at: At, shard: u8) {
        let hearing = self.hearing(at.life, shard);
        if let Some(conn) = hearing.conn.take() {
            hearing.machine.disconnected();
            hearing.commands.clear();
            (hearing.begun, hearing.missing) = (false, None);
            trace!(self, "{at:?} subscriber {shard} down");
            self.hang_up(conn);
            self.tell(at.life, Told::Lost(shard));
        }
        self.retry_subscriber(at, shard);
    }

    /// Handles a push.
    pub fn pushed(&mut self, at: At, conn: Conn, cargo: SimCargo) {
        let shard = self.redis.conn(conn).shard;
        if self.hearing(at.life, shard).conn != Some(conn) {
            return;
        }
        match cargo.what {
            What::Canary(number) if cargo.from == at.life => {
                self.tell(at.life, Told::Canary(shard, number));
            }
            What::Message(message) if cargo.from != at.life => {
                self.dispatch(at.life, message, cargo.keys, 0);
            }
            _ => {}
        }
    }

    /// Puts a message into the queues of the workers that want it, except those of `but`.
    pub fn dispatch(&mut self, life: Life, message: u8, keys: SimKeys, but: u8) {
        let wants = &self.nodes[usize::from(life.node)].interest.wants;
        let wanted = each_key(keys).fold(0, |mask, key| mask | wants[usize::from(key)]);
        let workers = wanted & !but;
        for worker in (0..self.plan.size.workers).filter(|worker| workers & 1 << worker != 0) {
            self.put(life, worker, QueueItem::Deliver(message, keys));
        }
    }
}
