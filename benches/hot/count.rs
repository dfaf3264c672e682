//! Steps whose instructions are counted: one of them in each run, for valgrind.

use crate::crowd::Outcome;
use crate::{Step, catch_up, delivery, envelope, limiter, lookup, plan, request, subject};

/// A hot path whose instructions are counted.
struct Counted {
    name: &'static str,
    /// How many steps are counted, behind as many that warm up. Each step takes another key, so
    /// that what a random hash costs is an average over many.
    steps: u32,
    /// By how many percent a count may move unnoticed.
    bound: f64,
    make: fn() -> Outcome<Step>,
}

/// Threads that read sockets would be counted: the more, the less a machine has to do, since a fast
/// reader reads less at once.
const UNREAD: bool = false;

/// The bound of what looks nothing up by a random hash: a copy of 200 bytes is noticed.
const EXACT: f64 = 0.7;
/// The bound of what does: runs differ by up to 2.3 %.
const HASHED: f64 = 3.0;

const fn counted(
    name: &'static str,
    (steps, bound): (u32, f64),
    make: fn() -> Outcome<Step>,
) -> Counted {
    Counted { name, steps, bound, make }
}

const COUNTED: [Counted; 16] = [
    counted("subject parse", (1000, EXACT), subject::parse),
    counted("subject match", (1000, EXACT), subject::matches),
    counted("lookup patterns", (1000, HASHED), lookup::patterns),
    counted("lookup workers", (1000, HASHED), lookup::workers),
    counted("message to 1", (1000, HASHED), || delivery::message(1, UNREAD)),
    counted("message to 100", (100, HASHED), || delivery::message(100, UNREAD)),
    counted("event to 1", (1000, HASHED), || delivery::event(1, UNREAD)),
    counted("event to 100", (100, HASHED), || delivery::event(100, UNREAD)),
    counted("envelope encode", (1000, EXACT), envelope::encode),
    counted("envelope decode", (1000, EXACT), envelope::decode),
    counted("request send", (1000, EXACT), request::send),
    counted("request publish", (1000, EXACT), request::publish),
    counted("request subscribe", (1000, EXACT), request::subscribe),
    counted("plan", (1000, EXACT), plan::direct_message),
    counted("limiter", (1000, HASHED), limiter::send),
    counted("catch up", (10, HASHED), catch_up::merge),
];

/// Prints the name of each, how many steps a run counts, and the bound in percent.
pub fn list() {
    for Counted { name, steps, bound, .. } in &COUNTED {
        println!("{name}\t{steps}\t{bound}");
    }
}

/// Takes the steps of one of them. Valgrind counts what is in [`take_steps`].
pub fn run(name: &str) -> Outcome<()> {
    let known = COUNTED.iter().find(|counted| counted.name == name);
    let Counted { steps, make, .. } = known.ok_or_else(|| format!("no path `{name}`"))?;
    let mut step = make()?;
    (0..*steps).for_each(|_| step());
    take_steps(&mut *step, *steps);
    Ok(())
}

/// A function of its own, by whose name counting begins and ends.
#[inline(never)]
fn take_steps(step: &mut dyn FnMut(), steps: u32) {
    for _ in 0..steps {
        step();
    }
}
