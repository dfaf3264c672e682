//! The program `narrowcast`.

use std::process::ExitCode;

/// Idle sessions are many small, long-lived allocations: jemalloc keeps them at the least RSS
/// of the allocators that were measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    narrowcast::cli::run()
}
