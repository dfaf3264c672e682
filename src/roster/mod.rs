//! The live nodes, as each of them knows them: pure, fed with rows and times.
//!
//! | file | holds |
//! | --- | --- |
//! | `row` | what an incarnation says of itself |
//! | `tenure` | an incarnation's lease, its birth and its fence |
//! | `census` | what a node makes of the rows it reads: breaks, deaths, how far all are |
//! | `keeper` | a node's incarnations one after the other, and when their rows are due |
//! | `unknown` | when sends were answered `outcome_unknown`: what an audit finds there is no bug |
//! | `rules` | which rules hold; all, outside of the simulation |
//! | `sample` | rows for tests |

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
