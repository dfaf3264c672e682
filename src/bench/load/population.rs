//! Who is in a load: users and their sessions, and to which of them something is owed. All of it is
//! arithmetic, so that nothing has to be kept for it.

use std::ops::Range;

/// How many other users a user writes to.
const PEERS: u32 = 4;

/// Users, sessions, rooms and topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadPopulation {
    /// Users.
    pub users: u32,
    /// Sessions of each.
    pub devices: u32,
    /// Members of a room. The last room has the users that are left over as well.
    pub room_members: u32,
    /// Sessions that watch a topic. The last topic has those that are left over as well.
    pub topic_watchers: u32,
}

/// The sessions that something is owed to, and that of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadAudience {
    /// The sessions of two users.
    Pair(u32, u32),
    /// Those of a room's members.
    Room(u32),
    /// Those of a topic's watchers.
    Topic(u32),
    /// None.
    Empty,
}

/// Members of the groups of that size; what is left over is the last group's.
fn group(number: u32, size: u32, all: u32) -> Range<u32> {
    let first = number * size;
    let is_last = number + 1 >= groups(size, all);
    first..if is_last { all } else { first + size }
}

const fn groups(size: u32, all: u32) -> u32 {
    if size >= all { 1 } else { all / size }
}

impl LoadPopulation {
    /// Sessions of all users.
    pub const fn sessions(&self) -> u32 {
        self.users * self.devices
    }

    /// Rooms.
    pub const fn rooms(&self) -> u32 {
        groups(self.room_members, self.users)
    }

    /// Topics.
    pub const fn topics(&self) -> u32 {
        groups(self.topic_watchers, self.sessions())
    }

    /// The user of a session.
    pub(super) const fn user(&self, session: u32) -> u32 {
        session / self.devices
    }

    /// A user that another one writes to, by a draw.
    pub(super) fn peer(&self, user: u32, draw: u32) -> u32 {
        (user + 1 + draw % PEERS.min(self.users - 1)) % self.users
    }

    /// The room that a user is in.
    pub(super) fn room_of(&self, user: u32) -> u32 {
        (user / self.room_members).min(self.rooms() - 1)
    }

    /// The members of a room.
    pub(super) fn members(&self, room: u32) -> Range<u32> {
        group(room, self.room_members, self.users)
    }

    /// The topic that a session watches.
    pub(super) fn topic_of(&self, session: u32) -> u32 {
        (session / self.topic_watchers).min(self.topics() - 1)
    }

    /// The sessions of a user.
    fn of_user(&self, user: u32) -> Range<u32> {
        user * self.devices..(user + 1) * self.devices
    }

    /// Two ranges of sessions, the second of which may be empty.
    fn ranges(&self, audience: LoadAudience) -> [Range<u32>; 2] {
        match audience {
            LoadAudience::Pair(one, other) => [self.of_user(one), self.of_user(other)],
            LoadAudience::Room(room) => {
                let members = self.members(room);
                [members.start * self.devices..members.end * self.devices, 0..0]
            }
            LoadAudience::Topic(topic) => {
                [group(topic, self.topic_watchers, self.sessions()), 0..0]
            }
            LoadAudience::Empty => [0..0, 0..0],
        }
    }

    /// The sessions of an audience, in their order.
    pub(super) fn audience(&self, audience: LoadAudience) -> impl Iterator<Item = u32> {
        let [first, second] = self.ranges(audience);
        first.chain(second)
    }

    /// How many they are.
    pub(super) fn audience_size(&self, audience: LoadAudience) -> usize {
        self.ranges(audience).iter().map(ExactSizeIterator::len).sum()
    }

    /// The place of a session among them.
    pub(super) fn place(&self, audience: LoadAudience, session: u32) -> Option<usize> {
        let [first, second] = self.ranges(audience);
        if first.contains(&session) {
            return Some((session - first.start) as usize);
        }
        second.contains(&session).then(|| first.len() + (session - second.start) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEOPLE: LoadPopulation =
        LoadPopulation { users: 11, devices: 2, room_members: 4, topic_watchers: 5 };

    #[test]
    fn each_is_in_one_room_and_one_topic() {
        assert_eq!((PEOPLE.sessions(), PEOPLE.rooms(), PEOPLE.topics()), (22, 2, 4));
        assert_eq!((PEOPLE.members(0), PEOPLE.members(1)), (0..4, 4..11));
        for user in 0..PEOPLE.users {
            assert!(PEOPLE.members(PEOPLE.room_of(user)).contains(&user), "{user}");
        }
        for session in 0..PEOPLE.sessions() {
            let topic = LoadAudience::Topic(PEOPLE.topic_of(session));
            assert!(PEOPLE.place(topic, session).is_some(), "{session}");
        }
    }

    #[test]
    fn an_audience_has_as_many_places_as_sessions() {
        for audience in [
            LoadAudience::Pair(10, 0),
            LoadAudience::Room(1),
            LoadAudience::Topic(3),
            LoadAudience::Empty,
        ] {
            let sessions: Vec<_> = PEOPLE.audience(audience).collect();
            assert_eq!(sessions.len(), PEOPLE.audience_size(audience));
            for session in 0..PEOPLE.sessions() {
                let place = sessions.iter().position(|other| *other == session);
                assert_eq!(PEOPLE.place(audience, session), place, "{audience:?} {session}");
            }
        }
    }

    #[test]
    fn peers_are_others() {
        for users in 2..9 {
            let people = LoadPopulation { users, ..PEOPLE };
            for (user, draw) in (0..users).flat_map(|user| (0..9).map(move |draw| (user, draw))) {
                let peer = people.peer(user, draw);
                assert!(peer != user && peer < users, "{users} {user} {draw}");
            }
        }
    }
}
