//! Which rows a batch of messages becomes.

use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use ahash::AHashMap;
use fjall::OwnedWriteBatch;

use super::tables::{Tables, reason};
use super::writer::{Commit, CommitError, Entry};
use super::{keys, meta, query, row};
use crate::domain::{Conversation, MessageId, Micros, UserId};
use crate::store::{Day, ReadError};

/// Rows of a message: itself, and at most two of activity and two of membership.
const ROWS_A_MESSAGE: usize = 5;

/// The newest message of each direct conversation and day, within one batch.
type Registers<'a> = AHashMap<(&'a Conversation, Day), MessageId>;

/// Writes batches. The write thread's own, so what it reads before a commit is still true in it.
pub(super) struct Ledger {
    tables: Arc<Tables>,
    /// The largest time of any id stored.
    high_water: Micros,
}

impl Ledger {
    pub(super) fn new(tables: Arc<Tables>, high_water: Micros) -> Self {
        Self { tables, high_water }
    }

    fn stage(&self, entries: &[Entry], high_water: Micros) -> Result<OwnedWriteBatch, ReadError> {
        let mut batch = self.tables.batch(ROWS_A_MESSAGE * entries.len() + 1);
        for Entry { message, row } in entries {
            let key = keys::message(&message.conversation, message.id);
            batch.insert(&self.tables.messages, key, row);
        }
        for ((conversation, day), last) in registers(entries) {
            self.raise(&mut batch, conversation, day, last)?;
        }
        if high_water > self.high_water {
            meta::put_high_water(&mut batch, &self.tables, high_water);
        }
        Ok(batch)
    }

    /// Raises the activity of both users. The first message of a day writes the memberships too:
    /// they are there already if the conversation is older, and the same.
    fn raise(
        &self,
        batch: &mut OwnedWriteBatch,
        conversation: &Conversation,
        day: Day,
        last: MessageId,
    ) -> Result<(), ReadError> {
        let Some((one, other)) = pair(conversation) else { return Ok(()) };
        let stored = query::last_active(&self.tables, one, day, conversation)?;
        if stored >= Some(last) {
            return Ok(());
        }
        for user in [Some(one), other].into_iter().flatten() {
            let key = keys::activity(user, day, conversation);
            batch.insert(&self.tables.activity, key, row::activity(last));
            if stored.is_none() {
                let key = keys::membership(user, conversation);
                batch.insert(&self.tables.memberships, key, row::direct_membership());
            }
        }
        Ok(())
    }
}

impl Commit for Ledger {
    fn commit(&mut self, entries: &[Entry]) -> Result<(), CommitError> {
        let newest = entries.iter().map(|entry| entry.message.id.time()).max();
        let high_water = self.high_water.max(newest.unwrap_or_default());
        let batch = self
            .stage(entries, high_water)
            .map_err(|error| CommitError::NotWritten(error.to_string()))?;
        batch.commit().map_err(|error| match error {
            // Refused before the journal was touched.
            fjall::Error::Poisoned => CommitError::NotWritten(reason(&error)),
            error => CommitError::Unknown(reason(&error)),
        })?;
        self.high_water = high_water;
        Ok(())
    }
}

/// The two users of a direct conversation, or the one who writes to himself.
fn pair(conversation: &Conversation) -> Option<(&UserId, Option<&UserId>)> {
    match conversation {
        Conversation::Dm(one, other) => Some((one, (one != other).then_some(other))),
        Conversation::Room(_) => None,
    }
}

/// Ids sort by time, so the largest id is the newest message.
fn registers(entries: &[Entry]) -> Registers<'_> {
    let mut registers = Registers::default();
    for Entry { message, .. } in entries {
        match registers.entry((&message.conversation, Day::of(message.id.time()))) {
            Slot::Occupied(mut slot) => *slot.get_mut() = message.id.max(*slot.get()),
            Slot::Vacant(slot) => drop(slot.insert(message.id)),
        }
    }
    registers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Message;
    use crate::store::{HistoryRange, PageLimit};

    fn entry(conversation: &Conversation, time: u64) -> Entry {
        let message = Message {
            id: MessageId::first_of(Micros(time)),
            conversation: conversation.clone(),
            from: UserId::parse("a").unwrap(),
            nonce: None,
            body: "1".into(),
        };
        Entry { row: row::message(&message).unwrap(), message: Arc::new(message) }
    }

    fn dm() -> Conversation {
        Conversation::between(&UserId::parse("a").unwrap(), &UserId::parse("b").unwrap())
    }

    fn ledger() -> (Ledger, tempfile::TempDir) {
        let home = tempfile::tempdir().unwrap();
        (Ledger::new(Arc::new(Tables::open(home.path()).unwrap()), Micros(0)), home)
    }

    #[test]
    fn one_batch_may_hold_a_conversation_twice_and_a_message_twice() {
        let (mut ledger, _home) = ledger();
        let batch = [entry(&dm(), 9), entry(&dm(), 9), entry(&dm(), 5)];
        ledger.commit(&batch).unwrap();
        let limit = PageLimit { messages: 9, bytes: 99 };
        let page = query::history(&ledger.tables, &dm(), HistoryRange::After(None), limit).unwrap();
        let times: Vec<_> = page.messages.iter().map(|message| message.id.time().0).collect();
        assert_eq!(times, [5, 9]);
        for user in ["a", "b"].map(|id| UserId::parse(id).unwrap()) {
            let last = query::last_active(&ledger.tables, &user, Day(0), &dm()).unwrap();
            assert_eq!(last, Some(MessageId::first_of(Micros(9))));
        }
    }

    #[test]
    fn the_high_water_mark_is_stored_with_the_batch_and_never_falls() {
        let (mut ledger, _home) = ledger();
        for (time, mark) in [(7, 7), (3, 7), (8, 8)] {
            ledger.commit(&[entry(&dm(), time)]).unwrap();
            assert_eq!(meta::high_water(&ledger.tables).unwrap(), Micros(mark));
        }
    }

    #[test]
    fn a_register_that_cannot_be_read_stops_its_batch_before_it_is_written() {
        let (mut ledger, _home) = ledger();
        ledger.commit(&[entry(&dm(), 1)]).unwrap();
        let key = keys::activity(&UserId::parse("a").unwrap(), Day(0), &dm());
        ledger.tables.activity.insert(key, b"junk").unwrap();
        let error = ledger.commit(&[entry(&dm(), 2)]).unwrap_err();
        let CommitError::NotWritten(reason) = error else { panic!("{error:?}") };
        assert!(reason.contains("`a\\x00\\x00\\x00\\x00\\x00dm.a.b` of `activity`"), "{reason}");
        let limit = PageLimit { messages: 9, bytes: 99 };
        let page = query::history(&ledger.tables, &dm(), HistoryRange::After(None), limit).unwrap();
        assert_eq!(page.messages.len(), 1);
    }
}
