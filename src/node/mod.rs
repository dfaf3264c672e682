//! A node as a value: made from a configuration, a bus and a store; several may live in one
//! process.

mod backends;
mod cluster;
mod descriptors;
mod host;
mod machine;
mod memory;
mod plan;
mod report;
mod start;

pub use backends::{
    BackendError, apply_schema, check_schema, check_store, close_store, drop_keyspace, memory_bus,
    open_store, own_bus, print_schema, redis_bus, retag_store, salvage_store,
    until_worth_a_restart,
};
pub use cluster::{Cluster, ClusterError, ClusterOptions};
pub use descriptors::{descriptor_limit, raise_descriptors};
pub use host::host_name;
pub use memory::MemoryBounds;
pub use plan::NodeOptions;
pub use start::{Node, StartError};
