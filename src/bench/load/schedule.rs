//! What is asked for and when: both are settled before the load begins, by the seed and the rate.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::mix::{LoadKind, LoadMix};
use super::population::{LoadAudience, LoadPopulation};

/// A request of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoadAction {
    pub(super) kind: LoadKind,
    /// The session that asks.
    pub(super) from: u32,
    /// The user of a direct conversation or of its history.
    pub(super) peer: u32,
}

impl LoadAction {
    /// To whom it is owed, the sender included.
    pub(super) fn audience(&self, population: &LoadPopulation) -> LoadAudience {
        let user = population.user(self.from);
        match self.kind {
            LoadKind::Dm => LoadAudience::Pair(user, self.peer),
            LoadKind::Room => LoadAudience::Room(population.room_of(user)),
            LoadKind::Topic => LoadAudience::Topic(population.topic_of(self.from)),
            LoadKind::History | LoadKind::Join => LoadAudience::Empty,
        }
    }
}

/// The requests of a load, one after another.
#[derive(Debug)]
pub(super) struct LoadSchedule {
    mix: LoadMix,
    population: LoadPopulation,
    rng: StdRng,
}

impl LoadSchedule {
    pub(super) fn new(mix: LoadMix, population: LoadPopulation, seed: u64) -> Self {
        Self { mix, population, rng: StdRng::seed_from_u64(seed) }
    }

    /// Draws the next request.
    pub(super) fn draw(&mut self) -> LoadAction {
        let kind = self.mix.kind(self.rng.random_range(0..self.mix.total()));
        let from = self.rng.random_range(0..self.population.sessions());
        let peer = self.population.peer(self.population.user(from), self.rng.random());
        LoadAction { kind, from, peer }
    }
}

/// The intended time of a request in µs, at so many a second.
pub(super) const fn intended_us(index: u64, rate: u32) -> u64 {
    index * 1_000_000 / rate as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEOPLE: LoadPopulation =
        LoadPopulation { users: 20, devices: 2, room_members: 5, topic_watchers: 4 };

    fn actions(seed: u64) -> Vec<LoadAction> {
        let mix = "dm=5,room=3,topic=2".parse().unwrap();
        let mut schedule = LoadSchedule::new(mix, PEOPLE, seed);
        (0..10_000).map(|_| schedule.draw()).collect()
    }

    #[test]
    fn the_seed_settles_it() {
        assert_eq!(actions(1), actions(1));
        assert_ne!(actions(1), actions(2));
        let rooms = actions(1).iter().filter(|action| action.kind == LoadKind::Room).count();
        assert!((2800..3200).contains(&rooms), "{rooms}");
    }

    #[test]
    fn a_sender_is_in_its_audience() {
        for action in actions(3) {
            let audience = action.audience(&PEOPLE);
            assert!(PEOPLE.place(audience, action.from).is_some(), "{action:?}");
        }
    }

    #[test]
    fn times_do_not_drift() {
        assert_eq!(intended_us(3, 3), 1_000_000);
        assert_eq!(intended_us(7 * 3600, 7), 3_600_000_000);
    }
}
