//! The wildcard feed. A node whose sessions hold a wide pattern receives every event of class
//! `topic`. While there are such nodes, each node that publishes such an event sends a copy for
//! them, on the channel `tap`.
//!
//! Invariants worth naming:
//! - A worker's bit is set *before* the subscription of the channel is commanded, and cleared after
//!   the worker's last wide pattern is gone. So what arrives finds its worker.
//! - The feed of this node is confirmed when two things hold. Every shard has answered, and a read
//!   of the cluster table that ended *after* the feed began showed that every live node sends
//!   copies.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Confirmation, InterestAction};
use crate::layout::ShardIndex;

/// How long copies are sent because of a notice alone: seven turns of the cluster table. It is
/// written and read every 2 s, and decides from then on.
const NOTICE_HOLDS: Duration = Duration::from_secs(15);

/// What a node knows of wildcard feeds: of its own, and whether other nodes have one.
#[derive(Debug)]
pub struct WildcardFeed {
    /// Workers whose sessions hold wide patterns, one bit each. Changed under the lock of `own`.
    workers: AtomicU64,
    /// Whether a live heartbeat of another node has `tap`.
    others: AtomicBool,
    /// Until when the last notice holds, in milliseconds since `began`. Zero before the first.
    noticed_until: AtomicU64,
    began: Instant,
    own: watch::Sender<OwnFeed>,
}

/// The state of this node's own wildcard feed.
#[derive(Debug)]
pub struct OwnFeed {
    wanted: bool,
    /// How often this node's feed began.
    begins: u64,
    /// Whether every live node sends copies.
    copied: bool,
    /// The shards on which the channel is subscribed.
    heard: Vec<bool>,
}

impl OwnFeed {
    /// Whether the node receives every event published from now on.
    pub fn is_confirmed(&self) -> bool {
        self.wanted && self.copied && self.heard.iter().all(|heard| *heard)
    }

    /// Whether a wait for the confirmation is over: it came, or no session needs the feed any more.
    pub(super) fn is_settled(&self) -> bool {
        !self.wanted || self.is_confirmed()
    }
}

impl WildcardFeed {
    /// The text of the notice that a feed began.
    pub const NOTICE: &'static str = "tap";

    /// Starts for a node with so many shards: no node has a feed.
    pub fn new(shards: usize) -> Self {
        let own = OwnFeed { wanted: false, begins: 0, copied: false, heard: vec![false; shards] };
        Self {
            workers: AtomicU64::new(0),
            others: AtomicBool::new(false),
            noticed_until: AtomicU64::new(0),
            began: Instant::now(),
            own: watch::Sender::new(own),
        }
    }

    /// Notes that a worker's first session holds a wide pattern. Returns true if the node's feed
    /// begins with it; then the other nodes must be notified.
    pub fn begin(&self, worker: u32) -> bool {
        self.own.send_if_modified(|own| {
            let first = self.workers.fetch_or(1 << worker, Ordering::Relaxed) == 0;
            if first {
                own.wanted = true;
                own.copied = false;
                own.begins += 1;
            }
            first
        })
    }

    /// Notes that a worker's last wide pattern is gone.
    pub fn end(&self, worker: u32) {
        self.own.send_if_modified(|own| {
            let before = self.workers.fetch_and(!(1 << worker), Ordering::Relaxed);
            let last = own.wanted && before & !(1 << worker) == 0;
            own.wanted &= !last;
            last
        });
    }

    /// Returns the workers whose sessions hold wide patterns, one bit each.
    pub fn workers(&self) -> u64 {
        self.workers.load(Ordering::Relaxed)
    }

    /// Whether this node has a feed: `tap` in its heartbeat.
    pub fn is_tap(&self) -> bool {
        self.workers() != 0
    }

    /// Whether this node sends copies: `copies` in its heartbeat. That is so while any live node
    /// has a feed, itself included. A node that reads the heartbeat may rely on it.
    pub fn copies(&self) -> bool {
        self.is_tap() || self.others.load(Ordering::Relaxed) || self.is_noticed()
    }

