//! What all bounds of a configuration together let a node hold in memory.
//!
//! There are two sums. The first is what a node holds if every bound is reached at once by messages
//! of usual size. The second is what it holds if each client also uses all that it may. A machine
//! should have the first, so a node warns if it has less. No traffic reaches the second: it only
//! shows which bounds are large.

use super::descriptors::{Descriptors, descriptor_limit, redis_shards};
use super::machine::allowed_memory;
use crate::config::{Config, StoreBackend};
use crate::connection::HELLO_BYTES_MAX;
use crate::hub::HELD_FRAME_BYTES;
use crate::limiter::{ConnectionBounds, SHELVES};
use crate::socket::{HEADER_BYTES_MAX, HTTP_BUFFER_BYTES_MAX, READ_BYTES_MAX};
use crate::store::EMBEDDED_MEMORY_BYTES;

/// The process itself, and its log's queue.
const PROCESS_BYTES: u64 = 48 << 20;

/// An idle session: about 2.1 kB here and 3.7 kB in the kernel, both measured (`benches/README.md`).
const CONNECTION_BYTES: u64 = 6 << 10;

/// A message with its envelope, as most are.
const USUAL_BYTES: u64 = 1 << 10;

/// The fields of a message beside its body: ids, names, a nonce.
const MESSAGE_FIELDS_BYTES: u64 = 2 << 10;

/// A handshake as most are: a header, a token and a `hello`.
const USUAL_HANDSHAKE_BYTES: u64 = 4 << 10;

/// A page of history as most are.
const USUAL_PAGE_BYTES: u64 = 16 << 10;

/// One in so many connections has half a frame, holds frames back, or catches up, at a time.
const BUSY_PART: u64 = 100;

/// A pattern in the session, the index and the node's interest, without its text. A short text is
/// included.
const PATTERN_BYTES: u64 = 256;
const PATTERN_TEXT_BYTES_MAX: u64 = 512;
const USUAL_PATTERNS: u64 = 4;

/// A message that a worker remembers as delivered.
const REMEMBERED_MESSAGE_BYTES: u64 = 100;

/// A user or conversation that a limit remembers.
const REMEMBERED_TAT_BYTES: u64 = 200;

/// Statements of a message in the CQL store.
const STATEMENTS: u64 = 6;

/// One kind of memory.
#[derive(Debug, Clone)]
pub(super) struct Term {
    name: &'static str,
    /// The keys and numbers that it is made of.
    formula: String,
    usual: u64,
    most: u64,
}

/// All kinds of memory of a node.
#[derive(Debug, Clone)]
pub struct MemoryBounds {
    terms: Vec<Term>,
}

impl MemoryBounds {
    /// Makes the terms for a node with this configuration that holds so many connections and
    /// shards.
    pub(super) fn of(config: &Config, clients: ConnectionBounds, shards: usize) -> Self {
        let mut terms = vec![Term {
            name: "the process",
            formula: "48 MiB".to_owned(),
            usual: PROCESS_BYTES,
            most: PROCESS_BYTES,
        }];
        terms.extend(of_clients(config, clients));
        terms.extend(of_requests(config));
        terms.extend(of_workers(config, shards.max(1) as u64));
        terms.extend(of_store(config));
        Self { terms }
    }

    /// Makes the terms for this process, if it becomes a node with a configuration.
    ///
    /// # Errors
    ///
    /// The system does not report the limit of open files, which also bounds the connections.
    pub fn of_process(config: &Config) -> std::io::Result<Self> {
        let nodes = config.store.cql.nodes.len() * config.store.cql.connections;
        let divided = Descriptors::divide(descriptor_limit()?, config, nodes);
        Ok(Self::of(config, divided.clients(config), redis_shards(config)))
    }

    /// Returns the warning for this process, if there is one.
    pub fn warning_here(&self) -> Option<String> {
        self.warning(allowed_memory()?)
    }

    /// Returns the sum with usual traffic.
    pub fn usual(&self) -> u64 {
        self.terms.iter().map(|term| term.usual).fold(0, u64::saturating_add)
    }

    /// Returns the sum if each client uses all that it may.
    pub fn most(&self) -> u64 {
        self.terms.iter().map(|term| term.most).fold(0, u64::saturating_add)
    }

    /// Returns the sums and the largest terms of the second.
    pub fn summary(&self) -> String {
        let (usual, most) = (shown(self.usual()), shown(self.most()));
        let largest = self.largest(|term| term.most);
        format!(
            "{usual} with usual messages at every bound, {most} if each client uses all that it may: {largest}"
        )
    }

    /// Returns the warning for a machine that allows so much memory, if there is one.
    pub fn warning(&self, allowed: u64) -> Option<String> {
        let usual = self.usual();
        let (here, wanted) = (shown(allowed), shown(usual));
        let largest = self.largest(|term| term.usual);
        (usual > allowed).then(|| {
            format!(
                "the bounds together allow {wanted} of memory with usual messages, and this process may have {here}; \
                 lower some, or give it more. The largest: {largest}"
            )
        })
    }

