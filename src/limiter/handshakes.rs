//! Connections without a token, and which of them makes room for a new one: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ahash::AHashMap;

/// The progress of a handshake. The first kind is ended before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Progress {
    /// Nothing was read since the connection was accepted, or since its upgrade.
    Silent,
    /// Something was read, but neither a request nor a `hello` is complete.
    Unfinished,
}

/// Identifies a handshake. The least id is ended first: silent ones, and among those the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HandshakeId {
    pub(super) progress: Progress,
    /// Rises with every handshake, and when one makes progress.
    number: u64,
}

/// The handshakes of a node, each with a `T`. Every call takes logarithmic time.
#[derive(Debug)]
pub(super) struct Handshakes<T> {
    share: usize,
    under_way: BTreeMap<HandshakeId, Handshake<T>>,
    by_address: AHashMap<IpAddr, BTreeSet<HandshakeId>>,
    /// Addresses with more than their share. There are few, because each holds more than a share.
    crowded: Vec<IpAddr>,
    last: u64,
}

#[derive(Debug)]
struct Handshake<T> {
    /// None while only the balancer in front of the client is known.
    address: Option<IpAddr>,
    value: T,
}

impl<T> Handshakes<T> {
    /// An address with more handshakes than `share` makes room before any other.
    pub(super) fn new(share: usize) -> Self {
        Self {
            share,
            under_way: BTreeMap::new(),
            by_address: AHashMap::new(),
            crowded: Vec::new(),
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Adds one, which is silent.
    pub(super) fn insert(&mut self, address: Option<IpAddr>, value: T) -> HandshakeId {
        self.place(Progress::Silent, Handshake { address, value })
    }

    /// Gives one its new progress, after all others with that progress. Returns its new id, or none
    /// if it was removed.
    pub(super) fn advance(&mut self, id: HandshakeId, progress: Progress) -> Option<HandshakeId> {
        let handshake = self.take(id)?;
        Some(self.place(progress, handshake))
    }

    /// Gives one its address. It keeps its id.
    pub(super) fn assign(&mut self, id: HandshakeId, address: Option<IpAddr>) {
        if let Some(mut handshake) = self.take(id) {
            handshake.address = address;
            self.put(id, handshake);
        }
    }

    pub(super) fn remove(&mut self, id: HandshakeId) -> Option<T> {
        self.take(id).map(|handshake| handshake.value)
    }

    /// Returns the one that is ended for a newcomer of an address. An address that has its share or
    /// more pays for itself. Otherwise those with more than their share pay, and then all.
    pub(super) fn next_to_end(&self, newcomer: Option<IpAddr>) -> Option<HandshakeId> {
        let own = newcomer.and_then(|address| self.by_address.get(&address));
        let own = own.filter(|held| held.len() >= self.share);
        let first = |address: &IpAddr| self.by_address.get(address)?.first();
        let id = match own {
            Some(held) => held.first(),
            None => self.crowded.iter().filter_map(first).min(),
        };
        id.or_else(|| self.under_way.keys().next()).copied()
    }

    fn place(&mut self, progress: Progress, handshake: Handshake<T>) -> HandshakeId {
        self.last += 1;
        let id = HandshakeId { progress, number: self.last };
        self.put(id, handshake);
        id
    }

    fn put(&mut self, id: HandshakeId, handshake: Handshake<T>) {
        if let Some(address) = handshake.address {
            let held = self.by_address.entry(address).or_default();
            held.insert(id);
            if held.len() == self.share + 1 {
                self.crowded.push(address);
            }
        }
        self.under_way.insert(id, handshake);
    }

    fn take(&mut self, id: HandshakeId) -> Option<Handshake<T>> {
        let handshake = self.under_way.remove(&id)?;
        let Some(address) = handshake.address else { return Some(handshake) };
        let held = self.by_address.get_mut(&address)?;
        held.remove(&id);
        if held.len() == self.share {
            self.crowded.retain(|crowded| *crowded != address);
        }
        if held.is_empty() {
            self.by_address.remove(&address);
        }
        Some(handshake)
    }
}

#[cfg(test)]
mod tests;
