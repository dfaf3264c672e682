//! Checks of the node's time against the store's, and what is said of them.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::StewardPlan;
use crate::clock::{Concluded, ROUND_TRIP_MAX, Reference, SAMPLES, Sample};

/// Whether a node's time is right. What it says goes to everybody who has the node's clock.
#[derive(Debug)]
pub(super) struct Timekeeper {
    plan: Arc<StewardPlan>,
    /// None where the time is right by definition.
    reference: Option<Reference>,
    /// The questions of the check under way, and the answers so far.
    asked: JoinSet<Option<Sample>>,
    samples: Vec<Sample>,
    /// Whether the node was told last that the time is known.
    known: bool,
}

impl Timekeeper {
    pub(super) fn new(plan: Arc<StewardPlan>) -> Self {
        let clock = &plan.clock;
        let reference = || Reference::new(clock.moment(), clock.machine_lead());
        let reference = plan.store.has_clock().then(reference);
        if let Some(reference) = &reference {
            clock.judge(reference.verdict());
        }
        let known = clock.is_known();
        plan.metrics.clock_known.set(known.into());
        Self { plan, reference, asked: JoinSet::new(), samples: Vec::new(), known }
    }

    /// Looks at the machine's clock, and begins a check if one is due. True if the time became known
    /// or unknown.
    pub(super) fn turn(&mut self) -> bool {
        let Some(reference) = &mut self.reference else { return false };
        let clock = &self.plan.clock;
        reference.look(clock.moment(), clock.machine_lead());
        if reference.begin(clock.moment()) {
            self.ask();
        }
        self.tell()
    }

    /// Asks the store for its time, all samples at once.
    fn ask(&mut self) {
        for _ in 0..SAMPLES {
            let clock = self.plan.clock.clone();
            let before = clock.now();
            let asked = self.plan.store.time();
            self.asked.spawn(async move {
                let answer = tokio::time::timeout(ROUND_TRIP_MAX, asked).await.ok()?.ok()?;
                Some(Sample { before, answer, after: clock.now() })
            });
        }
    }

    /// Waits until the check under way is over: its answers.
    pub(super) async fn returned(&mut self) -> Vec<Sample> {
        if self.asked.is_empty() {
            return std::future::pending().await;
        }
        while let Some(answer) = self.asked.join_next().await {
            self.samples.extend(answer.ok().flatten());
        }
        std::mem::take(&mut self.samples)
    }

    /// The check under way is over.
    pub(super) fn conclude(&mut self, samples: &[Sample]) {
        let Some(reference) = &mut self.reference else { return };
        let clock = &self.plan.clock;
        match reference.conclude(samples, clock.moment(), clock.machine_lead()) {
            Concluded::Nothing => {}
            Concluded::Measured(offset) => {
                self.plan.metrics.clock_offset.set(offset.middle() as f64 / 1e6);
            }
            Concluded::Outdated(offset) => {
                self.plan.metrics.clock_offset.set(offset.middle() as f64 / 1e6);
                // Refused first: nobody may take the step for a part of a time that was right.
                clock.judge(reference.verdict());
                clock.follow_machine();
                tracing::warn!(was = %offset, "the machine's clock was set: this node's follows it");
            }
        }
    }

    /// Tells the verdict to all who have the clock.
    fn tell(&mut self) -> bool {
        let Some(reference) = &self.reference else { return false };
        let clock = &self.plan.clock;
        let verdict = reference.verdict();
        let before = clock.judge(verdict);
        let known = clock.is_known();
        if known {
            // Not before: what is seen as a step stays one until all leases are given up.
            clock.watch_for_steps(reference.lead());
        }
        if !before.is_like(verdict) {
            if let Some(complaint) = clock.complaint() {
                tracing::warn!("no sends, no cursors: {complaint}");
            } else {
                tracing::info!("this node's clock is known to be right");
            }
        }
        self.plan.metrics.clock_known.set(known.into());
        std::mem::replace(&mut self.known, known) != known
    }
}
