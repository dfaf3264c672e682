//! The load tests of `scripts/k6`, unchanged, against live nodes: by k6 where it is on the path,
//! elsewhere by the runner on Node.

mod controls;
pub mod load_test;
mod mistakes;
mod passes;
pub mod relay;
mod types;
