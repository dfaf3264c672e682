//! Taps: nodes that hear every event of class `topic`, since a session there holds a wide
//! pattern. Whoever publishes such an event sends a copy for them while there are any.
//!
//! Invariants worth naming:
//! - A worker's bit is set *before* the tap channel is commanded and cleared after the worker's
//!   last wide pattern is gone: what is heard finds whom it is for.
//! - The tap of this node is confirmed when every shard has answered and a reading of the roster
//!   that ended *after* the tap began showed that every live node copies.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Confirmation, InterestAction};
use crate::layout::ShardIndex;

/// How long copies are sent for a notice alone: seven turns of the roster, which is written and
/// read every 2 s and decides from then on.
const NOTICE_HOLDS: Duration = Duration::from_secs(15);

/// What a node knows of taps: of its own, and whether there are others.
#[derive(Debug)]
pub struct WildcardFeed {
    /// Workers whose sessions hold wide patterns, a bit each; changed under the lock of `own`.
    workers: AtomicU64,
    /// Whether a live row of another node has `tap`.
    others: AtomicBool,
    /// Until when the last notice holds, in milliseconds since `began`; zero before the first.
    noticed_until: AtomicU64,
    began: Instant,
    own: watch::Sender<OwnFeed>,
}

/// How the tap of this node stands.
#[derive(Debug)]
pub struct OwnFeed {
    wanted: bool,
    /// How often this node became a tap.
    begins: u64,
    /// Every live node sends copies.
    copied: bool,
    /// The shards on which the channel is heard.
    heard: Vec<bool>,
}

impl OwnFeed {
    /// Whether every event published from now on is heard.
    pub fn is_confirmed(&self) -> bool {
        self.wanted && self.copied && self.heard.iter().all(|heard| *heard)
    }

    /// Whether a wait for the confirmation is over: it came, or nobody needs the tap any more.
    pub(super) fn is_settled(&self) -> bool {
        !self.wanted || self.is_confirmed()
    }
}

impl WildcardFeed {
    /// What the notice of a new tap is about.
    pub const NOTICE: &'static str = "tap";

    /// Of a node with so many shards: it is no tap, and knows of none.
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

    /// A worker's first session holds a wide pattern; true if that makes the node a tap, which
    /// the others are to be told.
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

    /// A worker's last wide pattern is gone.
    pub fn end(&self, worker: u32) {
        self.own.send_if_modified(|own| {
            let before = self.workers.fetch_and(!(1 << worker), Ordering::Relaxed);
            let last = own.wanted && before & !(1 << worker) == 0;
            own.wanted &= !last;
            last
        });
    }

    /// The workers whose sessions hold wide patterns, a bit each.
    pub fn workers(&self) -> u64 {
        self.workers.load(Ordering::Relaxed)
    }

    /// Whether this node is a tap: `tap` in its row of the roster.
    pub fn is_tap(&self) -> bool {
        self.workers() != 0
    }

    /// Whether this node sends copies: `copies` in its row of the roster. Some live node taps,
    /// itself included: who reads the row may rely on it.
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

    /// Another node said that it is a tap: copies are sent from now on, and go on being sent if
    /// the roster says so in time.
    pub fn heard(&self) {
        let new = !self.copies();
        let until = self.now() + NOTICE_HOLDS.as_millis() as u64;
        self.noticed_until.fetch_max(until, Ordering::Relaxed);
        if new {
            self.own.send_modify(|_own| {});
        }
    }

    /// What a reading of the roster says: whether a live row of another node has `tap`, and
    /// whether every live row, this node's own included, has `copies`.
    pub fn roster(&self, others_tap: bool, all_copy: bool) {
        self.others.store(others_tap, Ordering::Relaxed);
        self.own.send_if_modified(|own| std::mem::replace(&mut own.copied, all_copy) != all_copy);
    }

    /// How often this node became a tap: a reading of the roster that began before the last time
    /// says nothing of it.
    pub fn begins(&self) -> u64 {
        self.own.borrow().begins
    }

    /// Whether somebody may wait for this node's tap.
    pub fn is_awaited(&self) -> bool {
        let own = self.own.borrow();
        own.wanted && !own.is_confirmed()
    }

    /// When the tap of this node is confirmed.
    pub fn confirmation(&self) -> Confirmation {
        let own = self.own.subscribe();
        let confirmed = own.borrow().is_confirmed();
        if confirmed { Confirmation::Done } else { Confirmation::OfTap(own) }
    }

    /// Tells of changes: of what is to be commanded, and of what this node's row says.
    pub fn changes(&self) -> watch::Receiver<OwnFeed> {
        self.own.subscribe()
    }

    /// What to command next for the tap channel on a shard's connection. An unsubscribe counts
    /// from here on, so that nobody is told of a confirmation that is about to end.
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

    /// The command was answered.
    pub fn answered(&self, shard: ShardIndex, action: InterestAction) {
        self.note_heard(shard, action == InterestAction::Subscribe);
    }

    /// The shard's connection is gone, and the channel is not heard there.
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

    /// Begins a tap that every live node copies for.
    fn begin(feed: &WildcardFeed) {
        feed.begin(0);
        feed.roster(false, true);
    }

    fn is_confirmed(feed: &WildcardFeed) -> bool {
        matches!(feed.confirmation(), Confirmation::Done)
    }

    #[tokio::test]
    async fn the_node_taps_while_any_worker_does() {
        let feed = WildcardFeed::new(1);
        assert!(!feed.is_tap() && !feed.copies());
        assert!(feed.begin(0) && !feed.begin(63) && !feed.begin(0), "told once");
        feed.end(0);
        assert_eq!(feed.workers(), 1 << 63);
        assert!(feed.is_tap() && feed.copies());
        feed.end(0);
        assert!(feed.is_tap(), "who has ended does not end the others");
        feed.end(63);
        assert!(!feed.is_tap() && !feed.copies());
        assert!(feed.begin(1), "told again");
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
    async fn among_others_the_roster_read_since_the_beginning_confirms() {
        let feed = WildcardFeed::new(1);
        feed.roster(true, true);
        feed.begin(0);
        command(&feed, SHARDS[0]);
        assert!(!is_confirmed(&feed), "what was read before does not count");
        feed.roster(false, false);
        assert!(!is_confirmed(&feed));
        let confirmation = feed.confirmation();
        feed.roster(false, true);
        assert!(confirmation.within(LONG).await && is_confirmed(&feed));
        assert!(!feed.begin(1) && is_confirmed(&feed), "the node taps already");
    }

    #[tokio::test(start_paused = true)]
    async fn copies_are_sent_on_a_notice_until_the_roster_could_tell() {
        let feed = WildcardFeed::new(1);
        let mut changes = feed.changes();
        feed.heard();
        assert!(feed.copies() && !feed.is_tap());
        assert!(changes.has_changed().unwrap(), "the row says `copies` now");
        changes.mark_unchanged();
        feed.roster(false, false);
        tokio::time::advance(NOTICE_HOLDS.mul_f64(0.9)).await;
        assert!(feed.copies(), "the roster may not know yet");
        feed.heard();
        assert!(!changes.has_changed().unwrap());
        tokio::time::advance(NOTICE_HOLDS).await;
        assert!(!feed.copies());
        feed.roster(true, false);
        tokio::time::advance(NOTICE_HOLDS).await;
        assert!(feed.copies(), "the roster says so");
        feed.roster(false, false);
        assert!(!feed.copies());
    }
}
