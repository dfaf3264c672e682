//! The load generator: nodes and clients in one process, on real sockets.

mod backend;
mod baseline;
mod clients;
mod delivery_log;
mod error;
mod fanout;
mod idle;
mod large_room;
mod nodes;
mod process;
mod recovery;
mod relay;
mod report;
mod rooms;
mod send_limits;

pub use baseline::plain_loop;
pub use error::BenchError;
pub use fanout::{FanoutBench, FanoutRow};
pub use idle::{Idle, IdleRow, Large};
pub use large_room::{LargeRoom, LargeRoomRow};
pub use nodes::RunningNode;
pub use recovery::{RecoveryBench, RecoveryRow};
pub use relay::{Payload, Relay, RelayRow};
pub use report::{Table, TableRow};
pub use rooms::{Rooms, RoomsRow};
pub use send_limits::SendLimits;
