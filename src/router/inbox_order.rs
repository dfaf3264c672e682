//! Which conversations come next in an inbox, found with as few reads as it takes.

use ahash::AHashSet;

use super::inbox_place::Place;
use crate::domain::Conversation;
use crate::store::{Activity, Day};

/// The conversations that come next, as far as they are known.
#[derive(Debug)]
pub(super) struct Order {
    /// Where the page begins; none is at the top.
    behind: Option<Place>,
    wanted: usize,
    places: Vec<Place>,
    /// Direct conversations that were met: the newest day that has one says where it stands.
    met: AHashSet<Conversation>,
}

impl Order {
    /// Wants so many places behind one, or from the top.
    pub(super) fn new(behind: Option<Place>, wanted: usize) -> Self {
        Self { behind, wanted, places: Vec::new(), met: AHashSet::new() }
    }

    /// Adds all rooms.
    pub(super) fn rooms(&mut self, rooms: Vec<Place>) {
        self.places.extend(rooms);
    }

    /// Adds the direct conversations of a day; days come backwards, without a hole. Whether that is
    /// enough: what earlier days have comes behind all that are wanted.
    ///
    /// Days that lie before the page begins are added all the same: a conversation that was active
    /// on one of them stands there, and nowhere below.
    pub(super) fn day(&mut self, day: Day, rows: Vec<Activity>) -> bool {
        for Activity { conversation, last } in rows {
            if self.met.insert(conversation.clone()) {
                self.places.push(Place::new(last.time(), conversation));
            }
        }
        let certain = |place: &&Place| self.comes(place) && Day::of(place.active()) >= day;
        self.places.iter().filter(certain).count() >= self.wanted
    }

    fn comes(&self, place: &Place) -> bool {
        self.behind.as_ref().is_none_or(|behind| place > behind)
    }

    /// The places that come next, in their order: as many as are wanted, or all there are.
    pub(super) fn places(mut self) -> Vec<Place> {
        let mut places = std::mem::take(&mut self.places);
        places.retain(|place| self.comes(place));
        places.sort_unstable();
        places.truncate(self.wanted);
        places
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{MessageId, Micros, RoomId, UserId};

    const DAYS: u32 = 6;
    const MICROS_A_DAY: u64 = 86_400_000_000;

    fn direct(other: u8) -> Conversation {
        let user = |id: &str| UserId::parse(id).unwrap();
        Conversation::between(&user("me"), &user(&format!("u{other}")))
    }

    /// What the store has of a day: the newest of each conversation on it.
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

    /// Every page, each read day by day until it says that it is enough.
    fn pages(messages: &[(u64, u8)], rooms: &[Place], limit: usize) -> Vec<Place> {
        let mut all: Vec<Place> = Vec::new();
        loop {
            let mut order = Order::new(all.last().cloned(), limit);
            order.rooms(rooms.to_vec());
            let _enough = (0..DAYS).rev().map(Day).any(|day| order.day(day, rows(messages, day)));
            let page = order.places();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    proptest! {
        #[test]
        fn pages_are_what_sorting_everything_gives(
            messages in prop::collection::vec(
                (0..u64::from(DAYS) * 4, 0..8_u8).prop_map(|(t, u)| (t * MICROS_A_DAY / 4, u)), 0..30,
            ),
            rooms in prop::collection::vec(0..u64::from(DAYS) * 4, 0..6),
            limit in 1..5_usize,
        ) {
            let room = |(number, time): (usize, &u64)| {
                let id = RoomId::parse(&format!("r{number}")).unwrap();
                Place::new(Micros(time * MICROS_A_DAY / 4), Conversation::Room(id))
            };
            let rooms: Vec<Place> = rooms.iter().enumerate().map(room).collect();
            let mut newest = BTreeMap::new();
            for (time, other) in &messages {
                let last = newest.entry(*other).or_insert(*time);
                *last = *time.max(last);
            }
            let directs = newest.iter().map(|(other, time)| Place::new(Micros(*time), direct(*other)));
            let mut expected: Vec<Place> = directs.chain(rooms.clone()).collect();
            expected.sort_unstable();
            prop_assert_eq!(pages(&messages, &rooms, limit), expected);
        }
    }

    #[test]
    fn a_full_page_needs_no_earlier_day() {
        let messages = [(5 * MICROS_A_DAY, 1), (5 * MICROS_A_DAY + 1, 2)];
        let mut order = Order::new(None, 2);
        assert!(order.day(Day(5), rows(&messages, Day(5))));
        let mut order = Order::new(None, 3);
        assert!(!order.day(Day(5), rows(&messages, Day(5))));
    }
}
