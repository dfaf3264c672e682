//! Who holds a pattern: mostly one session, sometimes very many.

/// The holders of one pattern, each once. There is at least one.
#[derive(Debug)]
pub(super) enum Holders<T> {
    One(T),
    /// In their order. Boxed, since nearly every pattern has one holder and pays for this variant.
    #[expect(clippy::box_collection, reason = "a vector would make every entry larger")]
    Many(Box<Vec<T>>),
}

impl<T: Copy + Ord> Holders<T> {
    /// Adds a holder; false if it is one already.
    pub(super) fn insert(&mut self, holder: T) -> bool {
        match self {
            Self::One(only) if *only == holder => false,
            Self::One(only) => {
                let (first, second) = ((*only).min(holder), (*only).max(holder));
                *self = Self::Many(Box::new(vec![first, second]));
                true
            }
            Self::Many(all) => {
                let Err(at) = all.binary_search(&holder) else { return false };
                all.insert(at, holder);
                true
            }
        }
    }

    /// Takes a holder away that is not the only one; false if it holds nothing.
    pub(super) fn remove(&mut self, holder: T) -> bool {
        let Self::Many(all) = self else { return false };
        let Ok(at) = all.binary_search(&holder) else { return false };
        all.remove(at);
        if let [only] = all[..] {
            *self = Self::One(only);
        }
        true
    }

    pub(super) fn is_only(&self, holder: T) -> bool {
        matches!(self, Self::One(only) if *only == holder)
    }

    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }
}
