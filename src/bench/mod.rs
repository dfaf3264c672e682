//! The load generator, and pictures of what it measured.

mod answer_timeout;
mod backend;
mod baseline;
mod chart;
mod clients;
mod cpu_split;
mod delivery_log;
mod error;
mod fanout;
mod fanout_load;
mod figures;
mod idle;
mod large_room;
mod latency;
mod layout_simulation;
mod load;
mod nodes;
mod pending_answers;
mod preflight;
mod process;
mod process_ports;
mod recovery;
mod relay;
mod report;
mod rooms;
mod send_limits;
mod storm;
mod timer;
mod usage;

pub use baseline::plain_loop;
pub use chart::{Axis, Chart, Mark, Panel, Scale, Series, SeriesStyle};
pub use cpu_split::CpuSplit;
pub use error::BenchError;
pub use fanout::{FanoutBench, FanoutRow};
pub use fanout_load::{FanoutLoad, FanoutSetup};
pub use figures::{FigureError, FigureKind};
pub use idle::{Idle, IdleRow, Large};
pub use large_room::{LargeRoom, LargeRoomRow};
pub use latency::LatencyPercentiles;
pub use layout_simulation::{LayoutRow, LayoutSimulation};
pub use load::{
    CostSources, LoadBench, LoadBounds, LoadKind, LoadMix, LoadPace, LoadPopulation, LoadReport,
    LoadSecond, LoadServers, LoadTimes, LoadUsers, WatchedProcess,
};
pub use nodes::RunningNode;
pub use preflight::check_redis;
pub use recovery::{RecoveryBench, RecoveryRow};
pub use relay::{Payload, Relay, RelayRow};
pub use report::{Table, TableRow};
pub use rooms::{Rooms, RoomsRow};
pub use send_limits::SendLimits;
pub use storm::{
    BystanderReport, Comeback, GeneratorReport, NodesReport, SendsReport, Storm, StormFault,
    StormPlace, StormReport, StormSize,
};
