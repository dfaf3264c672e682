//! `[store]`: where messages live.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::SerializeMap;

use super::error::shown_path;
use super::key_type::{Checked, Choice, Days, Entry, Flag, Group, Integer, KeyType, Strings, Text};
use super::keys::keys;
use super::name::SERVER_RULE;
use super::section::Section;
use crate::redis::Endpoint;
use crate::secret::{MASKED, Secret, read_secret_file};

/// The longest path that Linux takes (`PATH_MAX`).
const PATH_BYTES_MAX: usize = 4096;
const QUEUE: RangeInclusive<u64> = 1..=1_048_576;
const IN_FLIGHT: RangeInclusive<u64> = 1..=65_536;

/// A DNS name has 253 bytes, and a port six with its colon.
const NODE_BYTES_MAX: usize = 259;
const NODE: Checked = Checked(SERVER_RULE, is_node);

/// The port on which CQL servers listen by default.
const CQL_PORT: u16 = 9042;
const KEYSPACE_BYTES_MAX: usize = 48;
const KEYSPACE: Checked =
    Checked("1 to 48 of a-z, 0-9 and _ are required, beginning with a letter", is_keyspace);
const USERNAME: Text = Text(0..=128);
const PASSWORD_BYTES_MAX: usize = 1024;

keys! {
    /// The store. The keys of the CQL store are beside the others in `[store]`.
    pub struct StoreConfig {
        /// Which one.
        pub backend: StoreBackend =
            Choice([("embedded", StoreBackend::Embedded), ("cql", StoreBackend::Cql)]),
        /// The embedded store's directory.
        pub path: PathBuf = Text(1..=PATH_BYTES_MAX),
        /// How much may wait for the embedded store.
        pub embedded: EmbeddedBounds = Group,
        /// The CQL store.
        pub cql: CqlConfig = Group,
    }
}

keys! {
    /// How much may wait for the embedded store.
    #[derive(Copy, PartialEq, Eq)]
    pub struct EmbeddedBounds {
        /// Writes that may wait; more are refused. The default is four commits: a disk that takes
        /// 100 ms per fsync still works them off well within the lease of 5 s.
        pub write_queue: usize = Integer(QUEUE),
        /// Most writes of a commit. Measured per message, a commit of 1,000 costs little more than
        /// half of one of 100. A larger one only makes the first message wait for the last.
        pub batch_rows: usize = Integer(1..=65_536),
        /// Reads that may wait; more are refused. At 80 us per page of 50, measured through the
        /// port, the default is a tenth of a second of work.
        pub read_queue: usize = Integer(QUEUE),
    }
}

keys! {
    /// How to reach a CQL store.
    pub struct CqlConfig {
        /// Nodes to connect to first, `host` or `host:port`; they name the others.
        pub nodes: Vec<String> = Strings(1..=64, NODE),
        /// The keyspace, a name that needs no quotes.
        pub keyspace: String = KEYSPACE,
        /// The datacenter whose nodes are used, and no others.
        pub datacenter: String = Text(1..=64),
        /// Replicas there: `schema apply` makes the keyspace with so many.
        pub replication: u32 = Integer(1..=9),
        /// The credentials; none without authentication.
        pub credentials: Option<Credentials> = UsernameAndPassword,
        /// Whether connections are encrypted.
        pub tls: TlsConfig = Group,
        /// Messages and other rows being written at once; more are refused.
        pub writes_in_flight: usize = Integer(IN_FLIGHT),
        /// Reads under way at once; more are refused.
        pub reads_in_flight: usize = Integer(IN_FLIGHT),
        /// How long messages are kept, from a day to ten years; none means without end.
        pub retention: Option<Duration> = Days(0..=3650) => "retention_days",
        /// Connections per shard of a server; per node for Cassandra, which has no shards.
        pub connections: usize = Integer(1..=16),
    }
    relate Self::relate;
}

keys! {
    /// Whether connections are encrypted.
    pub struct TlsConfig {
        /// Whether they are.
        pub is_on: bool = Flag => "tls",
        /// The file of the certificate authorities that may sign the certificates of nodes.
        pub authorities: PathBuf = Text(0..=PATH_BYTES_MAX) => "tls_ca",
    }
    relate Self::relate;
}

/// The credentials of a connection.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The role.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// The file that it was read from at the start, if it was.
    pub file: Option<PathBuf>,
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreBackend {
    /// In this process's own directory.
    Embedded,
    /// `ScyllaDB` or Apache Cassandra.
    Cql,
}

