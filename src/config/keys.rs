//! One declaration a key: its field, its spelling where that differs, its type and its bounds. Its
//! default and its prose stand in `config/default.toml`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::section::Section;

/// Keys that belong together: a table, or a part of one.
pub(super) trait KeyGroup: Sized {
    /// Reads them from the table that holds them.
    fn read(s: &mut Section) -> Self;

    /// Prints them as the operator would write them.
    fn print<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// Prints a group as a table of its own.
pub(super) struct Printed<'a, T>(pub(super) &'a T);

impl<T: KeyGroup> Serialize for Printed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.print(&mut map)?;
        map.end()
    }
}

/// Declares a struct of keys and makes it a [`KeyGroup`]. A key has a
/// [`KeyType`](super::key_type::KeyType). It is spelled as its field, or else by the literal after
/// `=>`. `relate` checks relations between keys, once all of them are read. `for` makes a group of
/// a struct of another room.
macro_rules! keys {
    (@spelling $field:ident) => { stringify!($field) };
    (@spelling $field:ident $key:literal) => { $key };
    (
        $(#[$about:meta])*
        pub struct $group:ident {
            $($(#[$doc:meta])* pub $field:ident: $value:ty = $type:expr $(=> $key:literal)?,)*
        }
        $(relate $relate:path;)?
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        pub struct $group {
            $($(#[$doc])* pub $field: $value,)*
        }
        $crate::config::keys::keys! {
            for $group { $($field = $type $(=> $key)?,)* }
            $(relate $relate;)?
        }
    };
    (
        for $group:ident { $($field:ident = $type:expr $(=> $key:literal)?,)* }
        $(relate $relate:path;)?
    ) => {
        impl $crate::config::keys::KeyGroup for $group {
            fn read(s: &mut $crate::config::section::Section) -> Self {
                let keys = Self {
                    $($field: $crate::config::key_type::KeyType::read(
                        &$type,
                        s,
                        $crate::config::keys::keys!(@spelling $field $($key)?),
                    ),)*
                };
                $($relate(&keys, s);)?
                keys
            }

            fn print<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $($crate::config::key_type::KeyType::print(
                    &$type,
                    &self.$field,
                    $crate::config::key_type::Entry {
                        map: &mut *map,
                        key: $crate::config::keys::keys!(@spelling $field $($key)?),
                    },
                )?;)*
                Ok(())
            }
        }
    };
}

pub(super) use keys;
