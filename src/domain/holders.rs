//! Who holds a pattern: mostly one session, sometimes very many.

use slab::Slab;

/// The holders of one pattern, each once. There is at least one.
#[derive(Debug)]
pub(super) enum Holders<T> {
    One(T),
    /// The number of their list: a list in here would make every pattern larger.
    Many(u32),
}

/// The lists of the patterns that have several holders, each in its order.
#[derive(Debug)]
pub(super) struct HolderLists<T>(Slab<Vec<T>>);

impl<T> Default for HolderLists<T> {
    fn default() -> Self {
        Self(Slab::new())
    }
}

impl<T: Copy + Ord> HolderLists<T> {
    /// Adds a holder; false if it is one already.
    pub(super) fn insert(&mut self, holders: &mut Holders<T>, holder: T) -> bool {
        match holders {
            Holders::One(only) if *only == holder => false,
            Holders::One(only) => {
                let list = vec![(*only).min(holder), (*only).max(holder)];
                *holders = Holders::Many(self.0.insert(list) as u32);
                true
            }
            Holders::Many(number) => {
                let list = &mut self.0[*number as usize];
                let Err(at) = list.binary_search(&holder) else { return false };
                list.insert(at, holder);
                true
            }
        }
    }

    /// Takes a holder away that is not the only one; false if it holds nothing.
    pub(super) fn remove(&mut self, holders: &mut Holders<T>, holder: T) -> bool {
        let Holders::Many(number) = *holders else { return false };
        let list = &mut self.0[number as usize];
        let Ok(at) = list.binary_search(&holder) else { return false };
        list.remove(at);
        if let [only] = list[..] {
            *holders = Holders::One(only);
            self.0.remove(number as usize);
        }
        true
    }

    pub(super) fn of<'a>(&'a self, holders: &'a Holders<T>) -> &'a [T] {
        match holders {
            Holders::One(only) => std::slice::from_ref(only),
            Holders::Many(number) => &self.0[*number as usize],
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Copy + Ord> Holders<T> {
    pub(super) fn is_only(&self, holder: T) -> bool {
        matches!(self, Self::One(only) if *only == holder)
    }
}
