//! Real load balancers by the files that are shipped, in front of real nodes.

mod addresses;
mod api;
mod cost;
mod failures;
mod files;
mod fleet;
mod hints;
mod placement;
mod restarts;
mod session;
