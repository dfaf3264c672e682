//! The live nodes, as each of them knows them: pure, fed with heartbeats and times.
//!
//! | file | holds |
//! | --- | --- |
//! | `heartbeat` | the heartbeat: what an incarnation states of itself |
//! | `lease` | an incarnation's lease, its begin and its fence |
//! | `failure_detector` | what follows from the heartbeats read: delivery gaps, deaths, how far all are |
//! | `generations` | a node's incarnations one after the other, and when their heartbeats are due |
//! | `unknown_outcomes` | when sends were answered `outcome_unknown`: what an audit finds there is no bug |
//! | `safeguards` | which rules hold; all, outside of the simulation |
//! | `node_report` | what a node reports of itself to operators |
//! | `sample` | heartbeats for tests |

mod failure_detector;
mod generations;
mod heartbeat;
mod lease;
mod node_report;
mod safeguards;
#[cfg(test)]
pub(crate) mod sample;
mod unknown_outcomes;

pub use failure_detector::{DEAD_AFTER, DeliveryGap, FailureDetector, ProgressBounds, READ_CAP};
pub use generations::{Generations, WRITE_EVERY};
pub use heartbeat::{
    EnvelopeForm, Heartbeat, Incarnation, LinkSnapshot, NodeInfo, NodeState, ServerRun, ShardRow,
    ShardTag, WorkerProgress,
};
pub use lease::{LEASE, LeaseState, NodeLease};
pub use node_report::NodeReport;
pub(crate) use safeguards::Safeguard;
pub use safeguards::Safeguards;
pub use unknown_outcomes::{UnknownWindow, UnknownWindows};
