//! What a judge says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use narrowcast::domain::MessageId;
use serde_json::Value;

use super::log::DeviceId;

/// Findings of one kind that are printed; of the rest only the number.
const PRINTED_MAX: usize = 3;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It was acknowledged and owed, and is not there.
    Missing { device: DeviceId, id: MessageId },
    /// A node does not want a device back.
    Ended { device: DeviceId, why: String },
    /// It was shown again.
    Twice { device: DeviceId, id: MessageId },
    /// The later one of two sends of a device has the smaller id.
    Disorder { first: MessageId, second: MessageId },
    /// It sorts before something that its device had seen.
    Early { id: MessageId, seen: MessageId },
    /// The cursor of a line has a hole below it.
    Hole { device: DeviceId, held: usize, id: MessageId },
    /// It was shown to somebody else.
    Foreign { device: DeviceId, id: MessageId },
    /// Nobody sent it.
    Stranger { device: DeviceId, id: MessageId },
    /// It is not as it was sent, or not one message.
    Altered { device: DeviceId, body: Value },
}

impl Finding {
    /// What it is against.
    pub const fn invariant(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Ended { .. } => "I1",
            Self::Twice { .. } => "I2",
            Self::Disorder { .. } | Self::Early { .. } => "I3",
            Self::Hole { .. } => "I4",
            Self::Foreign { .. } | Self::Stranger { .. } => "I5",
            Self::Altered { .. } => "I10",
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    pub acked: usize,
    pub unknown: usize,
    pub refused: usize,
    /// Seen behind a session's cursor, and before it.
    pub live: usize,
    pub resumed: usize,
    /// Acknowledged before the last fault ended, and seen after that.
    pub late: usize,
    /// From the end of the last fault until the last of those was seen.
    pub healing: Duration,
    pub connections: usize,
    pub repeats: u64,
    pub cursors: usize,
    pub returns: usize,
    /// Missing, and named as such by a node.
    pub excused: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acked, unknown, refused, live, resumed, late, .. } = self;
        let Self { connections, repeats, cursors, returns, excused, .. } = self;
        write!(
            f,
            "{acked} acked ({unknown} unknown, {refused} refused); seen {live} live, {resumed} \
             resumed, {late} late, {excused} excused; {:.1} s to heal; {connections} connections, \
             {repeats} repeats kept back; {cursors} cursors, {returns} tried",
            self.healing.as_secs_f64(),
        )
    }
}

/// What a judge says.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    pub figures: Figures,
}

impl Verdict {
    /// Panics unless nothing was found and nothing had to be excused, and cursors were held and
    /// tried.
    pub fn assert_proven(&self) {
        let mut complaints = self.complaints();
        if self.figures.returns == 0 {
            complaints.push("I4: no device ever held a cursor".to_owned());
        }
        assert!(complaints.is_empty(), "{}\n{}", self.figures, complaints.join("\n"));
    }

    fn complaints(&self) -> Vec<String> {
        let mut by_invariant = BTreeMap::<&str, Vec<&Finding>>::new();
        for finding in &self.findings {
            by_invariant.entry(finding.invariant()).or_default().push(finding);
        }
        let print = |(invariant, found): (&str, Vec<&Finding>)| {
            format!(
                "{invariant}: {} times, as {:?}",
                found.len(),
                &found[..found.len().min(PRINTED_MAX)]
            )
        };
        let mut complaints: Vec<String> = by_invariant.into_iter().map(print).collect();
        if self.figures.excused > 0 {
            complaints.push(format!("{} messages had to be excused", self.figures.excused));
        }
        complaints
    }
}
