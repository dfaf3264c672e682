//! The hot paths of a node, step by step, on inputs that are made before. A step is timed, or its
//! instructions are counted.
//!
//! `cargo run --release --example hot [-- FILTER]` times the steps. `scripts/instructions` counts,
//! compares with `benches/instructions.tsv`, and says what moved.

mod catch_up;
mod count;
mod crowd;
mod delivery;
mod envelope;
mod limiter;
mod lookup;
mod plan;
mod request;
mod subject;

use divan::Bencher;

use crowd::Outcome;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One step of a hot path. Each call takes the next of many inputs, in turn.
type Step = Box<dyn FnMut()>;

/// Times a step.
fn time(bencher: Bencher<'_, '_>, step: Outcome<Step>) {
    let mut step = step.expect("the inputs are valid");
    bencher.bench_local(&mut *step);
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--counted"] => count::list(),
        ["--count", name] => count::run(name)?,
        _ => divan::Divan::from_args().run_benches(),
    }
    Ok(())
}
