//! The live nodes, as each of them knows them: pure, fed with heartbeats and times.
//!
//! | file | holds |
//! | --- | --- |
//! | `row` | the heartbeat: what an incarnation states of itself |
//! | `tenure` | an incarnation's lease, its begin and its fence |
//! | `census` | what follows from the heartbeats read: delivery gaps, deaths, how far all are |
//! | `keeper` | a node's incarnations one after the other, and when their heartbeats are due |
//! | `unknown` | when sends were answered `outcome_unknown`: what an audit finds there is no bug |
//! | `rules` | which rules hold; all, outside of the simulation |
//! | `sample` | heartbeats for tests |

mod census;
mod keeper;
mod row;
mod rules;
#[cfg(test)]
pub(crate) mod sample;
mod tenure;
mod unknown;

pub use census::{Bounds, Break, Census, DEAD_AFTER, READ_CAP};
pub use keeper::{Keeper, WRITE_EVERY};
pub use row::{
    About, EnvelopeForm, Incarnation, LinkSnapshot, Row, Run, ShardRow, ShardTag, Snapshot, State,
};
pub(crate) use rules::Rule;
pub use rules::Rules;
pub use tenure::{LEASE, Standing, Tenure};
pub use unknown::{UnknownWindows, Window};
