//! Faults, and the alerts that each of them fires. What one file strikes, one Prometheus watches.

mod clocks;
mod cluster;
mod lies;
mod lone;

/// The alerts of each file.
pub const ALERTS: [&[&str]; 4] = [&cluster::ALERTS, &lone::ALERTS, &clocks::ALERTS, &lies::ALERTS];
