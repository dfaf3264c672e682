//! Places in a queue, of which one user may hold a part.

use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::domain::UserId;

/// The part of a queue that one user may fill.
const USER_PART: usize = 4;

/// Who waits in a queue. There are no more users than calls.
#[derive(Debug)]
pub(super) struct UserPlaces {
    max: usize,
    held: Mutex<AHashMap<UserId, usize>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct UserPlace {
    places: Arc<UserPlaces>,
    user: UserId,
}

impl UserPlaces {
    /// Those of a queue of so many.
    pub(super) fn of_queue(bound: usize) -> Arc<Self> {
        Arc::new(Self { max: (bound / USER_PART).max(1), held: Mutex::default() })
    }

    /// A place of a user, or how many he holds.
    pub(super) fn take(self: &Arc<Self>, user: &UserId) -> Result<UserPlace, usize> {
        let mut held = self.held.lock();
        let of_user = held.entry(user.clone()).or_default();
        if *of_user >= self.max {
            return Err(self.max);
        }
        *of_user += 1;
        Ok(UserPlace { places: Arc::clone(self), user: user.clone() })
    }
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        let mut held = self.places.held.lock();
        if let Some(of_user) = held.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                held.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_holds_a_part_of_a_queue_and_gives_it_back() {
        let user = |id: &str| UserId::parse(id).unwrap();
        let places = UserPlaces::of_queue(16);
        let mut held: Vec<UserPlace> =
            (0..4).map(|_| places.take(&user("many")).unwrap()).collect();
        assert_eq!(places.take(&user("many")).unwrap_err(), 4);
        let other = places.take(&user("other")).unwrap();
        held.pop();
        held.push(places.take(&user("many")).unwrap());
        drop((held, other));
        assert!(places.held.lock().is_empty());
        assert!(UserPlaces::of_queue(1).take(&user("a")).is_ok());
    }
}
