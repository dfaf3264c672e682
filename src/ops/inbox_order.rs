//! Finds which conversations come next in an inbox, with as few reads as possible.

use ahash::AHashSet;

use super::inbox_place::InboxCursor;
use crate::domain::Conversation;
use crate::store::{Activity, Day};

/// Rows of direct conversations that are read for a page, active ones included. A page that finds
/// few dormant ones among them, or none, goes on behind the last row.
pub(super) const DIRECTS_MAX: usize = 2000;

/// What a page shows.
#[derive(Debug)]
pub(super) struct InboxLine {
    /// At most as many as the page may have.
    pub(super) places: Vec<InboxCursor>,
    /// Where the next page begins; `None` at the end.
    pub(super) next: Option<InboxCursor>,
}

/// The conversations that come next, as far as they are known.
#[derive(Debug)]
pub(super) struct InboxOrder {
    /// Where the page begins; `None` is the top.
    behind: Option<InboxCursor>,
    limit: usize,
    places: Vec<InboxCursor>,
    /// Direct conversations that were found; the newest day that lists one decides its position.
    met: AHashSet<Conversation>,
    /// Those that were not found on any day, in the store's order.
    dormant: Vec<InboxCursor>,
    /// The last row that was read, if there may be more.
    looked_upto: Option<InboxCursor>,
}

impl InboxOrder {
    /// Begins a page of `limit` positions behind one, or at the top.
    pub(super) fn new(behind: Option<InboxCursor>, limit: usize) -> Self {
        let (places, met, dormant) = (Vec::new(), AHashSet::new(), Vec::new());
        Self { behind, limit, places, met, dormant, looked_upto: None }
    }

    /// Returns the dormant conversation that the page begins behind; `None` if it begins before all
    /// of them.
    pub(super) fn behind_dormant(&self) -> Option<&Conversation> {
        self.behind.as_ref().filter(|behind| behind.is_dormant()).map(|behind| &behind.conversation)
    }

    /// Adds all rooms.
    pub(super) fn rooms(&mut self, rooms: Vec<InboxCursor>) {
        self.places.extend(rooms);
    }

    /// Adds the direct conversations of a day; days come backwards, without a hole. Returns whether
    /// that is enough: earlier days only have conversations behind all that are wanted.
    ///
    /// Days before the page's beginning are added too: a conversation that was active on one of
    /// them has its position there and not further down.
    pub(super) fn day(&mut self, day: Day, rows: Vec<Activity>) -> bool {
        for Activity { conversation, last } in rows {
            if self.met.insert(conversation.clone()) {
                self.places.push(InboxCursor::new(last.time(), conversation));
            }
        }
        let certain = |place: &&InboxCursor| self.comes(place) && Day::of(place.active()) >= day;
        self.places.iter().filter(certain).count() > self.limit
    }

    /// Returns whether active conversations fill the page, so that no dormant one is needed.
    pub(super) fn is_full(&self) -> bool {
        self.places.iter().filter(|place| self.comes(place)).count() > self.limit
    }

    /// Adds the first `bound` direct conversations that the store has behind
    /// [`Self::behind_dormant`], in its order. All days must have been added: what no day had is
    /// dormant.
    pub(super) fn directs(&mut self, rows: Vec<Conversation>, bound: usize) {
        self.looked_upto = rows.get(bound - 1).cloned().map(InboxCursor::dormant);
        let dormant = rows.into_iter().filter(|conversation| !self.met.contains(conversation));
        self.dormant = dormant.map(InboxCursor::dormant).collect();
    }

    /// Returns whether an active conversation is on this page or later. None is behind a dormant
    /// one, at any time.
    fn comes(&self, place: &InboxCursor) -> bool {
        self.behind.as_ref().is_none_or(|behind| !behind.is_dormant() && place > behind)
    }

