//! Closes a node's connections to a shard on demand, so that its primary's address is resolved
//! again.

use tokio::sync::watch;

/// One signal per shard.
#[derive(Debug)]
pub struct ReconnectSignal {
    shards: Vec<watch::Sender<u64>>,
}

/// A connection's receiver of its shard's signal.
#[derive(Debug, Clone)]
pub struct ReconnectReceiver(watch::Receiver<u64>);

impl ReconnectSignal {
    /// Signals for `shards` shards.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| watch::Sender::new(0)).collect() }
    }

    /// Asks every connection of this node to a shard to close.
    pub fn request_reconnect(&self, shard: usize) {
        self.shards[shard].send_modify(|breaks| *breaks += 1);
    }

    /// Returns a receiver of the shard's signal, for one connection.
    pub fn reconnect_wanted(&self, shard: usize) -> ReconnectReceiver {
        ReconnectReceiver(self.shards[shard].subscribe())
    }
}

impl ReconnectReceiver {
    /// Ignores earlier signals: the connection is new.
    pub(super) fn renew(&mut self) {
        self.0.mark_unchanged();
    }

    /// Whether the connection must close.
    pub(super) fn is_requested(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// Resolves when the connection must close.
    pub(super) async fn reconnect_requested(&mut self) {
        if self.0.changed().await.is_err() {
            // No sender of signals is left.
            std::future::pending::<()>().await;
        }
    }
}
