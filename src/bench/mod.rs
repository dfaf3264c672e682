//! The load generator: nodes and clients in one process, on real sockets.

mod backend;
mod cast;
mod child;
mod crowd;
mod error;
mod fanout;
mod fleet;
mod heal;
mod idle;
mod ledger;
mod plain;
mod relay;
mod report;
mod rooms;

pub use crowd::{Crowd, CrowdRow};
pub use error::BenchError;
pub use fanout::{Fanout, FanoutRow};
pub use fleet::RunningNode;
pub use heal::{Heal, HealRow};
pub use idle::{Idle, IdleRow, Large};
pub use plain::plain_loop;
pub use relay::{Payload, Relay, RelayRow};
pub use report::{Table, TableRow};
pub use rooms::{Rooms, RoomsRow};
