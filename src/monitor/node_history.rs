//! The reads of one node, and the row that follows from them.

use std::time::{Duration, Instant};

use super::cluster_answer::NodeView;
use super::figures::{CounterRates, NodeFigures};
use super::node_sample::NodeSample;
use super::operator_url::OperatorUrl;

/// How long a row says that its node was restarted.
const RESTART_SHOWN: Duration = Duration::from_mins(1);

/// What ails a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeTrouble {
    /// It was not read yet.
    Unread,
    /// It is well.
    None,
    /// It answers no read.
    Away {
        /// For so long.
        since: Duration,
        /// What the last read failed of.
        why: String,
    },
    /// It is another address of a node that is shown already.
    SameAs(String),
    /// `/readyz` has another answer than `ready`.
    NotReady {
        /// Its status.
        status: String,
        /// Its reasons.
        reasons: Vec<String>,
    },
    /// It is ready, and was restarted so long ago.
    Restarted(Duration),
}

/// A node, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRow {
    /// Where it is read.
    pub url: String,
    /// Its name; `host:port` as long as it has told none.
    pub name: String,
    /// Its boot; empty as long as it has told none.
    pub boot: String,
    /// The version of its program; empty if it is not known.
    pub version: String,
    /// Figures; none are known while it is away.
    pub figures: NodeFigures,
    /// What ails it.
    pub trouble: NodeTrouble,
}

/// Why a node is not read, and since when.
#[derive(Debug)]
struct Absence {
    since: Instant,
    why: String,
}

/// The reads of one node.
#[derive(Debug)]
pub(super) struct NodeHistory {
    url: OperatorUrl,
    latest: Option<NodeSample>,
    rates: CounterRates,
    absence: Option<Absence>,
    restarted: Option<Instant>,
}

impl NodeHistory {
    pub(super) fn new(url: OperatorUrl) -> Self {
        let rates = CounterRates::default();
        Self { url, latest: None, rates, absence: None, restarted: None }
    }

    /// Notes a read.
    pub(super) fn note(&mut self, sample: NodeSample) {
        let rates = self.latest.as_ref().map(|before| CounterRates::between(before, &sample));
        if rates == Some(None) {
            self.restarted = Some(sample.at);
        }
        self.rates = rates.flatten().unwrap_or_default();
        self.absence = None;
        self.latest = Some(sample);
    }

    /// Notes a read that failed.
    pub(super) fn note_absence(&mut self, at: Instant, why: String) {
        let since = self.absence.as_ref().map_or(at, |absence| absence.since);
        self.absence = Some(Absence { since, why });
    }

    /// The last read, unless the node is away.
    pub(super) fn present(&self) -> Option<&NodeSample> {
        self.latest.as_ref().filter(|_| self.absence.is_none())
    }

    /// Whether it was ever read.
    pub(super) const fn is_known(&self) -> bool {
        self.latest.is_some()
    }

    /// Whether it is a node that another one knows as live.
    pub(super) fn is_of(&self, node: &NodeView) -> bool {
        let boot = self.latest.as_ref().map(|sample| &sample.cluster.boot);
        boot == Some(&node.boot) || node.operator == self.url.authority()
    }

    pub(super) fn row(&self, now: Instant) -> NodeRow {
        let cluster = self.latest.as_ref().map(|sample| &sample.cluster);
        let itself = cluster.and_then(|cluster| cluster.itself());
        let name = itself.map_or_else(|| self.url.authority(), |node| &node.name);
        let gauges = self.present().map(|sample| &sample.gauges);
        NodeRow {
            url: self.url.as_str().to_owned(),
            name: name.to_owned(),
            boot: cluster.map_or_else(String::new, |cluster| cluster.boot.clone()),
            version: itself.map_or_else(String::new, |node| node.version.clone()),
            figures: gauges
                .map_or_else(NodeFigures::default, |gauges| NodeFigures::new(gauges, self.rates)),
            trouble: self.trouble(now),
        }
    }

    fn trouble(&self, now: Instant) -> NodeTrouble {
        let ago = |at: Instant| now.saturating_duration_since(at);
        if let Some(Absence { since, why }) = &self.absence {
            return NodeTrouble::Away { since: ago(*since), why: why.clone() };
        }
        let Some(sample) = &self.latest else { return NodeTrouble::Unread };
        if sample.status != "ready" || !sample.reasons.is_empty() {
            let (status, reasons) = (sample.status.clone(), sample.reasons.clone());
            return NodeTrouble::NotReady { status, reasons };
        }
        match self.restarted.map(ago) {
            Some(ago) if ago < RESTART_SHOWN => NodeTrouble::Restarted(ago),
            _ => NodeTrouble::None,
        }
    }
}
