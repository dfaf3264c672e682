//! The version of the schema, and which versions fit each other.
//!
//! A minor version adds tables and columns, and changes nothing else. So a node works on a keyspace
//! of its major version and of any minor version from its own on: it reads and writes the columns
//! that it knows, by their names.

use std::fmt;
use std::str::FromStr;

/// The schema version of this program.
pub(super) const VERSION: SchemaVersion = SchemaVersion { major: 1, minor: 0 };

/// Above any minor version.
const MINORS: i64 = 1 << 32;

/// The version of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaVersion {
    /// Rises when older nodes cannot work on the schema.
    pub major: u32,
    /// Rises when something is added.
    pub minor: u32,
}

impl SchemaVersion {
    /// The timestamp of its row: that of a later version is larger.
    pub(super) fn timestamp(self) -> i64 {
        i64::from(self.major) * MINORS + i64::from(self.minor)
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for SchemaVersion {
    type Err = ();

    /// A number alone is a major version.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        let number = |text: &str| text.parse().map_err(|_| ());
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Result<SchemaVersion, ()> {
        text.parse()
    }

    #[test]
    fn versions_are_ordered_as_they_come() {
        let rising = ["1", "1.1", "1.9", "1.10", "2.0", "2.1"].map(|text| version(text).unwrap());
        assert!(rising.is_sorted());
        let times = rising.map(SchemaVersion::timestamp);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        assert_eq!(version("1"), version("1.0"));
        assert_eq!(version("1.10").unwrap().to_string(), "1.10");
    }

    #[test]
    fn anything_else_is_no_version() {
        for text in ["", "x", "1.", ".1", "1.x", "-1", "1.0.0", "4294967296"] {
            assert_eq!(version(text), Err(()), "{text}");
        }
    }
}
