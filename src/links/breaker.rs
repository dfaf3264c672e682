//! Breaks a node's connections to a shard on demand, so that its primary is looked up again.

use tokio::sync::watch;

/// One switch a shard.
#[derive(Debug)]
pub struct Breaker {
    shards: Vec<watch::Sender<u64>>,
}

/// A link's end of its shard's switch.
#[derive(Debug, Clone)]
pub struct Fuse(watch::Receiver<u64>);

impl Breaker {
    /// Switches for so many shards.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| watch::Sender::new(0)).collect() }
    }

    /// Breaks every connection of this node to a shard.
    pub fn break_links(&self, shard: usize) {
        self.shards[shard].send_modify(|breaks| *breaks += 1);
    }

    /// The switch of a shard, for one link.
    pub fn fuse(&self, shard: usize) -> Fuse {
        Fuse(self.shards[shard].subscribe())
    }
}

impl Fuse {
    /// A connection is fresh: earlier breaks do not concern it.
    pub(super) fn renew(&mut self) {
        self.0.mark_unchanged();
    }

    /// Whether the connection must be broken.
    pub(super) fn is_blown(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// Resolves when the connection must be broken.
    pub(super) async fn blown(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could break it.
            std::future::pending::<()>().await;
        }
    }
}
