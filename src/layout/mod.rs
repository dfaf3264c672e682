//! Who publishes where: keys to buckets, buckets to shards, and what that costs.
//!
//! Everything here is pure arithmetic, and every node must compute the same.

mod bucket;
mod cost_model;
mod jump;
mod plan;
mod set;
mod table;

pub use bucket::{BUCKETS_MAX, Bucket, BucketCount, BucketCountError, key_hash};
pub use cost_model::{PlacedKeys, Placement, Prediction, TopicLoad, Workload, placed_node};
pub use jump::jump;
pub use plan::{PublishPlan, plan};
pub use set::{BucketRoute, Layouts, ShardIndex};
pub use table::{BucketCounts, Layout, worker_of};