    /// Returns the positions that come next, in their order.
    pub(super) fn line(mut self) -> InboxLine {
        let mut places = std::mem::take(&mut self.places);
        places.retain(|place| self.comes(place));
        places.sort_unstable();
        places.append(&mut self.dormant);
        let has_more = places.len() > self.limit;
        places.truncate(self.limit);
        let next = if has_more { places.last().cloned() } else { self.looked_upto };
        InboxLine { places, next }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{MessageId, Micros, RoomId, UserId};

    const DAYS: u32 = 6;
    /// Earlier days are not known any more.
    const FIRST_KNOWN: u32 = 3;
    const MICROS_A_DAY: u64 = 86_400_000_000;

    /// As text `me+` sorts before `me.`, as an id behind `me`.
    fn direct(other: u8) -> Conversation {
        let user = |id: &str| UserId::parse(id).unwrap();
        let other = if other == 0 { user("me+") } else { user(&format!("u{other}")) };
        Conversation::between(&user("me"), &other)
    }

    /// The direct conversations that the store has behind one.
    fn directs(
        messages: &[(u64, u8)],
        after: Option<&Conversation>,
        bound: usize,
    ) -> Vec<Conversation> {
        let named = |(_, other): &(u64, u8)| (direct(*other).to_string(), direct(*other));
        let all: BTreeMap<_, _> = messages.iter().map(named).collect();
        let above =
            all.into_iter().filter(|(name, _)| after.is_none_or(|after| *name > after.to_string()));
        above.map(|(_, conversation)| conversation).take(bound).collect()
    }

    /// The activity that the store has of a day: the newest message of each conversation on it.
    fn rows(messages: &[(u64, u8)], day: Day) -> Vec<Activity> {
        let mut newest = BTreeMap::new();
        for (time, other) in messages.iter().filter(|(time, _)| Day::of(Micros(*time)) == day) {
            let last = newest.entry(direct(*other)).or_insert(*time);
            *last = *time.max(last);
        }
        let last = |time| MessageId::first_of(Micros(time));
        newest
            .into_iter()
            .map(|(conversation, time)| Activity { conversation, last: last(time) })
            .collect()
    }

    /// Reads every page, each day by day until the order has enough.
    fn pages(
        messages: &[(u64, u8)],
        rooms: &[InboxCursor],
        (limit, bound): (usize, usize),
    ) -> Vec<InboxCursor> {
        let (mut all, mut behind): (Vec<InboxCursor>, _) = (Vec::new(), None);
        // Every page but the last goes on behind an entry or a row that was read.
        for _ in 0..=2 * messages.len() + rooms.len() {
            let mut order = InboxOrder::new(behind, limit);
            order.rooms(rooms.to_vec());
            let days = (FIRST_KNOWN..DAYS).rev().map(Day);
            let enough = days.clone().any(|day| order.day(day, rows(messages, day)));
            assert!(order.is_full() || !enough);
            if !order.is_full() {
                order.directs(directs(messages, order.behind_dormant(), bound), bound);
            }
            let page = order.line();
            assert!(page.places.len() <= limit);
            all.extend(page.places);
            behind = page.next;
            if behind.is_none() {
                return all;
            }
        }
        panic!("pages without an end: {all:?}")
    }

    proptest! {
        #[test]
        fn pages_are_what_sorting_everything_gives(
            messages in prop::collection::vec(
                (0..u64::from(DAYS) * 4, 0..8_u8).prop_map(|(t, u)| (t * MICROS_A_DAY / 4, u)), 0..30,
            ),
            rooms in prop::collection::vec(0..u64::from(DAYS) * 4, 0..6),
            limit in 1..5_usize,
            bound in 1..5_usize,
        ) {
            let room = |(number, time): (usize, &u64)| {
                let id = RoomId::parse(&format!("r{number}")).unwrap();
                InboxCursor::new(Micros(time * MICROS_A_DAY / 4), Conversation::Room(id))
            };
            let rooms: Vec<InboxCursor> = rooms.iter().enumerate().map(room).collect();
            let mut newest = BTreeMap::new();
            for (time, other) in &messages {
                let last = newest.entry(*other).or_insert(*time);
                *last = *time.max(last);
            }
            let known = |time: u64| Day::of(Micros(time)) >= Day(FIRST_KNOWN);
            let (active, dormant): (Vec<_>, Vec<_>) =
                newest.into_iter().partition(|(_, time)| known(*time));
            let active = active.iter().map(|(other, time)| InboxCursor::new(Micros(*time), direct(*other)));
            let mut expected: Vec<InboxCursor> = active.chain(rooms.clone()).collect();
            expected.sort_unstable();
            let mut dormant: Vec<_> = dormant.iter().map(|(other, _)| direct(*other)).collect();
            dormant.sort_by_key(Conversation::to_string);
            expected.extend(dormant.into_iter().map(InboxCursor::dormant));
            prop_assert_eq!(pages(&messages, &rooms, (limit, bound)), expected);
        }
    }

    #[test]
    fn a_full_page_needs_no_earlier_day() {
        let messages = [(5 * MICROS_A_DAY, 1), (5 * MICROS_A_DAY + 1, 2)];
        let mut order = InboxOrder::new(None, 1);
        assert!(order.day(Day(5), rows(&messages, Day(5))));
        let mut order = InboxOrder::new(None, 2);
        assert!(!order.day(Day(5), rows(&messages, Day(5))));
    }
}
