//! The columns of the table: titles, cells, and the order of rows by each of them.

use std::cmp::Ordering;

use super::figure_text::{UNKNOWN, age, count, memory, or_unknown, percent, rate, ratio, seconds};
use super::name_text::harmless;
use crate::monitor::{NodeFigures, NodeRow, NodeTrouble};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopColumn {
    Node,
    Sessions,
    Sends,
    Deliveries,
    EventsPerDelivery,
    UsefulShare,
    Lag,
    Cpu,
    Memory,
    Trouble,
}

impl TopColumn {
    /// All of them, from the left.
    pub(super) const ALL: [Self; 10] = [
        Self::Node,
        Self::Sessions,
        Self::Sends,
        Self::Deliveries,
        Self::EventsPerDelivery,
        Self::UsefulShare,
        Self::Lag,
        Self::Cpu,
        Self::Memory,
        Self::Trouble,
    ];

    /// The columns that a narrow screen may go without, the most important one first.
    pub(super) const OPTIONAL: [Self; 9] = [
        Self::Sessions,
        Self::Trouble,
        Self::Deliveries,
        Self::Sends,
        Self::Lag,
        Self::Cpu,
        Self::Memory,
        Self::UsefulShare,
        Self::EventsPerDelivery,
    ];

    /// The title, with the unit unless each cell has one.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Sessions => "sessions",
            Self::Sends => "sends/s",
            Self::Deliveries => "deliv/s",
            Self::EventsPerDelivery => "ev/deliv",
            Self::UsefulShare => "useful",
            Self::Lag => "lag",
            Self::Cpu => "CPU",
            Self::Memory => "RSS",
            Self::Trouble => "trouble",
        }
    }

    /// The least columns of a screen for it, so that it does not move with each figure.
    pub(super) const fn width_min(self) -> usize {
        match self {
            Self::Lag => 5,
            Self::Cpu => 4,
            Self::Memory => 7,
            _ => self.title().len(),
        }
    }

    /// Whether its cells end in one line, as figures do.
    pub(super) const fn is_figure(self) -> bool {
        !matches!(self, Self::Node | Self::Trouble)
    }

    /// The column to sort by behind this one.
    pub(super) fn next(self) -> Self {
        let place = Self::ALL.iter().position(|column| *column == self).unwrap_or_default();
        Self::ALL[(place + 1) % Self::ALL.len()]
    }

    /// What a row shows in it.
    pub(super) fn cell(self, row: &NodeRow) -> String {
        match self {
            Self::Node => harmless(&row.name),
            Self::Trouble => harmless(&trouble(&row.trouble)),
            _ => self.figure_cell(&row.figures),
        }
    }

    /// What figures show in it; nothing in a column of texts.
    pub(super) fn figure_cell(self, figures: &NodeFigures) -> String {
        let form = match self {
            Self::Node | Self::Trouble => return String::new(),
            Self::Sessions => count,
            Self::Sends | Self::Deliveries => rate,
            Self::EventsPerDelivery => ratio,
            Self::UsefulShare | Self::Cpu => percent,
            Self::Lag => seconds,
            Self::Memory => memory,
        };
        or_unknown(self.figure(figures), form)
    }

    fn figure(self, figures: &NodeFigures) -> Option<f64> {
        let rates = &figures.rates;
        match self {
            Self::Node | Self::Trouble => None,
            Self::Sessions => figures.sessions,
            Self::Sends => rates.sends,
            Self::Deliveries => rates.deliveries,
            Self::EventsPerDelivery => rates.node_events_per_delivery(),
            Self::UsefulShare => rates.useful_share(),
            Self::Lag => figures.lag_s,
            Self::Cpu => rates.cpu,
            Self::Memory => figures.resident_bytes,
        }
    }

    /// Which of two rows comes first: the larger figure, and the smaller useful share. Rows without
    /// the figure are last, and alike rows go by name.
    pub(super) fn order(self, one: &NodeRow, two: &NodeRow) -> Ordering {
        let figure = |row: &NodeRow| {
            let value = self.figure(&row.figures).unwrap_or(f64::NEG_INFINITY);
            match self {
                Self::UsefulShare if value.is_finite() => 1.0 - value,
                _ => value,
            }
        };
        let first = match self {
            Self::Node => Ordering::Equal,
            Self::Trouble => gravity(&two.trouble).cmp(&gravity(&one.trouble)),
            _ => figure(two).total_cmp(&figure(one)),
        };
        first.then_with(|| one.name.cmp(&two.name)).then_with(|| one.url.cmp(&two.url))
    }
}

/// How bad a trouble is.
const fn gravity(trouble: &NodeTrouble) -> u8 {
    match trouble {
        NodeTrouble::Away { .. } => 5,
        NodeTrouble::NotReady { .. } => 4,
        NodeTrouble::SameAs(_) => 3,
        NodeTrouble::Unread => 2,
        NodeTrouble::Restarted(_) => 1,
        NodeTrouble::None => 0,
    }
}

/// What a row says of a trouble.
pub(super) fn trouble(trouble: &NodeTrouble) -> String {
    match trouble {
        NodeTrouble::None => UNKNOWN.to_owned(),
        NodeTrouble::Unread => "not read yet".to_owned(),
        NodeTrouble::Away { since, why } => format!("away {}: {why}", age(*since)),
        NodeTrouble::SameAs(url) => format!("same node as {url}"),
        NodeTrouble::Restarted(ago) => format!("restarted {} ago", age(*ago)),
        NodeTrouble::NotReady { status, reasons } => {
            let status = if status.is_empty() { "readiness unknown" } else { status };
            let texts = [status].into_iter().chain(reasons.iter().map(String::as_str));
            texts.filter(|text| *text != "ready").collect::<Vec<_>>().join(": ")
        }
    }
}

/// What the total says of the troubles: how many nodes are away, and how many are not ready.
pub(super) fn troubles(rows: &[&NodeRow]) -> String {
    let count = |grave: u8| rows.iter().filter(|row| gravity(&row.trouble) == grave).count();
    let counts = [(count(5), "away"), (count(4), "not ready")];
    let texts = counts.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<String> = texts.map(|(count, what)| format!("{count} {what}")).collect();
    if texts.is_empty() { UNKNOWN.to_owned() } else { texts.join(", ") }
}