    fn is_noticed(&self) -> bool {
        let until = self.noticed_until.load(Ordering::Relaxed);
        until != 0 && self.now() < until
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Notes that another node announced its feed. Copies are sent from now on, and continue if the
    /// cluster table confirms it in time.
    pub fn heard(&self) {
        let new = !self.copies();
        let until = self.now() + NOTICE_HOLDS.as_millis() as u64;
        self.noticed_until.fetch_max(until, Ordering::Relaxed);
        if new {
            self.own.send_modify(|_own| {});
        }
    }

    /// Applies a read of the cluster table. It states whether a live heartbeat of another node has
    /// `tap`, and whether every live heartbeat, this node's own included, has `copies`.
    pub fn cluster_read(&self, others_tap: bool, all_copy: bool) {
        self.others.store(others_tap, Ordering::Relaxed);
        self.own.send_if_modified(|own| std::mem::replace(&mut own.copied, all_copy) != all_copy);
    }

    /// Returns how often this node's feed began. A read of the cluster table that began before the
    /// last time does not count for it.
    pub fn begins(&self) -> u64 {
        self.own.borrow().begins
    }

    /// Whether a session may wait for this node's feed.
    pub fn is_awaited(&self) -> bool {
        let own = self.own.borrow();
        own.wanted && !own.is_confirmed()
    }

    /// Returns when the feed of this node is confirmed.
    pub fn confirmation(&self) -> Confirmation {
        let own = self.own.subscribe();
        let confirmed = own.borrow().is_confirmed();
        if confirmed { Confirmation::Done } else { Confirmation::OfTap(own) }
    }

    /// Returns a receiver of changes: of what must be commanded, and of this node's heartbeat.
    pub fn changes(&self) -> watch::Receiver<OwnFeed> {
        self.own.subscribe()
    }

    /// Takes the next command for the feed's channel on a shard's connection. An unsubscribe counts
    /// from here on, so that no session gets a confirmation that is about to end.
    pub fn next_action(&self, shard: ShardIndex) -> Option<InterestAction> {
        let mut action = None;
        self.own.send_if_modified(|own| {
            let heard = &mut own.heard[shard.0 as usize];
            action = match (own.wanted, *heard) {
                (true, false) => Some(InterestAction::Subscribe),
                (false, true) => Some(InterestAction::Unsubscribe),
                _ => None,
            };
            *heard &= own.wanted;
            false
        });
        action
    }

    /// Notes that the command was answered.
    pub fn answered(&self, shard: ShardIndex, action: InterestAction) {
        self.note_heard(shard, action == InterestAction::Subscribe);
    }

    /// Notes that the shard's connection is gone, and with it the subscription there.
    pub fn disconnected(&self, shard: ShardIndex) {
        self.note_heard(shard, false);
    }

    fn note_heard(&self, shard: ShardIndex, heard: bool) {
        self.own.send_if_modified(|own| {
            std::mem::replace(&mut own.heard[shard.0 as usize], heard) != heard
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARDS: [ShardIndex; 2] = [ShardIndex(0), ShardIndex(1)];
    const LONG: Duration = Duration::from_secs(10);

    /// Does what the owner of a shard's connection does.
    fn command(feed: &WildcardFeed, shard: ShardIndex) -> Option<InterestAction> {
        let action = feed.next_action(shard)?;
        feed.answered(shard, action);
        Some(action)
    }

    /// Begins a feed for which every live node sends copies.
    fn begin(feed: &WildcardFeed) {
        feed.begin(0);
        feed.cluster_read(false, true);
    }

    fn is_confirmed(feed: &WildcardFeed) -> bool {
        matches!(feed.confirmation(), Confirmation::Done)
    }

    #[tokio::test]
    async fn the_node_taps_while_any_worker_does() {
        let feed = WildcardFeed::new(1);
        assert!(!feed.is_tap() && !feed.copies());
        assert!(feed.begin(0) && !feed.begin(63) && !feed.begin(0), "notified once");
        feed.end(0);
        assert_eq!(feed.workers(), 1 << 63);
        assert!(feed.is_tap() && feed.copies());
        feed.end(0);
        assert!(feed.is_tap(), "a worker that ended does not end the others");
        feed.end(63);
        assert!(!feed.is_tap() && !feed.copies());
        assert!(feed.begin(1), "notified again");
    }

    #[tokio::test]
    async fn confirmed_is_what_every_shard_answered() {
        let feed = WildcardFeed::new(2);
        assert_eq!(SHARDS.map(|shard| command(&feed, shard)), [None; 2]);
        begin(&feed);
        assert_eq!(command(&feed, SHARDS[0]), Some(InterestAction::Subscribe));
        assert!(!is_confirmed(&feed));
        let confirmation = feed.confirmation();
        assert_eq!(command(&feed, SHARDS[1]), Some(InterestAction::Subscribe));
        assert!(confirmation.within(LONG).await && is_confirmed(&feed));
        feed.disconnected(SHARDS[1]);
        assert!(!is_confirmed(&feed));
        assert_eq!(SHARDS.map(|s| command(&feed, s)), [None, Some(InterestAction::Subscribe)]);
        assert!(is_confirmed(&feed));
    }

    #[tokio::test]
    async fn an_unsubscribe_that_is_on_its_way_confirms_nobody() {
        let feed = WildcardFeed::new(1);
        begin(&feed);
        command(&feed, SHARDS[0]);
        feed.end(0);
        begin(&feed);
        assert!(is_confirmed(&feed), "nothing was commanded meanwhile");
        feed.end(0);
        assert_eq!(feed.next_action(SHARDS[0]), Some(InterestAction::Unsubscribe));
        begin(&feed);
        assert!(!is_confirmed(&feed));
        feed.answered(SHARDS[0], InterestAction::Unsubscribe);
        assert_eq!(command(&feed, SHARDS[0]), Some(InterestAction::Subscribe));
        assert!(is_confirmed(&feed));
    }

    #[tokio::test]
    async fn a_wait_for_a_tap_that_nobody_needs_any_more_ends() {
        let feed = WildcardFeed::new(1);
        begin(&feed);
        let confirmation = feed.confirmation();
        let (confirmed, ()) = tokio::join!(confirmation.within(LONG), async { feed.end(0) });
        assert!(!confirmed);
    }

    #[tokio::test]
    async fn among_others_the_cluster_table_read_since_the_beginning_confirms() {
        let feed = WildcardFeed::new(1);
        feed.cluster_read(true, true);
        feed.begin(0);
        command(&feed, SHARDS[0]);
        assert!(!is_confirmed(&feed), "an earlier read does not count");
        feed.cluster_read(false, false);
        assert!(!is_confirmed(&feed));
        let confirmation = feed.confirmation();
        feed.cluster_read(false, true);
        assert!(confirmation.within(LONG).await && is_confirmed(&feed));
        assert!(!feed.begin(1) && is_confirmed(&feed), "the node has a feed already");
    }

    #[tokio::test(start_paused = true)]
    async fn copies_are_sent_on_a_notice_until_the_cluster_table_could_tell() {
        let feed = WildcardFeed::new(1);
        let mut changes = feed.changes();
        feed.heard();
        assert!(feed.copies() && !feed.is_tap());
        assert!(changes.has_changed().unwrap(), "the heartbeat has `copies` now");
        changes.mark_unchanged();
        feed.cluster_read(false, false);
        tokio::time::advance(NOTICE_HOLDS.mul_f64(0.9)).await;
        assert!(feed.copies(), "the cluster table may not have it yet");
        feed.heard();
        assert!(!changes.has_changed().unwrap());
        tokio::time::advance(NOTICE_HOLDS).await;
        assert!(!feed.copies());
        feed.cluster_read(true, false);
        tokio::time::advance(NOTICE_HOLDS).await;
        assert!(feed.copies(), "the cluster table states it");
        feed.cluster_read(false, false);
        assert!(!feed.copies());
    }
}
