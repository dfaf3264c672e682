//! Which connections are subscribed to which channels.

use ahash::{AHashMap, RandomState};

use crate::redis::Channel;

/// The number of a connection.
pub(super) type MemoryConnection = u32;

/// What stands for a channel's name: two hashes with keys of this process, together 128 bits, so no
/// two names are ever taken for each other. A node has a channel for nearly every session, and the
/// name would be larger than all else.
type Name = [u32; 4];

/// The subscribed connections of each channel, in the order that they came in.
#[derive(Debug)]
pub(super) struct Listeners {
    hashers: [RandomState; 2],
    /// The first connection of a channel: in one process there is mostly no other.
    first: AHashMap<Name, MemoryConnection>,
    /// The others.
    others: AHashMap<Name, Vec<MemoryConnection>>,
}

impl Listeners {
    pub(super) fn new() -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { hashers, first: AHashMap::new(), others: AHashMap::new() }
    }

    fn name(&self, channel: &Channel) -> Name {
        let [one, other] = self.hashers.each_ref().map(|hasher| hasher.hash_one(channel));
        [one as u32, (one >> 32) as u32, other as u32, (other >> 32) as u32]
    }

    /// The connections that are subscribed to a channel.
    pub(super) fn of(&self, channel: &Channel) -> impl Iterator<Item = MemoryConnection> {
        let name = self.name(channel);
        let others = self.others.get(&name).map(Vec::as_slice).unwrap_or_default();
        self.first.get(&name).into_iter().chain(others).copied()
    }

    pub(super) fn join(&mut self, channel: &Channel, connection: MemoryConnection) {
        let name = self.name(channel);
        let first = *self.first.entry(name).or_insert(connection);
        if first == connection {
            return;
        }
        let others = self.others.entry(name).or_default();
        if !others.contains(&connection) {
            others.push(connection);
        }
    }

    pub(super) fn leave(&mut self, channel: &Channel, connection: MemoryConnection) {
        self.take_out(self.name(channel), connection);
    }

    /// A connection is gone.
    pub(super) fn leave_all(&mut self, connection: MemoryConnection) {
        let names: Vec<Name> = self.first.keys().copied().collect();
        names.into_iter().for_each(|name| self.take_out(name, connection));
    }

    fn take_out(&mut self, name: Name, connection: MemoryConnection) {
        let Some(&first) = self.first.get(&name) else { return };
        let mut others = self.others.remove(&name).unwrap_or_default();
        if first != connection {
            others.retain(|other| *other != connection);
        } else if others.is_empty() {
            self.first.remove(&name);
        } else {
            self.first.insert(name, others.remove(0));
        }
        if !others.is_empty() {
            self.others.insert(name, others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Channels;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn are_lists_by_channel(
            steps in prop::collection::vec((0..4_u8, 0..4_u32, 0..5_u8), 0..60),
        ) {
            let channels = [0, 1, 2, 3].map(|n| Channels::new("main").node(&format!("n{n}")));
            let (mut listeners, mut naive) = (Listeners::new(), vec![Vec::new(); 4]);
            for (channel, connection, step) in steps {
                let (name, list) = (&channels[usize::from(channel)], usize::from(channel));
                match step {
                    0 | 1 if naive[list].contains(&connection) => listeners.join(name, connection),
                    0 | 1 => {
                        listeners.join(name, connection);
                        naive[list].push(connection);
                    }
                    2 | 3 => {
                        listeners.leave(name, connection);
                        naive[list].retain(|held| *held != connection);
                    }
                    _ => {
                        listeners.leave_all(connection);
                        naive.iter_mut().for_each(|list| list.retain(|held| *held != connection));
                    }
                }
                for (name, expected) in channels.iter().zip(&naive) {
                    prop_assert_eq!(&listeners.of(name).collect::<Vec<_>>(), expected);
                }
            }
            let kept = naive.iter().filter(|list| !list.is_empty()).count();
            prop_assert_eq!(listeners.first.len(), kept);
            let several = naive.iter().filter(|list| list.len() > 1).count();
            prop_assert_eq!(listeners.others.len(), several);
        }
    }

    #[test]
    fn a_channel_of_one_connection_is_20_bytes() {
        assert!(size_of::<(Name, MemoryConnection)>() <= 20);
    }
}
