//! `[store]`: where messages live.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::section::Section;
use super::{Secret, print};

/// The longest path that Linux takes (`PATH_MAX`).
const PATH_BYTES: RangeInclusive<usize> = 1..=4096;
const CA_BYTES: RangeInclusive<usize> = 0..=4096;
const QUEUE: RangeInclusive<u64> = 1..=1_048_576;
const BATCH_ROWS: RangeInclusive<u64> = 1..=65_536;

const NODES: RangeInclusive<usize> = 1..=64;
const NODE: &str = "host or host:port is required, an IPv6 address in brackets";

/// A DNS name has 253 bytes, and a port six with its colon.
const NODE_BYTES_MAX: usize = 259;
const KEYSPACE: &str = "1 to 48 of a-z, 0-9 and _ are required, beginning with a letter";
const KEYSPACE_BYTES_MAX: usize = 48;
const DATACENTER_BYTES: RangeInclusive<usize> = 1..=64;
const REPLICATION: RangeInclusive<u64> = 1..=9;
const USERNAME_BYTES: RangeInclusive<usize> = 0..=128;
const PASSWORD_BYTES_MAX: usize = 1024;
const IN_FLIGHT: RangeInclusive<u64> = 1..=65_536;

/// Above the time that the servers wait for their replicas, 2 s, and below the lease of a write, 5
/// s.
const WRITE_MS: RangeInclusive<u64> = 2100..=4900;

/// Above the time that the servers wait for their replicas, 5 s.
const READ_MS: RangeInclusive<u64> = 5100..=60_000;

/// None, or from a day to ten years.
const RETENTION_DAYS: RangeInclusive<u64> = 0..=3650;
const CONNECTIONS: RangeInclusive<u64> = 1..=16;

/// The store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreConfig {
    /// Which one.
    pub backend: StoreBackend,
    /// The embedded store's directory.
    #[serde(serialize_with = "print::path")]
    pub path: PathBuf,
    /// Writes that may wait.
    pub write_queue: usize,
    /// Rows that one fsync commits at most.
    pub batch_rows: usize,
    /// Reads that may wait.
    pub read_queue: usize,
    /// The CQL store.
    #[serde(flatten)]
    pub cql: CqlConfig,
}

/// The keys of the CQL store alone. They are beside the others in `[store]`.
#[derive(Clone, Debug, Serialize)]
pub struct CqlConfig {
    /// Nodes to connect to first.
    pub nodes: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// The datacenter whose nodes are queried.
    pub datacenter: String,
    /// Replicas in that datacenter.
    pub replication: u32,
    /// The user of the CQL store; empty without authentication.
    pub username: String,
    /// The password of `username`.
    #[serde(serialize_with = "print::masked_or_empty")]
    pub password: Option<Secret>,
    /// Whether connections are encrypted.
    #[serde(serialize_with = "print::on_or_off")]
    pub tls: bool,
    /// The certificate authorities that may sign the certificates of nodes.
    #[serde(serialize_with = "print::path")]
    pub tls_ca: PathBuf,
    /// Writes under way at once.
    pub writes_in_flight: usize,
    /// Reads under way at once.
    pub reads_in_flight: usize,
    /// For the answer to a write.
    #[serde(rename = "write_ms", serialize_with = "print::millis")]
    pub write: Duration,
    /// For the answer to a read.
    #[serde(rename = "read_ms", serialize_with = "print::millis")]
    pub read: Duration,
    /// How long messages are kept; none keeps them without end.
    #[serde(rename = "retention_days", serialize_with = "print::days_or_nought")]
    pub retention: Option<Duration>,
    /// Connections per shard, or per node without shards.
    pub connections: usize,
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreBackend {
    /// In this process's own directory.
    Embedded,
    /// `ScyllaDB` or Apache Cassandra.
    Cql,
}

impl StoreConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let backends = [("embedded", StoreBackend::Embedded), ("cql", StoreBackend::Cql)];
        Self {
            backend: s.choice("backend", &backends),
            path: s.sized("path", &PATH_BYTES).into(),
            write_queue: s.count("write_queue", &QUEUE),
            batch_rows: s.count("batch_rows", &BATCH_ROWS),
            read_queue: s.count("read_queue", &QUEUE),
            cql: CqlConfig::read(s),
        }
    }
}

impl CqlConfig {
    fn read(s: &mut Section) -> Self {
        let nodes = s.strings("nodes", &NODES, NODE, is_node);
        s.unique("nodes", "node", nodes.iter().map(String::as_str));
        let named = |text: &str| is_keyspace(text).then(|| text.to_owned());
        let cql = Self {
            nodes,
            keyspace: s.string("keyspace", KEYSPACE, named).unwrap_or_default(),
            datacenter: s.sized("datacenter", &DATACENTER_BYTES),
            replication: s.count("replication", &REPLICATION) as u32,
            username: s.sized("username", &USERNAME_BYTES),
            password: read_password(s),
            tls: s.choice("tls", &[("off", false), ("on", true)]),
            tls_ca: s.sized("tls_ca", &CA_BYTES).into(),
            writes_in_flight: s.count("writes_in_flight", &IN_FLIGHT),
            reads_in_flight: s.count("reads_in_flight", &IN_FLIGHT),
            write: s.millis("write_ms", &WRITE_MS),
            read: s.millis("read_ms", &READ_MS),
            retention: read_retention(s),
            connections: s.count("connections", &CONNECTIONS),
        };
        cql.relate(s);
        cql
    }

    fn relate(&self, s: &mut Section) {
        let is_anonymous = self.username.is_empty();
        let mistaken = ["username", "password"].iter().any(|key| s.is_mistaken(key));
        if is_anonymous != self.password.is_none() && !mistaken {
            let (given, missing) =
                if is_anonymous { ("password", "username") } else { ("username", "password") };
            s.report(missing, format!("missing, since {given} is given"));
        }
        let mistaken = ["tls", "tls_ca"].iter().any(|key| s.is_mistaken(key));
        if self.tls && self.tls_ca.as_os_str().is_empty() && !mistaken {
            s.report("tls_ca", "missing, since tls is on");
        }
    }
}

fn read_password(s: &mut Section) -> Option<Secret> {
    let text = s.sealed("password")?;
    if text.len() > PASSWORD_BYTES_MAX {
        let given = text.len();
        s.report(
            "password",
            format!("0 to {PASSWORD_BYTES_MAX} bytes are required, {given} were given"),
        );
    }
    (!text.is_empty()).then(|| Secret::new(text))
}

fn read_retention(s: &mut Section) -> Option<Duration> {
    let days = s.integer("retention_days", &RETENTION_DAYS);
    (days > 0).then(|| Duration::from_hours(24 * days))
}

/// Whether CQL takes this name without quotes, and unchanged.
fn is_keyspace(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= KEYSPACE_BYTES_MAX
        && text.chars().all(plain)
}

/// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
fn is_node(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let port = if let Some((host, port)) = bracketed {
        host.parse::<Ipv6Addr>().is_ok().then_some(port)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        (end > 0 && text[..end].chars().all(host)).then_some(&text[end..])
    };
    let is_port = |port: &str| {
        port.strip_prefix(':').map_or(port.is_empty(), |port| {
            !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    text.len() <= NODE_BYTES_MAX && port.is_some_and(is_port)
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