impl CqlConfig {
    fn relate(&self, s: &mut Section) {
        s.unique("nodes", "node", self.nodes.iter().map(String::as_str));
    }
}

impl TlsConfig {
    /// Returns the file of the certificate authorities, if connections are encrypted.
    pub fn trusted(&self) -> Option<&Path> {
        self.is_on.then_some(&self.authorities)
    }

    fn relate(&self, s: &mut Section) {
        let mistaken = ["tls", "tls_ca"].iter().any(|key| s.is_mistaken(key));
        if self.is_on && self.authorities.as_os_str().is_empty() && !mistaken {
            s.report("tls_ca", "missing, since tls is true");
        }
    }
}

/// The keys `username`, `password` and `password_file`: a user with one of the two, or none.
struct UsernameAndPassword;

impl KeyType<Option<Credentials>> for UsernameAndPassword {
    fn read(&self, s: &mut Section, _key: &'static str) -> Option<Credentials> {
        let username: Option<String> = USERNAME.read(s, "username");
        let (password, file) = read_password(s);
        let mistaken =
            ["username", "password", "password_file"].iter().any(|key| s.is_mistaken(key));
        match (username, password) {
            (Some(username), Some(password)) => {
                return Some(Credentials { username, password, file });
            }
            (Some(_), None) if !mistaken => {
                s.report("password", "missing, since username is given");
            }
            (None, Some(_)) if !mistaken => {
                s.report("username", "missing, since password is given");
            }
            _ => {}
        }
        None
    }

    fn print<M: SerializeMap>(
        &self,
        value: &Option<Credentials>,
        to: Entry<M>,
    ) -> Result<(), M::Error> {
        let username = value.as_ref().map_or("", |credentials| &credentials.username);
        let file = value.as_ref().and_then(|credentials| credentials.file.as_deref());
        let is_written = value.is_some() && file.is_none();
        to.map.serialize_entry("username", username)?;
        to.map.serialize_entry("password", if is_written { MASKED } else { "" })?;
        to.map.serialize_entry("password_file", &file.unwrap_or(Path::new("")).to_string_lossy())
    }
}

fn read_password(s: &mut Section) -> (Option<Secret>, Option<PathBuf>) {
    let text = s.sealed("password").unwrap_or_default();
    if text.len() > PASSWORD_BYTES_MAX {
        let given = text.len();
        s.report(
            "password",
            format!("0 to {PASSWORD_BYTES_MAX} bytes are required, {given} were given"),
        );
    }
    let file: Option<PathBuf> = Text(0..=PATH_BYTES_MAX).read(s, "password_file");
    let Some(file) = file else {
        return ((!text.is_empty()).then(|| Secret::new(text)), None);
    };
    if !text.is_empty() {
        s.report("password", "either password or password_file is required, both were given");
    }
    let secret = read_secret_file(&file, &(1..=PASSWORD_BYTES_MAX));
    let secret = secret.map_err(|error| {
        s.refuse("password_file", shown_path(&file.to_string_lossy()), &error.to_string());
    });
    (secret.ok().map(Secret::new), Some(file))
}

/// Whether CQL takes this name without quotes, and unchanged.
fn is_keyspace(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= KEYSPACE_BYTES_MAX
        && text.chars().all(plain)
}

/// Whether this names a server, with or without a port.
fn is_node(text: &str) -> bool {
    text.len() <= NODE_BYTES_MAX && Endpoint::parse(text, CQL_PORT).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nodes_are_hosts_with_or_without_a_port() {
        for node in ["10.0.0.1", "10.0.0.1:9042", "db-1.example.com:1", "[::1]", "[fe80::1]:9042"] {
            assert!(is_node(node), "{node}");
        }
        for none in
            ["", ":9042", "h:", "h:0", "h:65536", "h:+1", "::1", "[h]:1", "[::1", "a b", "h:1:2"]
        {
            assert!(!is_node(none), "{none}");
        }
    }

    #[test]
    fn a_keyspace_needs_no_quotes() {
        assert!(is_keyspace("narrowcast") && is_keyspace("n_1") && is_keyspace(&"k".repeat(48)));
        for none in ["", "1n", "_n", "N", "n-1", "n\"", &"k".repeat(49)] {
            assert!(!is_keyspace(none), "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "[\\PC\\[\\]:.0-9a-z]{0,20}") {
            let _ = (is_node(&text), is_keyspace(&text));
        }
    }
}
