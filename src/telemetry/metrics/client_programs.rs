//! Which client programs are connected, so that an operator sees who still uses an old one.

use std::time::{Duration, Instant};

use ahash::AHashSet;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Programs that are counted by name. Clients choose the names, so further ones are [`OTHER`],
/// unless a named one has no session any more.
const PROGRAMS_MAX: usize = 32;

/// How long no further name is given up after one was. Each new name is a series that a collector
/// keeps, and a client could choose another at every connection.
const FORGET_EVERY: Duration = Duration::from_mins(10);

/// The label of programs above that bound, and of clients that call themselves like a label of
/// this file.
const OTHER: &str = "other";

/// The label of clients that do not name their program.
const UNNAMED: &str = "unnamed";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ProgramLabels {
    client: String,
}

pub(crate) type ProgramFamily = Family<ProgramLabels, Gauge>;

/// The sessions of each client program.
#[derive(Debug)]
pub struct ClientPrograms {
    sessions: ProgramFamily,
    named: Mutex<NamedPrograms>,
}

#[derive(Debug, Default)]
struct NamedPrograms {
    names: AHashSet<Box<str>>,
    /// When a name was given up last.
    forgotten: Option<Instant>,
}

/// A session that is counted by its program, until it is dropped.
#[derive(Debug)]
pub struct ClientPermit(Gauge);

impl ClientPrograms {
    pub(crate) fn new(sessions: ProgramFamily) -> Self {
        Self { sessions, named: Mutex::default() }
    }

    /// Counts a session of a program, which `hello` may leave unnamed.
    pub fn enter(&self, program: Option<&str>) -> ClientPermit {
        // It is held until the session is counted: no name is given up in between.
        let mut named = self.named.lock();
        let client = program.map_or(UNNAMED, |program| self.label(&mut named, program));
        let gauge = self.sessions.get_or_create_owned(&ProgramLabels::of(client));
        gauge.inc();
        ClientPermit(gauge)
    }

    fn label<'a>(&self, named: &mut NamedPrograms, program: &'a str) -> &'a str {
        if named.names.contains(program) {
            return program;
        }
        let is_reserved = [OTHER, UNNAMED].contains(&program);
        if is_reserved || (named.names.len() == PROGRAMS_MAX && !self.forget_one(named)) {
            return OTHER;
        }
        named.names.insert(program.into());
        program
    }

    /// Gives up a name that has no session, unless one was given up lately. Returns whether it did.
    fn forget_one(&self, named: &mut NamedPrograms) -> bool {
        if named.forgotten.is_some_and(|at| at.elapsed() < FORGET_EVERY) {
            return false;
        }
        let sessions = |name: &str| self.sessions.get_or_create(&ProgramLabels::of(name)).get();
        let idle = named.names.iter().find(|name| sessions(name) == 0).cloned();
        let Some(idle) = idle else { return false };
        self.sessions.remove(&ProgramLabels::of(&idle));
        named.forgotten = Some(Instant::now());
        named.names.remove(&idle)
    }
}

impl ProgramLabels {
    fn of(client: &str) -> Self {
        Self { client: client.to_owned() }
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_programs_are_named_and_a_permit_is_given_back() {
        let programs = ClientPrograms::new(Family::default());
        let count =
            |client: &str| programs.sessions.get_or_create(&ProgramLabels::of(client)).get();
        let held: Vec<_> =
            (0..PROGRAMS_MAX + 2).map(|at| programs.enter(Some(&format!("web/{at}")))).collect();
        let again = programs.enter(Some("web/0"));
        let unnamed = programs.enter(None);
        assert_eq!((count("web/0"), count("web/31"), count("other")), (2, 1, 2));
        assert_eq!((count("web/32"), count("unnamed")), (0, 1));
        drop((held, again, unnamed));
        assert_eq!((count("web/0"), count("other"), count("unnamed")), (0, 0, 0));
    }

    #[test]
    fn a_name_without_sessions_makes_room_for_another_now_and_then() {
        let programs = ClientPrograms::new(Family::default());
        let mut held: Vec<_> =
            (0..PROGRAMS_MAX).map(|at| programs.enter(Some(&format!("web/{at}")))).collect();
        held.truncate(PROGRAMS_MAX - 2);
        let another = [programs.enter(Some("app/1")), programs.enter(Some("app/2"))];
        let mut text = String::new();
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register("p", "", programs.sessions.clone());
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("\"app/1\"} 1") && text.contains("\"other\"} 1"), "{text}");
        assert_eq!(text.matches("client=\"web/").count(), PROGRAMS_MAX - 1, "{text}");
        assert!(!text.contains("app/2"), "one name in ten minutes: {text}");
        drop((held, another));
    }

    #[test]
    fn a_client_that_is_called_like_a_label_is_another_one() {
        let programs = ClientPrograms::new(Family::default());
        let _held = [OTHER, UNNAMED].map(|name| programs.enter(Some(name)));
        assert!(programs.named.lock().names.is_empty());
        let count =
            |client: &str| programs.sessions.get_or_create(&ProgramLabels::of(client)).get();
        assert_eq!((count(OTHER), count(UNNAMED)), (2, 0));
    }
}
