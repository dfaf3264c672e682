//! The rows of a batch.

use std::sync::Arc;

use ahash::AHashMap;
use fjall::OwnedWriteBatch;

use super::entry::{BatchEntry, Register, RegisterKind};
use super::tables::{Tables, corrupt, reason};
use super::writer::{Commit, CommitError};
use super::{expiry, keys, meta, query, row};
use crate::domain::{
    Conversation, MemberState, Membership, Message, MessageId, Micros, RoomId, UserId,
};
use crate::store::{Day, ReadError};

/// Most rows of an entry: a message itself, two of activity and two of membership.
const ROWS_AN_ENTRY: usize = 5;

/// Writes batches. It belongs to the write thread, so what it reads before a commit still holds in
/// it.
pub(super) struct BatchBuilder {
    tables: Arc<Tables>,
    /// The largest time of any message's id and any stamp stored.
    high_water: Micros,
}

/// The sum of one batch, so that each register is compared once with what is stored.
#[derive(Default)]
struct Sum<'a> {
    /// The newest message of each direct conversation and day.
    activity: AHashMap<(&'a Conversation, Day), MessageId>,
    /// The newest message of each room.
    heads: AHashMap<&'a RoomId, MessageId>,
    registers: AHashMap<(RegisterKind, &'a [u8]), &'a Register>,
    memberships: AHashMap<(&'a RoomId, &'a UserId), MemberState>,
    /// Rooms that are removed from the lists of their users, by the removal.
    unlisted: AHashMap<(&'a RoomId, &'a UserId), MessageId>,
}

impl<'a> Sum<'a> {
    /// Ids sort by time, so the largest id is the newest message.
    fn message(&mut self, message: &'a Message) {
        let newest = match &message.conversation {
            Conversation::Room(room) => self.heads.entry(room).or_insert(message.id),
            direct @ Conversation::Dm(..) => {
                let slot = (direct, Day::of(message.id.time()));
                self.activity.entry(slot).or_insert(message.id)
            }
        };
        *newest = message.id.max(*newest);
    }

    fn register(&mut self, register: &'a Register) {
        let slot = self.registers.entry((register.kind, &register.key));
        let standing = slot.or_insert(register);
        if register.rank > standing.rank {
            *standing = register;
        }
    }

    fn membership(&mut self, membership: &'a Membership) {
        let Membership { room, user, state } = membership;
        let sum = self.memberships.entry((room, user)).or_insert(MemberState::UNKNOWN);
        *sum = sum.merge(*state);
    }

    fn unlist(&mut self, left: &'a Membership) {
        let removed = self.unlisted.entry((&left.room, &left.user)).or_insert(left.state.removed);
        *removed = left.state.removed.max(*removed);
    }
}

impl BatchBuilder {
    pub(super) fn new(tables: Arc<Tables>, high_water: Micros) -> Self {
        Self { tables, high_water }
    }

    fn stage(
        &self,
        entries: &[BatchEntry],
        high_water: Micros,
    ) -> Result<OwnedWriteBatch, ReadError> {
        let wall = self.tables.clock.now();
        let mut batch = self.tables.batch(ROWS_AN_ENTRY * entries.len() + 1);
        let mut sum = Sum::default();
        for entry in entries {
            match entry {
                BatchEntry::Message { message, row } => {
                    let key = keys::message(&message.conversation, message.id);
                    batch.insert(&self.tables.messages, key, row);
                    sum.message(message);
                }
                BatchEntry::Register(register)
                    if has_expired(register.kind, register.rank, wall) => {}
                BatchEntry::Register(register) => sum.register(register),
                BatchEntry::Membership(membership) => sum.membership(membership),
                BatchEntry::Unlist(left) => sum.unlist(left),
            }
        }
        for ((conversation, day), last) in sum.activity {
            self.raise(&mut batch, conversation, day, last)?;
        }
        for (room, newest) in sum.heads {
            self.settle(&mut batch, &Register::head(room, newest), wall)?;
        }
        for register in sum.registers.into_values() {
            self.settle(&mut batch, register, wall)?;
        }
        for ((room, user), removed) in sum.unlisted {
            // A batch may write a row once, and a change in this batch comes after the removal.
            if !sum.memberships.contains_key(&(room, user)) {
                self.unlist(&mut batch, room, user, removed)?;
            }
        }
        for ((room, user), state) in sum.memberships {
            self.merge(&mut batch, room, user, state)?;
        }
        if high_water > self.high_water {
            meta::put_high_water(&mut batch, &self.tables, high_water);
        }
        Ok(batch)
    }

    /// Writes a register unless the stored row stays.
    fn settle(
        &self,
        batch: &mut OwnedWriteBatch,
        register: &Register,
        wall: Micros,
    ) -> Result<(), ReadError> {
        let Register { kind, key, rank, row } = register;
        let (name, table) = self.tables.of(*kind);
        let stored = table.get(key)?.map(|row| row::rank(&row)).transpose();
        let standing = stored
            .map_err(|defect| corrupt(name, key, &defect))?
            .filter(|rank| !has_expired(*kind, *rank, wall));
        if standing.is_some_and(|standing| standing >= *rank) {
            return Ok(());
        }
        batch.insert(table, key.as_slice(), row);
        Ok(())
    }

    /// Merges a user's state in a room with what is stored. Both sides are written together and
    /// only here, so they agree where both exist.
    fn merge(
        &self,
        batch: &mut OwnedWriteBatch,
        room: &RoomId,
        user: &UserId,
        state: MemberState,
    ) -> Result<(), ReadError> {
        let key = keys::member(room, user);
        let stored = query::rooms::member_state(&self.tables, &key)?;
        let merged = stored.map_or(state, |stored| stored.merge(state));
        if stored != Some(merged) {
            let there = keys::membership(user, &Conversation::Room(room.clone()));
            batch.insert(&self.tables.rooms.members, key, row::member(&merged));
            batch.insert(&self.tables.memberships, there, row::membership(&merged));
        }
        Ok(())
    }

    /// Removes a room from the list of a user who is still out by the given removal.
    fn unlist(
        &self,
        batch: &mut OwnedWriteBatch,
        room: &RoomId,
        user: &UserId,
        removed: MessageId,
    ) -> Result<(), ReadError> {
        let stored = query::rooms::member_state(&self.tables, &keys::member(room, user))?;
        if stored.is_some_and(|stored| stored.removed == removed && !stored.is_inside()) {
            let key = keys::membership(user, &Conversation::Room(room.clone()));
            batch.remove(&self.tables.memberships, key);
        }
        Ok(())
    }

    /// Raises the activity of both users. The first message of a day writes the memberships too; if
    /// the conversation is older they exist already, with the same content.
    fn raise(
        &self,
        batch: &mut OwnedWriteBatch,
        conversation: &Conversation,
        day: Day,
        last: MessageId,
    ) -> Result<(), ReadError> {
        let Conversation::Dm(one, other) = conversation else { return Ok(()) };
        let stored = query::last_active(&self.tables, one, day, conversation)?;
        if stored >= Some(last) {
            return Ok(());
        }
        // A conversation of a user with the same user has both rows in one.
        for user in [Some(one), (one != other).then_some(other)].into_iter().flatten() {
            let key = keys::activity(user, day, conversation);
            batch.insert(&self.tables.activity, key, row::id(last));
            if stored.is_none() {
                let key = keys::membership(user, conversation);
                batch.insert(&self.tables.memberships, key, row::direct_membership());
            }
        }
        Ok(())
    }
}

impl Commit for BatchBuilder {
    fn commit(&mut self, entries: &[BatchEntry]) -> Result<(), CommitError> {
        let newest = entries.iter().filter_map(BatchEntry::issued).max();
        let high_water = self.high_water.max(newest.unwrap_or_default());
        let batch = self
            .stage(entries, high_water)
            .map_err(|error| CommitError::NotWritten(error.to_string()))?;
        batch.commit().map_err(|error| match error {
            // Refused before the journal was touched; the disk's error explains more.
            fjall::Error::Poisoned => {
                CommitError::Failed(self.tables.check().err().unwrap_or_else(|| reason(&error)))
            }
            error => CommitError::Unknown(reason(&error)),
        })?;
        if !self.tables.files.has_journal() {
            return Err(CommitError::Unknown("the journal was removed".to_owned()));
        }
        self.high_water = high_water;
        Ok(())
    }
}

/// Only nonces expire.
fn has_expired(kind: RegisterKind, rank: MessageId, wall: Micros) -> bool {
    kind == RegisterKind::Nonce && !expiry::is_kept(rank, wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MemberRole;
    use crate::store::conformance::queries::{page_of, participant, read_upto, sent_under};
    use crate::store::{HistoryRange, IdempotencyRecord, PageLimit};

    fn entry(conversation: &Conversation, time: u64) -> BatchEntry {
        let message = Message {
            id: MessageId::first_of(Micros(time)),
            conversation: conversation.clone(),
            from: UserId::parse("a").unwrap(),
            nonce: None,
            body: "1".into(),
        };
        BatchEntry::message(Arc::new(message)).unwrap()
    }

    fn dm() -> Conversation {
        Conversation::between(&UserId::parse("a").unwrap(), &UserId::parse("b").unwrap())
    }

    fn builder() -> (BatchBuilder, tempfile::TempDir) {
        let home = tempfile::tempdir().unwrap();
        (BatchBuilder::new(Arc::new(Tables::open(home.path()).unwrap()), Micros(0)), home)
    }

    #[test]
    fn one_batch_may_hold_a_conversation_twice_and_a_message_twice() {
        let (mut builder, _home) = builder();
        let batch = [entry(&dm(), 9), entry(&dm(), 9), entry(&dm(), 5)];
        builder.commit(&batch).unwrap();
        let limit = PageLimit { messages: 9, bytes: 9999 };
        let page =
            query::history(&builder.tables, &page_of(&dm(), HistoryRange::After(None), limit))
                .unwrap();
        let times: Vec<_> = page.messages.iter().map(|message| message.id.time().0).collect();
        assert_eq!(times, [5, 9]);
        for user in ["a", "b"].map(|id| UserId::parse(id).unwrap()) {
            let last = query::last_active(&builder.tables, &user, Day(0), &dm()).unwrap();
            assert_eq!(last, Some(MessageId::first_of(Micros(9))));
        }
    }

    #[test]
    fn the_high_water_mark_is_stored_with_the_batch_and_never_falls() {
        let (mut builder, _home) = builder();
        for (time, mark) in [(7, 7), (3, 7), (8, 8)] {
            builder.commit(&[entry(&dm(), time)]).unwrap();
            assert_eq!(meta::high_water(&builder.tables).unwrap(), Micros(mark));
        }
    }

    #[test]
    fn stamps_raise_the_high_water_mark_and_what_clients_choose_does_not() {
        let (mut builder, _home) = builder();
        let (user, room) = (UserId::parse("a").unwrap(), RoomId::parse("r").unwrap());
        let at = |time| MessageId::first_of(Micros(time));
        let said = |time| Membership {
            room: room.clone(),
            user: user.clone(),
            state: MemberState::UNKNOWN.add(MemberRole::Member, at(time)),
        };
        let nonce = IdempotencyRecord { id: at(50), content: 0 };
        for (entry, mark) in [
            (entry(&dm(), 7), 7),
            (BatchEntry::membership(said(8)), 8),
            (BatchEntry::read_mark(&read_upto(&user, &dm(), at(99))), 8),
            (BatchEntry::idempotency(&sent_under(&user, "n", nonce)).unwrap(), 8),
            (BatchEntry::membership(said(5)), 8),
        ] {
            builder.commit(&[entry]).unwrap();
            assert_eq!(meta::high_water(&builder.tables).unwrap(), Micros(mark));
        }
    }

    #[test]
    fn one_batch_may_hold_a_register_in_any_order() {
        let user = UserId::parse("a").unwrap();
        let at = |time| MessageId::first_of(Micros(time));
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2]] {
            let (mut builder, _home) = builder();
            let batch = order.map(|time| BatchEntry::read_mark(&read_upto(&user, &dm(), at(time))));
            builder.commit(&batch).unwrap();
            let mark = query::read_mark(&builder.tables, &participant(&user, &dm())).unwrap();
            assert_eq!(mark, Some(at(3)), "{order:?}");
        }
    }

    #[test]
    fn a_register_that_cannot_be_read_stops_its_batch_before_it_is_written() {
        let (mut builder, _home) = builder();
        builder.commit(&[entry(&dm(), 1)]).unwrap();
        let key = keys::activity(&UserId::parse("a").unwrap(), Day(0), &dm());
        builder.tables.activity.insert(key, b"junk").unwrap();
        let error = builder.commit(&[entry(&dm(), 2)]).unwrap_err();
        let CommitError::NotWritten(reason) = error else { panic!("{error:?}") };
        assert!(reason.contains("`a\\x00\\x00\\x00\\x00\\x00dm.a.b` of `activity`"), "{reason}");
        let limit = PageLimit { messages: 9, bytes: 9999 };
        let page =
            query::history(&builder.tables, &page_of(&dm(), HistoryRange::After(None), limit))
                .unwrap();
        assert_eq!(page.messages.len(), 1);
    }
}
