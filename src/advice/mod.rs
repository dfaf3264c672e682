//! Which bucket counts and how many shards suit a deployment: pure arithmetic.
//!
//! | file | holds |
//! | --- | --- |
//! | `load` | [`ClusterLoad`]: what is published, and who holds its keys, by class |
//! | `deployment` | that load from an operator's numbers |
//! | `observed` | that load from what running nodes counted |
//! | `cost` | what a bucket count costs under a load |
//! | `choice` | the bucket counts and shards to choose, and why |
//! | `edits` | the change of layout as three edits of the configuration |

mod choice;
mod cost;
mod deployment;
mod edits;
mod load;
mod observed;

pub use choice::{Advice, Baseline, ClassAdvice, Reason, advise};
pub use cost::{BucketCost, ShardCost};
pub use deployment::{Deployment, DeploymentError};
pub use edits::{LayoutTable, layout_edits, layout_table};
pub use load::{ClassLoad, ClusterLoad};
pub use observed::{ClassCounts, ObservedCluster};
