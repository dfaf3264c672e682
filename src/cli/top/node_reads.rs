//! A task for each node, which reads it again and again: a slow one holds up no other.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::ClientError;
use crate::monitor::{MonitorError, NodeSample, OperatorUrl};

/// How long a read may take, all its requests together.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads that wait to be shown. Beyond, the nodes are read later.
const READS_WAITING_MAX: usize = 64;

/// A read that has ended.
pub(super) struct NodeRead {
    /// The place of the node in the list of URLs.
    pub(super) place: usize,
    /// When it ended.
    pub(super) at: Instant,
    pub(super) read: Result<NodeSample, MonitorError>,
}

/// The tasks, which end with this.
pub(super) struct NodeReads {
    incoming: mpsc::Receiver<NodeRead>,
    _tasks: JoinSet<()>,
}

impl NodeReads {
    /// Reads all nodes, until this is dropped.
    pub(super) fn start(urls: &[OperatorUrl], every: Duration) -> Self {
        Self::times(urls, every, u64::MAX)
    }

    /// Reads all nodes twice.
    pub(super) fn twice(urls: &[OperatorUrl], every: Duration) -> Self {
        Self::times(urls, every, 2)
    }

    fn times(urls: &[OperatorUrl], every: Duration, times: u64) -> Self {
        let (found, incoming) = mpsc::channel(READS_WAITING_MAX);
        let mut tasks = JoinSet::new();
        for (place, url) in urls.iter().cloned().enumerate() {
            tasks.spawn(read_node(place, url, every, times, found.clone()));
        }
        Self { incoming, _tasks: tasks }
    }

    /// Waits for the next read; none after the last one.
    pub(super) async fn next(&mut self) -> Option<NodeRead> {
        self.incoming.recv().await
    }
}

async fn read_node(
    place: usize,
    url: OperatorUrl,
    every: Duration,
    times: u64,
    found: mpsc::Sender<NodeRead>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..times {
        ticks.tick().await;
        let read = timeout(READ_TIMEOUT, url.sample()).await;
        let late = |_elapsed| MonitorError::Unread {
            url: url.as_str().to_owned(),
            error: ClientError::Timeout(READ_TIMEOUT),
        };
        let read = read.map_err(late).and_then(|read| read);
        if found.send(NodeRead { place, at: Instant::now(), read }).await.is_err() {
            return;
        }
    }
}
