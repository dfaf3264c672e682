//! Several nodes: what travels between them, what does not, and what happens when it cannot.

pub mod chat;
mod clocks;
mod dormant;
mod doubles;
mod faults;
mod forged;
mod kill;
mod layouts;
mod leaving;
mod left_rooms;
mod lies;
mod memory;
mod nonces;
mod overheard;
mod redis_health;
mod refusals;
mod removed;
pub mod resume;
pub mod rooms;
pub mod shards;
mod stage;
mod story;
mod taps;
mod taps_together;
mod user_rates;
mod user_turns;
pub mod watch;
