//! The types that keys have: how a value is read within its bounds, and how it prints.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::keys::{KeyGroup, Printed};
use super::name::{NAME_RULE, is_name};
use super::section::Section;

const DAY_S: u64 = 86_400;

/// The type of a key whose values are `T` once they are read.
pub(super) trait KeyType<T> {
    /// Reads the key. A mistake is reported, and a stand-in returned.
    fn read(&self, s: &mut Section, key: &'static str) -> T;

    /// Prints the value as it is read.
    fn print<M: SerializeMap>(&self, value: &T, to: Entry<M>) -> Result<(), M::Error>;
}

/// Where a value prints: its key, and the table around it.
pub(super) struct Entry<'a, M> {
    pub map: &'a mut M,
    pub key: &'static str,
}

impl<M: SerializeMap> Entry<'_, M> {
    pub(super) fn put(self, value: &(impl Serialize + ?Sized)) -> Result<(), M::Error> {
        self.map.serialize_entry(self.key, value)
    }
}

/// A group of keys in the same table; the key is not spelled.
pub(super) struct Group;

impl<T: KeyGroup> KeyType<T> for Group {
    fn read(&self, s: &mut Section, _key: &'static str) -> T {
        T::read(s)
    }

    fn print<M: SerializeMap>(&self, value: &T, to: Entry<M>) -> Result<(), M::Error> {
        value.print(to.map)
    }
}

/// A table of its own.
pub(super) struct SubTable;

impl<T: KeyGroup> KeyType<T> for SubTable {
    fn read(&self, s: &mut Section, key: &'static str) -> T {
        s.section(key, T::read)
    }

    fn print<M: SerializeMap>(&self, value: &T, to: Entry<M>) -> Result<(), M::Error> {
        to.put(&Printed(value))
    }
}

/// A table of one key.
pub(super) struct LoneKey<K>(pub &'static str, pub K);

impl<T, K: KeyType<T>> KeyType<T> for LoneKey<K> {
    fn read(&self, s: &mut Section, key: &'static str) -> T {
        s.section(key, |s| self.1.read(s, self.0))
    }

    fn print<M: SerializeMap>(&self, value: &T, to: Entry<M>) -> Result<(), M::Error> {
        to.put(&Lone { entry: self, value })
    }
}

/// Prints the table of one key.
struct Lone<'a, K, T> {
    entry: &'a LoneKey<K>,
    value: &'a T,
}

impl<K: KeyType<T>, T> Serialize for Lone<'_, K, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        self.entry.1.print(self.value, Entry { map: &mut map, key: self.entry.0 })?;
        map.end()
    }
}

/// A list of tables.
pub(super) struct Items<T>(pub RangeInclusive<usize>, pub fn(&mut Section) -> Option<T>);

impl<T: Serialize> KeyType<Vec<T>> for Items<T> {
    fn read(&self, s: &mut Section, key: &'static str) -> Vec<T> {
        s.items(key, &self.0, self.1)
    }

    fn print<M: SerializeMap>(&self, value: &Vec<T>, to: Entry<M>) -> Result<(), M::Error> {
        to.put(value)
    }
}

/// An integer: a number of things or bytes.
pub(super) struct Integer(pub RangeInclusive<u64>);

macro_rules! integers {
    ($($number:ty)*) => {$(
        impl KeyType<$number> for Integer {
            fn read(&self, s: &mut Section, key: &'static str) -> $number {
                <$number>::try_from(s.integer(key, &self.0)).unwrap_or(<$number>::MAX)
            }

            fn print<M: SerializeMap>(&self, value: &$number, to: Entry<M>) -> Result<(), M::Error> {
                to.put(value)
            }
        }
    )*};
}

integers! { u32 usize }

/// An integer of which 0 is none.
impl KeyType<Option<u32>> for Integer {
    fn read(&self, s: &mut Section, key: &'static str) -> Option<u32> {
        Some(self.read(s, key)).filter(|given| *given > 0)
    }

    fn print<M: SerializeMap>(&self, value: &Option<u32>, to: Entry<M>) -> Result<(), M::Error> {
        self.print(&value.unwrap_or_default(), to)
    }
}

/// A boolean.
pub(super) struct Flag;

impl KeyType<bool> for Flag {
    fn read(&self, s: &mut Section, key: &'static str) -> bool {
        s.flag(key)
    }

    fn print<M: SerializeMap>(&self, value: &bool, to: Entry<M>) -> Result<(), M::Error> {
        to.put(value)
    }
}

/// A time in milliseconds.
pub(super) struct Millis(pub RangeInclusive<u64>);

impl KeyType<Duration> for Millis {
    fn read(&self, s: &mut Section, key: &'static str) -> Duration {
        Duration::from_millis(s.integer(key, &self.0))
    }