    fn largest(&self, of: impl Fn(&Term) -> u64) -> String {
        let mut terms: Vec<&Term> = self.terms.iter().collect();
        terms.sort_by_key(|term| std::cmp::Reverse(of(term)));
        let shown = |term: &&Term| format!("{} {} ({})", term.name, shown(of(term)), term.formula);
        terms.iter().take(LARGEST).map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// How many terms are named.
const LARGEST: usize = 4;

fn of_clients(config: &Config, clients: ConnectionBounds) -> Vec<Term> {
    let limits = &config.limits;
    let connections = clients.connections as u64;
    let (frame, outbox) = (u64::from(limits.frame_bytes), limits.session.outbox_bytes as u64);
    let busy = connections.div_ceil(BUSY_PART);
    let handshakes = clients.handshakes as u64;
    let http = (HEADER_BYTES_MAX + 2 * HTTP_BUFFER_BYTES_MAX) as u64;
    let handshake = http.max(HEADER_BYTES_MAX as u64 + 2 * u64::from(HELLO_BYTES_MAX));
    let pattern = PATTERN_BYTES + PATTERN_TEXT_BYTES_MAX;
    let patterns = limits.requests.patterns as u64;
    let budget = limits.node.pattern_bytes as u64;
    let held = (limits.session.held_bytes + limits.session.held_frames * HELD_FRAME_BYTES) as u64;
    vec![
        Term {
            name: "connections",
            formula: format!("{connections} connections * 6 KiB"),
            usual: connections * CONNECTION_BYTES,
            most: connections * CONNECTION_BYTES,
        },
        Term {
            name: "handshakes",
            formula: format!("{handshakes} handshakes * {handshake}"),
            usual: handshakes * USUAL_HANDSHAKE_BYTES,
            most: handshakes * handshake,
        },
        Term {
            name: "frames under way",
            formula: format!("{connections} connections * 4 * limits.frame_bytes"),
            usual: busy * frame,
            most: connections * 2 * u64::from(limits.frames().message_bytes),
        },
        Term {
            name: "outboxes",
            formula: "limits.node_outbox_bytes".to_owned(),
            usual: limits.node.outbox_bytes as u64,
            most: limits.node.outbox_bytes as u64,
        },
        Term {
            name: "patterns",
            formula: format!(
                "{connections} connections * limits.patterns * {pattern}, at most \
                 limits.node_pattern_bytes"
            ),
            usual: (connections * patterns.min(USUAL_PATTERNS) * PATTERN_BYTES).min(budget),
            most: (connections * patterns * pattern).min(budget),
        },
        Term {
            name: "sessions that catch up",
            formula: format!("{connections} connections * limits.outbox_bytes / 2"),
            usual: busy * USUAL_PAGE_BYTES,
            most: connections * outbox / 2,
        },
        Term {
            name: "frames held back",
            formula: format!(
                "{connections} connections * (limits.held_bytes + limits.frame_bytes + \
                 limits.held_frames * {HELD_FRAME_BYTES} + {READ_BYTES_MAX})"
            ),
            usual: busy * USUAL_PAGE_BYTES,
            most: connections * (held + frame + READ_BYTES_MAX as u64),
        },
    ]
}

fn of_requests(config: &Config) -> [Term; 1] {
    let limits = &config.limits;
    let requests = limits.node.requests_in_flight as u64;
    [Term {
        name: "HTTP requests",
        formula: "limits.requests_in_flight * (limits.frame_bytes + limits.history_bytes)"
            .to_owned(),
        usual: requests * USUAL_PAGE_BYTES,
        most: requests * (u64::from(limits.frame_bytes) + limits.history_bytes as u64),
    }]
}

fn of_workers(config: &Config, shards: u64) -> Vec<Term> {
    let Config { limits, rates, delivery, .. } = config;
    let (repair, links) = (&delivery.repair, &delivery.bus);
    let workers = config.workers as u64;
    let message = largest_message(config);
    let delivered = workers * limits.node.worker_queue as u64;
    let published = workers * (shards * links.publish_queue as u64 + repair.pending as u64);
    let handed = workers * repair.remembered as u64 * REMEMBERED_MESSAGE_BYTES;
    let tats = workers * SHELVES as u64 * rates.remembered as u64 * REMEMBERED_TAT_BYTES;
    let resumed = u64::from(repair.resume_reads_per_s);
    let resumed_most = repair.resume.conversation as u64 * message;
    vec![
        Term {
            name: "worker queues",
            formula: format!("workers * limits.worker_queue * {message}"),
            usual: delivered * USUAL_BYTES,
            most: delivered * message,
        },
        Term {
            name: "publish queues",
            formula: format!(
                "workers * ({shards} shards * bus.publish_queue + repair.pending) * {message}"
            ),
            usual: published * USUAL_BYTES,
            most: published * message,
        },
        Term {
            name: "messages remembered as delivered",
            formula: format!("workers * repair.remembered * {REMEMBERED_MESSAGE_BYTES}"),
            usual: handed,
            most: handed,
        },
        Term {
            name: "limits",
            formula: format!("workers * {SHELVES} * rates.remembered * {REMEMBERED_TAT_BYTES}"),
            usual: tats,
            most: tats,
        },
        Term {
            name: "resumes",
            formula: format!(
                "repair.resume_reads_per_s * repair.conversation_messages * {message}"
            ),
            usual: resumed * USUAL_PAGE_BYTES,
            most: resumed * resumed_most,
        },
    ]
}

fn of_store(config: &Config) -> Vec<Term> {
    let Config { store, limits, .. } = config;
    let (message, page) = (largest_message(config), limits.history_bytes as u64);
    let embedded = store.backend == StoreBackend::Embedded;
    let (writes, reads, keys) = if embedded {
        (
            store.embedded.write_queue as u64,
            store.embedded.read_queue as u64,
            ["store.write_queue", "store.read_queue"],
        )
    } else {
        let (writes, reads) = (store.cql.writes_in_flight as u64, store.cql.reads_in_flight as u64);
        (STATEMENTS * writes, reads, ["6 * store.writes_in_flight", "store.reads_in_flight"])
    };
    let engine = if embedded { EMBEDDED_MEMORY_BYTES } else { 0 };
    vec![
        Term {
            name: "the store's caches",
            formula: "blocks and memtables".to_owned(),
            usual: engine,
            most: engine,
        },
        Term {
            name: "writes and reads of the store",
            formula: format!("{} * {message} + {} * limits.history_bytes", keys[0], keys[1]),
            usual: writes * USUAL_BYTES + reads * USUAL_PAGE_BYTES,
            most: writes * message + reads * page,
        },
    ]
}

/// A message or event of the largest size, with its envelope.
fn largest_message(config: &Config) -> u64 {
    let requests = &config.limits.requests;
    requests.body_bytes.max(requests.data_bytes) as u64 + MESSAGE_FIELDS_BYTES
}

/// Formats a size for people.
pub(super) fn shown(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, name)| format!("{:.1} {name}", bytes as f64 / *unit as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bounds(text: &str) -> MemoryBounds {
        let config = Config::load(Some(text), []).unwrap();
        let clients = ConnectionBounds {
            connections: config.listen.connections,
            handshakes: config.listen.handshakes,
            ending: 0,
        };
        MemoryBounds::of(&config, clients, 0)
    }

    #[test]
    fn the_default_fits_a_small_machine_and_not_a_tiny_one() {
        let default = bounds("");
        assert_eq!(default.warning(2048 * MIB), None, "{}", default.summary());
        let warning = default.warning(512 * MIB).expect("it does not fit");
        assert!(warning.contains("and this process may have 512.0 MiB"), "{warning}");
        assert!(warning.contains("outboxes 256.0 MiB (limits.node_outbox_bytes)"), "{warning}");
        assert!(default.most() > default.usual());
    }

    /// Each key that a term names makes it larger.
    #[test]
    fn every_bound_counts() {
        let default = bounds("");
        for key in [
            "workers = 2",
            "listen.connections = 200000",
            "listen.handshakes = 8192",
            "limits.frame_bytes = 32768",
            "limits.node_outbox_bytes = 536870912",
            "limits.node_pattern_bytes = 536870912",
            "limits.outbox_bytes = 1048576",
            "limits.held_bytes = 1048576",
            "limits.held_frames = 4096",
            "limits.requests_in_flight = 2048",
            "limits.history_bytes = 200000",
            "limits.worker_queue = 131072",
            "bus.publish_queue = 131072",
            "repair.pending = 131072",
            "repair.remembered = 524288",
            "repair.resume_reads_per_s = 2000",
            "repair.conversation_messages = 400",
            "rates.remembered = 131072",
            "store.write_queue = 8192",
            "store.read_queue = 2048",
        ] {
            assert!(bounds(key).most() > default.most(), "{key}");
        }
    }

    fn patterns(text: &str) -> (u64, u64) {
        let MemoryBounds { terms } = bounds(text);
        let term = terms.iter().find(|term| term.name == "patterns").expect("it is there");
        (term.usual, term.most)
    }

    #[test]
    fn patterns_take_no_more_than_the_node_allows_for_all_of_them() {
        let (usual, most) = patterns("");
        assert_eq!((usual, most), (100_000 * USUAL_PATTERNS * PATTERN_BYTES, 256 * MIB));
        assert_eq!(patterns("listen.connections = 1000000"), (256 * MIB, 256 * MIB));
        let few =
            |count: u64| patterns(&format!("limits.patterns = {count}\nlisten.connections = 9"));
        assert_eq!(few(200).1, 9 * 200 * (PATTERN_BYTES + PATTERN_TEXT_BYTES_MAX));
    }

    #[test]
    fn sizes_are_for_people() {
        let sizes = [1023, 1 << 10, 1_610_612_736].map(shown);
        assert_eq!(sizes, ["1023 bytes", "1.0 KiB", "1.5 GiB"]);
    }
}
