//! Which client programs are connected, so that an operator sees who still uses an old one.

use ahash::AHashSet;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Programs that are counted by name. Clients choose the names, so further ones are `other`.
const PROGRAMS_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ProgramLabels {
    client: String,
}

pub(crate) type ProgramFamily = Family<ProgramLabels, Gauge>;

/// The sessions of each client program.
#[derive(Debug)]
pub struct ClientPrograms {
    sessions: ProgramFamily,
    named: Mutex<AHashSet<Box<str>>>,
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
        let client = program.map_or("unnamed", |program| self.label(program)).to_owned();
        let gauge = self.sessions.get_or_create_owned(&ProgramLabels { client });
        gauge.inc();
        ClientPermit(gauge)
    }

    fn label<'a>(&self, program: &'a str) -> &'a str {
        let mut named = self.named.lock();
        if named.contains(program) {
            return program;
        }
        if named.len() == PROGRAMS_MAX {
            return "other";
        }
        named.insert(program.into());
        program
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
        let count = |client: &str| {
            let labels = ProgramLabels { client: client.to_owned() };
            programs.sessions.get_or_create(&labels).get()
        };
        let held: Vec<_> =
            (0..PROGRAMS_MAX + 2).map(|at| programs.enter(Some(&format!("web/{at}")))).collect();
        let again = programs.enter(Some("web/0"));
        let unnamed = programs.enter(None);
        assert_eq!((count("web/0"), count("web/31"), count("other")), (2, 1, 2));
        assert_eq!((count("web/32"), count("unnamed")), (0, 1));
        drop((held, again, unnamed));
        assert_eq!((count("web/0"), count("other"), count("unnamed")), (0, 0, 0));
    }
}
