//! What a load counts, by the names of the reports of `scripts/k6`.

use serde::Serialize;

use super::mix::LoadKind;

/// Counts of one kind, or of all. Those from `lost` on are faults or may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LoadCounts {
    /// Requests.
    pub sent: u64,
    /// Those that were answered and not refused.
    pub acked: u64,
    /// Those without an answer, or `outcome_unknown`.
    pub unknown: u64,
    /// Those that a node refused.
    pub refused: u64,
    /// First deliveries to sessions that they are owed to.
    pub delivered: u64,
    /// Deliveries of acknowledged sends that did not come.
    pub lost: u64,
    /// The same id once more, or another row of a send that was tried again.
    pub repeated: u64,
    /// One send under two ids, or an event that came twice.
    pub duplicate: u64,
    /// Deliveries later than a bound.
    pub late: u64,
    /// Ids that contradict an answer or the order of a session's sends; events behind a later one.
    pub out_of_order: u64,
    /// Messages that came behind a later one of their sender, which the protocol allows.
    pub overtaken: u64,
    /// Deliveries to a session that they are not for.
    pub stray: u64,
}

impl LoadCounts {
    /// The sum of two.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            acked: self.acked + other.acked,
            unknown: self.unknown + other.unknown,
            refused: self.refused + other.refused,
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            repeated: self.repeated + other.repeated,
            duplicate: self.duplicate + other.duplicate,
            late: self.late + other.late,
            out_of_order: self.out_of_order + other.out_of_order,
            overtaken: self.overtaken + other.overtaken,
            stray: self.stray + other.stray,
        }
    }
}

/// Counts of each kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CountsByKind([LoadCounts; LoadKind::ALL.len()]);

impl CountsByKind {
    pub(super) const fn of(&self, kind: LoadKind) -> &LoadCounts {
        &self.0[kind.index()]
    }

    pub(super) const fn of_mut(&mut self, kind: LoadKind) -> &mut LoadCounts {
        &mut self.0[kind.index()]
    }

    /// The sum of what is delivered: messages and events, as the scripts of k6 count.
    pub(super) fn delivered_kinds(&self) -> LoadCounts {
        let kinds = LoadKind::ALL.into_iter().filter(|kind| kind.is_delivered());
        kinds.fold(LoadCounts::default(), |sum, kind| sum.plus(*self.of(kind)))
    }
}

/// What happened to the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SessionCounts {
    /// Connections that ended by themselves.
    pub closed: u64,
    /// Connections that were made again.
    pub reconnects: u64,
    /// First deliveries that were read from history.
    pub recovered: u64,
    /// Events that did not come in a run whose sessions come back: they are sent at most once.
    pub missed: u64,
}
