//! The cluster table of the embedded store: it holds the nodes of this process, since the store
//! belongs to one process.

use std::time::Instant;

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::cluster::{Heartbeat, Incarnation};
use crate::store::HEARTBEATS_KEPT;

/// The rows, and when their incarnations were last written.
#[derive(Debug, Default)]
pub(super) struct HeartbeatTable {
    rows: Mutex<AHashMap<Incarnation, (Heartbeat, Instant)>>,
}

impl HeartbeatTable {
    pub(super) fn write(&self, row: Heartbeat, now: Instant) {
        let mut rows = self.rows.lock();
        rows.retain(|_, (_, written)| now.saturating_duration_since(*written) <= HEARTBEATS_KEPT);
        let (kept, written) = rows.entry(row.incarnation).or_insert_with(|| (row.clone(), now));
        *written = now;
        if row.counter > kept.counter {
            *kept = row;
        }
    }

    pub(super) fn read(&self, now: Instant) -> Vec<Heartbeat> {
        let rows = self.rows.lock();
        let fresh = |written: Instant| now.saturating_duration_since(written) <= HEARTBEATS_KEPT;
        rows.values().filter(|(_, written)| fresh(*written)).map(|(row, _)| row.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::sample::row;

    #[test]
    fn rows_are_gone_an_hour_after_the_last_write() {
        let table = HeartbeatTable::default();
        let start = Instant::now();
        table.write(row(1, 1), start);
        table.write(row(2, 1), start + Duration::from_secs(1));
        assert_eq!(table.read(start + HEARTBEATS_KEPT).len(), 2);
        assert_eq!(table.read(start + HEARTBEATS_KEPT + Duration::from_millis(1)), [row(2, 1)]);
        table.write(row(3, 1), start + HEARTBEATS_KEPT * 3);
        assert_eq!(table.rows.lock().len(), 1, "rows of nodes that are gone are dropped");
    }
}
