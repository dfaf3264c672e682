//! What the log says about a shard: one line when it is lost, and one when it is back.

use std::time::{Duration, Instant};

use super::link_states::LinkState;

/// What changed about a shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ShardNews {
    /// All of the node's connections to it are up for the first time.
    Connected,
    /// It was never up, for this reason, which was not told before.
    Unreached(String),
    /// The first of its connections is lost.
    Lost(String),
    /// All of them are up again after this time.
    Back(Duration),
}

/// What was told about a shard.
#[derive(Debug, Default)]
pub(super) struct ShardLog {
    was_whole: bool,
    lost: Option<Instant>,
    unreached: String,
}

impl ShardLog {
    /// Records the state of one connection, and whether now all of them are up.
    pub(super) fn note(
        &mut self,
        state: LinkState,
        is_whole: bool,
        now: Instant,
    ) -> Option<ShardNews> {
        match state {
            LinkState::Up { .. } if !is_whole => None,
            LinkState::Up { .. } => {
                let lost = self.lost.take();
                let is_first = !std::mem::replace(&mut self.was_whole, true);
                let back = |at| ShardNews::Back(now.saturating_duration_since(at));
                is_first.then_some(ShardNews::Connected).or(lost.map(back))
            }
            LinkState::Starting { reason } => {
                let is_told = self.unreached == reason;
                self.unreached.clone_from(&reason);
                (!is_told).then_some(ShardNews::Unreached(reason))
            }
            LinkState::Down { reason } => {
                let is_told = self.lost.is_some();
                self.lost.get_or_insert(now);
                (!is_told).then_some(ShardNews::Lost(reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::ServerInfo;

    fn up() -> LinkState {
        LinkState::Up { server: ServerInfo::in_memory("a") }
    }

    fn down(reason: &str) -> LinkState {
        LinkState::Down { reason: reason.into() }
    }

    #[test]
    fn an_outage_is_told_once_at_both_ends() {
        let (mut log, begun) = (ShardLog::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let starting = || LinkState::Starting { reason: "no".into() };
        assert_eq!(log.note(starting(), false, at(0)), Some(ShardNews::Unreached("no".into())));
        assert_eq!(log.note(starting(), false, at(1)), None);
        assert_eq!(log.note(up(), false, at(2)), None, "the other one is not up");
        assert_eq!(log.note(up(), true, at(2)), Some(ShardNews::Connected));
        assert_eq!(log.note(down("cut"), false, at(3)), Some(ShardNews::Lost("cut".into())));
        assert_eq!(log.note(down("cut"), false, at(3)), None, "the other one");
        assert_eq!(log.note(down("refused"), false, at(5)), None);
        assert_eq!(log.note(up(), false, at(33)), None);
        assert_eq!(log.note(up(), true, at(34)), Some(ShardNews::Back(Duration::from_secs(31))));
    }
}
