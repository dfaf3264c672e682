//! What running nodes tell at their operators' listeners, for commands that watch them.
//!
//! | file | holds |
//! | --- | --- |
//! | `operator_url` | [`OperatorUrl`], which reads a node |
//! | `cluster_answer` | the answer of `/v1/cluster` |
//! | `samples` | the samples of `/metrics` |
//! | `node_sample` | what one read says of a node: counters, gauges, readiness |
//! | `figures` | rates between two reads, and their sum over nodes |
//! | `node_history` | the reads of one node, and the row that follows from them |
//! | `fleet` | all nodes that are watched |

mod cluster_answer;
mod figures;
mod fleet;
mod node_history;
mod node_sample;
mod operator_url;
mod samples;
#[cfg(test)]
mod tests;

pub use cluster_answer::NodeView;
pub use figures::NodeFigures;
pub use fleet::Fleet;
pub use node_history::{NodeRow, NodeTrouble};
pub use node_sample::NodeSample;
pub use operator_url::{MonitorError, NodeReading, OperatorUrl};
pub use samples::Samples;
