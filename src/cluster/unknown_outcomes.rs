//! When sends were answered `outcome_unknown`. Their rows may be stored, and no watermark waits for
//! them: an audit that finds one has not found a bug.

use std::time::Duration;

use crate::domain::Micros;

/// Most windows that a node reports; beyond it the two oldest become one.
const WINDOWS_MAX: usize = 8;

/// Times within this distance are one window.
const NEAR: Duration = Duration::from_secs(1);

/// How long a window is reported: an audit checks messages about as old as the watermark.
const KEPT: Duration = Duration::from_mins(10);

/// Times of ids, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWindow {
    /// The first.
    pub from: Micros,
    /// The last.
    pub to: Micros,
}

impl UnknownWindow {
    /// Returns whether a time lies in it.
    pub fn holds(&self, time: Micros) -> bool {
        (self.from..=self.to).contains(&time)
    }
}

/// The windows of one node, the newest last.
#[derive(Debug, Default)]
pub struct UnknownWindows {
    windows: Vec<UnknownWindow>,
}

impl UnknownWindows {
    /// Records that the send with an id of this time was answered so.
    pub fn note(&mut self, time: Micros) {
        self.windows.retain(|window| time.since(window.to) <= KEPT);
        let near = |window: &&mut UnknownWindow| {
            window.from <= time + NEAR && time.since(window.to) <= NEAR
        };
        if let Some(window) = self.windows.iter_mut().find(near) {
            (window.from, window.to) = (window.from.min(time), window.to.max(time));
            return;
        }
        if self.windows.len() == WINDOWS_MAX {
            let oldest = self.windows.remove(0);
            self.windows[0].from = self.windows[0].from.min(oldest.from);
            self.windows[0].to = self.windows[0].to.max(oldest.to);
        }
        self.windows.push(UnknownWindow { from: time, to: time });
    }

    /// Returns all of them.
    pub fn all(&self) -> &[UnknownWindow] {
        &self.windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Micros {
        Micros(1_000_000_000 + millis * 1000)
    }

    #[test]
    fn what_is_near_is_one_window_and_what_is_old_is_forgotten() {
        let mut windows = UnknownWindows::default();
        for time in [5000, 5900, 4100, 9000] {
            windows.note(at(time));
        }
        let expected = [(4100, 5900), (9000, 9000)];
        assert_eq!(
            windows.all(),
            expected.map(|(from, to)| UnknownWindow { from: at(from), to: at(to) })
        );
        windows.note(at(5900) + KEPT + Duration::from_millis(1));
        assert_eq!(windows.all()[0], UnknownWindow { from: at(9000), to: at(9000) });
    }

    proptest! {
        #[test]
        fn every_time_of_the_last_minutes_is_in_some_window_of_few(
            times in prop::collection::vec(0..500_000_u64, 1..60),
        ) {
            let mut windows = UnknownWindows::default();
            times.iter().for_each(|time| windows.note(at(*time)));
            prop_assert!(windows.all().len() <= WINDOWS_MAX);
            for time in times {
                prop_assert!(windows.all().iter().any(|window| window.holds(at(time))));
            }
        }
    }
}
