//! Faults, and the alerts that each of them fires. What one file strikes, one Prometheus watches.

mod cluster;
mod lies;
mod lone;

/// The alerts of each file.
pub const ALERTS: [&[&str]; 3] = [&cluster::ALERTS, &lone::ALERTS, &lies::ALERTS];
