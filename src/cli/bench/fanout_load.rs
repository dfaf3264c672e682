//! The options of a fan-out's load.

use clap::Args;

use crate::bench::FanoutLoad;
use crate::cli::CliFailure;
use crate::cli::placement::PlacementName;

/// Who receives what. At most `MOST` users and `MOST` topics.
#[derive(Debug, Args)]
pub(super) struct FanoutLoadArguments<const MOST: i64> {
    /// Users.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=MOST))]
    users: u32,
    /// Sessions per user.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    devices: u32,
    /// Topics.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=MOST))]
    topics: u32,
    /// Subscribers per topic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    subscribers: u32,
    /// Direct messages.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    messages: u32,
    /// Events to topics.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    events: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl<const MOST: i64> FanoutLoadArguments<MOST> {
    pub(super) fn placed(&self, placement: PlacementName) -> Result<FanoutLoad, CliFailure> {
        let Self { users, devices, topics, subscribers, messages, events, seed } = *self;
        if messages == 0 && events == 0 {
            return Err(CliFailure::usage("--messages, --events: one of them must be above 0"));
        }
        let placement = placement.into();
        Ok(FanoutLoad { placement, users, devices, topics, subscribers, messages, events, seed })
    }
}
