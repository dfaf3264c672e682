//! How long a nonce is remembered, and when its row is dropped.
//!
//! Its age is that of its message's id, so it goes by a clock like the one of ids. If the machine's
//! clock is set forward by days, nothing is forgotten that was sent a moment ago.
//!
//! Reads and the ledger ignore a record older than [`IDEMPOTENCY_KEPT`]. Its row is dropped when the
//! engine next merges the files of `sends`, which it rewrites in the background anyway. So the
//! write thread pays nothing, and no index by time is needed. Rows are merged as new ones push them
//! down. So the old ones that remain are bounded by what the engine holds back between two merges:
//! a share of the live ones, and nothing that grows with time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};

use super::row;
use crate::clock::WallClock;
use crate::domain::{MessageId, Micros};
use crate::store::IDEMPOTENCY_KEPT;

/// Whether the nonce of a message is still remembered.
pub(super) fn is_kept(id: MessageId, wall: Micros) -> bool {
    wall.since(id.time()) <= IDEMPOTENCY_KEPT
}

/// Makes a filter for each merge of `sends`. A panic leaves a clock as it was.
pub(super) struct Expiry(AssertUnwindSafe<WallClock>);

impl Expiry {
    pub(super) fn factory(clock: &WallClock) -> Arc<dyn Factory> {
        Arc::new(Self(AssertUnwindSafe(clock.clone())))
    }
}

impl Factory for Expiry {
    fn name(&self) -> &'static str {
        "nonces"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Sieve { wall: self.0.now() })
    }
}

/// Drops the rows that had expired when the merge began.
struct Sieve {
    wall: Micros,
}

impl CompactionFilter for Sieve {
    /// A row that cannot be read stays, so that reads of it report that. A dropped row leaves a
    /// tombstone, without which an older row of the same key could come back.
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let keep = row::rank(&item.value()?).map_or(true, |id| is_kept(id, self.wall));
        Ok(if keep { Verdict::Keep } else { Verdict::Remove })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::keys;
    use super::super::tables::Tables;
    use super::*;
    use crate::domain::UserId;
    use crate::store::IdempotencyRecord;

    #[test]
    fn a_nonce_is_kept_for_a_day_to_the_microsecond() {
        let id = MessageId::first_of(Micros(1_795_492_901_650_123));
        let end = id.time() + IDEMPOTENCY_KEPT;
        assert!(is_kept(id, end) && is_kept(id, Micros(0)));
        assert!(!is_kept(id, end + Duration::from_micros(1)));
    }

    #[test]
    fn a_merge_drops_what_has_expired_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let tables = Tables::open(home.path()).unwrap();
        let now = WallClock::system();
        let key = |nonce: &str| keys::nonce(&UserId::parse("me").unwrap(), nonce);
        let put = |nonce: &str, age: Duration| {
            let record = IdempotencyRecord { id: MessageId::first_of(now - age), content: 7 };
            tables.receipts.sends.insert(key(nonce), row::nonce(&record)).unwrap();
        };
        put("twice", IDEMPOTENCY_KEPT * 2);
        put("old", IDEMPOTENCY_KEPT + Duration::from_secs(1));
        put("fresh", IDEMPOTENCY_KEPT / 2);
        tables.receipts.sends.insert(key("junk"), b"junk").unwrap();
        tables.receipts.sends.rotate_memtable_and_wait().unwrap();
        put("twice", Duration::ZERO);
        tables.receipts.sends.rotate_memtable_and_wait().unwrap();
        assert_eq!(tables.receipts.sends.len().unwrap(), 4);
        tables.receipts.sends.major_compact().unwrap();
        let is_there = |nonce: &str| tables.receipts.sends.contains_key(key(nonce)).unwrap();
        assert_eq!(["twice", "old", "fresh", "junk"].map(is_there), [true, false, true, true]);
    }
}
