//! Checks of the node's time against the store's, and reports of their results.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::NodeAgentOptions;
use crate::clock::{QUESTIONS, ROUND_TRIP_MAX, Readable, Reference, Sample};

/// Decides whether the node's time is right, and sets the node's clock.
#[derive(Debug)]
pub(super) struct ClockSync {
    plan: Arc<NodeAgentOptions>,
    /// None where the store shares this node's clock, so that the time is right by definition.
    reference: Option<Reference>,
    /// The questions of the current check, to all coordinators, and the answers so far.
    asked: JoinSet<Option<Sample>>,
    coordinators: usize,
    samples: Vec<Sample>,
    /// The coordinators that disagreed with the others in the last check.
    apart: Vec<Arc<str>>,
    /// Whether the last report was that the time is known.
    known: bool,
    /// Since when it is known no longer, if that was logged.
    unknown_since: Option<Instant>,
}

impl ClockSync {
    pub(super) fn new(plan: Arc<NodeAgentOptions>) -> Self {
        let clock = &plan.clock;
        let reference = || Reference::new(clock.moment(), clock.machine_lead());
        let reference = plan.store.shared_clocks().is_none().then(reference);
        if let Some(reference) = &reference {
            clock.assess(reference.verdict());
        }
        let known = clock.is_known();
        plan.metrics.clock.known.set(known.into());
        Self {
            plan,
            reference,
            asked: JoinSet::new(),
            coordinators: 0,
            samples: Vec::new(),
            apart: Vec::new(),
            known,
            unknown_since: None,
        }
    }

    /// Reads the machine's clock, and begins a check if one is due. Returns true if the time became
    /// known or unknown.
    pub(super) fn turn(&mut self) -> bool {
        let Some(reference) = &mut self.reference else { return false };
        let clock = &self.plan.clock;
        let (now, lead) = (clock.moment(), clock.machine_lead());
        reference.look(now, lead);
        if reference.begin(now, lead) {
            self.ask();
        }
        self.tell()
    }

    /// Asks all coordinators for their time at once, some of them several times.
    fn ask(&mut self) {
        let coordinators = self.plan.store.coordinators();
        self.coordinators = coordinators.len();
        let questions = coordinators.len().max(QUESTIONS);
        for coordinator in coordinators.iter().cycle().take(questions) {
            let (clock, coordinator) = (self.plan.clock.clone(), Arc::clone(coordinator));
            let before = clock.moment();
            let asked = self.plan.store.time(Arc::clone(&coordinator));
            self.asked.spawn(async move {
                let answer = tokio::time::timeout(ROUND_TRIP_MAX, asked).await.ok()?.ok()?;
                Some(Sample { coordinator, before, answer, after: clock.moment() })
            });
        }
        if coordinators.is_empty() {
            self.asked.spawn(async { None });
        }
    }

    /// Waits until the current check is over and returns its answers.
    pub(super) async fn returned(&mut self) -> Vec<Sample> {
        if self.asked.is_empty() {
            return std::future::pending().await;
        }
        while let Some(answer) = self.asked.join_next().await {
            self.samples.extend(answer.ok().flatten());
        }
        std::mem::take(&mut self.samples)
    }

    /// Ends the current check.
    pub(super) fn conclude(&mut self, samples: &[Sample]) {
        let Some(reference) = &mut self.reference else { return };
        let (clock, metrics) = (&self.plan.clock, &self.plan.metrics);
        let (now, lead) = (clock.moment(), clock.machine_lead());
        let concluded = reference.conclude(self.coordinators, samples, now, lead);
        let Some(machine) = concluded.machine else { return };
        metrics.clock.offset.set(machine.middle() as f64 / 1e6);
        metrics.clock.apart.set(concluded.apart.len() as i64);
        if let Some(interval) = reference.interval() {
            // The status follows with the next turn, so a reader that sees it sees this interval.
            clock.set(interval, reference.lead());
            metrics.clock.uncertainty.set(interval.width().as_secs_f64());
        }
        if concluded.apart != self.apart {
            self.apart = concluded.apart;
            tracing::warn!(
                coordinators = %self.apart.join(", "),
                "the clocks of these store nodes disagree with the others and do not count: set \
                 them right"
            );
        }
    }

    /// Sets the status of the clock that all threads share.
    fn tell(&mut self) -> bool {
        let Some(reference) = &self.reference else { return false };
        let clock = &self.plan.clock;
        let verdict = reference.verdict();
        let before = clock.assess(verdict);
        let known = clock.is_known();
        if !before.is_like(verdict) {
            if let Some(complaint) = clock.complaint() {
                self.unknown_since.get_or_insert_with(Instant::now);
                tracing::warn!("sends are refused and cursors stand still: {complaint}");
            } else if let Some(since) = self.unknown_since.take() {
                let after = Readable(since.elapsed());
                tracing::info!("sends are taken again after {after}: this node's clock is right");
            }
        }
        self.plan.metrics.clock.known.set(known.into());
        std::mem::replace(&mut self.known, known) != known
    }
}