    fn print<M: SerializeMap>(&self, value: &Duration, to: Entry<M>) -> Result<(), M::Error> {
        to.put(&u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A time in seconds.
pub(super) struct Seconds(pub RangeInclusive<u64>);

impl KeyType<Duration> for Seconds {
    fn read(&self, s: &mut Section, key: &'static str) -> Duration {
        Duration::from_secs(s.integer(key, &self.0))
    }

    fn print<M: SerializeMap>(&self, value: &Duration, to: Entry<M>) -> Result<(), M::Error> {
        to.put(&value.as_secs())
    }
}

/// A time in days, of which 0 is none.
pub(super) struct Days(pub RangeInclusive<u64>);

impl KeyType<Option<Duration>> for Days {
    fn read(&self, s: &mut Section, key: &'static str) -> Option<Duration> {
        let days = s.integer(key, &self.0);
        (days > 0).then(|| Duration::from_secs(days * DAY_S))
    }

    fn print<M: SerializeMap>(
        &self,
        value: &Option<Duration>,
        to: Entry<M>,
    ) -> Result<(), M::Error> {
        to.put(&value.map_or(0, |time| time.as_secs() / DAY_S))
    }
}

/// A string of so many bytes.
pub(super) struct Text(pub RangeInclusive<usize>);

impl KeyType<String> for Text {
    fn read(&self, s: &mut Section, key: &'static str) -> String {
        let (least, most) = (self.0.start(), self.0.end());
        let wanted = format!("a string of {least} to {most} bytes is required");
        let fits = |text: &str| self.0.contains(&text.len()).then(|| text.to_owned());
        s.string(key, &wanted, fits).unwrap_or_default()
    }

    fn print<M: SerializeMap>(&self, value: &String, to: Entry<M>) -> Result<(), M::Error> {
        to.put(value)
    }
}

/// A string of which the empty one is none.
impl KeyType<Option<String>> for Text {
    fn read(&self, s: &mut Section, key: &'static str) -> Option<String> {
        Some(self.read(s, key)).filter(|text: &String| !text.is_empty())
    }

    fn print<M: SerializeMap>(&self, value: &Option<String>, to: Entry<M>) -> Result<(), M::Error> {
        to.put(value.as_deref().unwrap_or_default())
    }
}

impl KeyType<PathBuf> for Text {
    fn read(&self, s: &mut Section, key: &'static str) -> PathBuf {
        PathBuf::from(<Self as KeyType<String>>::read(self, s, key))
    }

    fn print<M: SerializeMap>(&self, value: &PathBuf, to: Entry<M>) -> Result<(), M::Error> {
        to.put(&value.to_string_lossy())
    }
}

/// A path of which the empty one is none.
impl KeyType<Option<PathBuf>> for Text {
    fn read(&self, s: &mut Section, key: &'static str) -> Option<PathBuf> {
        <Self as KeyType<Option<String>>>::read(self, s, key).map(PathBuf::from)
    }

    fn print<M: SerializeMap>(
        &self,
        value: &Option<PathBuf>,
        to: Entry<M>,
    ) -> Result<(), M::Error> {
        to.put(&value.as_deref().unwrap_or(Path::new("")).to_string_lossy())
    }
}

/// A string that passes a check, and what is wanted of it.
pub(super) struct Checked(pub &'static str, pub fn(&str) -> bool);

impl KeyType<String> for Checked {
    fn read(&self, s: &mut Section, key: &'static str) -> String {
        let checked = |text: &str| (self.1)(text).then(|| text.to_owned());
        s.string(key, self.0, checked).unwrap_or_default()
    }

    fn print<M: SerializeMap>(&self, value: &String, to: Entry<M>) -> Result<(), M::Error> {
        to.put(value)
    }
}

/// A name.
pub(super) const NAME: Checked = Checked(NAME_RULE, is_name);

/// A list of strings that pass a check.
pub(super) struct Strings(pub RangeInclusive<usize>, pub Checked);

impl KeyType<Vec<String>> for Strings {
    fn read(&self, s: &mut Section, key: &'static str) -> Vec<String> {
        let Checked(wanted, check) = &self.1;
        s.strings(key, &self.0, wanted, check)
    }

    fn print<M: SerializeMap>(&self, value: &Vec<String>, to: Entry<M>) -> Result<(), M::Error> {
        to.put(value)
    }
}

/// One of a few strings. The first replaces a mistaken one.
pub(super) struct Choice<const N: usize, T>(pub [(&'static str, T); N]);

impl<const N: usize, T: Copy + PartialEq> KeyType<T> for Choice<N, T> {
    fn read(&self, s: &mut Section, key: &'static str) -> T {
        let spelled = self.0.iter().map(|(text, _)| format!("{text:?}")).collect::<Vec<_>>();
        let wanted = format!("{} is required", spelled.join(" or "));
        let chosen = |text: &str| self.0.iter().find(|choice| choice.0 == text).map(|it| it.1);
        s.string(key, &wanted, chosen).unwrap_or(self.0[0].1)
    }

    fn print<M: SerializeMap>(&self, value: &T, to: Entry<M>) -> Result<(), M::Error> {
        let choice = self.0.iter().find(|choice| choice.1 == *value);
        to.put(choice.map_or("", |(text, _)| text))
    }
}
