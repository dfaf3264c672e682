//! What every limiter must do, run on each backend: one function per behaviour. Several nodes share
//! one count.

mod behaviours;
mod garbled;
mod on_redis;
mod random_loads;

use std::sync::Arc;
use std::time::Duration;

use super::{Charge, LimitDecision, LimitedCall, Limiter, Local, RateLimit};
use crate::domain::UserId;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Nodes that share a count.
const NODES: usize = 4;

type Nodes = [Arc<dyn Limiter>; NODES];

/// The backend in memory is one count that the nodes of a process may share.
fn local() -> Nodes {
    let local: Arc<dyn Limiter> = Arc::new(Local::new(1024));
    [(); NODES].map(|()| Arc::clone(&local))
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

const fn policy(name: &'static str, burst: u32, per_s: u32) -> RateLimit {
    RateLimit { name, burst, per_s }
}

/// A call of Alice under these policies, with their costs.
fn call(charges: &[(RateLimit, u32)]) -> LimitedCall {
    let charge = |&(policy, cost): &(RateLimit, u32)| Charge { policy, cost };
    LimitedCall { user: user("alice"), charges: charges.iter().map(charge).collect() }
}

/// Returns the decision on a call, which there must be.
async fn verdict(limiter: &Arc<dyn Limiter>, call: LimitedCall) -> LimitDecision {
    limiter.check(call).await.expect("there is a decision")
}

/// Returns how many of so many calls are allowed, one after the other, on all nodes in turn.
async fn allowed(nodes: &Nodes, calls: usize, call: &LimitedCall) -> usize {
    let mut allowed = 0;
    for limiter in nodes.iter().cycle().take(calls) {
        let verdict = verdict(limiter, call.clone()).await;
        allowed += usize::from(matches!(verdict, LimitDecision::Allowed { .. }));
    }
    allowed
}
