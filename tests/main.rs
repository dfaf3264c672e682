//! Black-box tests: the real program, the real protocol, real servers, on ports that the system
//! gives. Tests that need a service besides are marked `ignore` with its name, so that the
//! everyday run needs none; `scripts/test` runs them all.

mod alarms;
mod balancer;
mod bench;
mod cluster;
mod deploy;
mod figures;
mod fuzz;
mod harness;
mod house;
mod k6;
mod parts;
mod scale;
mod scripts;
mod wire;
