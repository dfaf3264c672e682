//! Many clients of one user on several nodes at once, under any limit.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::on_redis::SharedRedis;
use super::*;

/// Loads that are tried, each for [`PRESSED`]: five seconds in all.
const CASES: u32 = 10;

/// How long the clients of one load ask.
const PRESSED: Duration = Duration::from_millis(500);

/// The outcome of a load.
struct Pressed {
    calls: u32,
    allowed: u32,
    /// From before the first call until after the last.
    took: Duration,
}

/// So many clients of a new user ask as fast as they are answered, on all nodes in turn.
async fn press(nodes: &Nodes, policy: RateLimit, clients: usize) -> Pressed {
    static USERS: AtomicU32 = AtomicU32::new(0);
    let user = user(&format!("user-{}", USERS.fetch_add(1, Ordering::Relaxed)));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (limiter, call) =
            (Arc::clone(&nodes[client % NODES]), LimitedCall::one(&user, policy, 1));
        tasks.spawn(async move {
            let (mut calls, mut allowed) = (0, 0);
            while begun.elapsed() < PRESSED {
                let verdict = verdict(&limiter, call.clone()).await;
                calls += 1;
                allowed += u32::from(matches!(verdict, LimitDecision::Allowed { .. }));
            }
            (calls, allowed)
        });
    }
    let each = tasks.join_all().await;
    let took = begun.elapsed();
    let (calls, allowed) = each.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Pressed { calls, allowed, took }
}

#[test]
#[ignore = "needs redis-server"]
fn nodes_together_never_exceed_a_limit() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let shared = SharedRedis::start();
    let nodes = {
        let _tasks_run_there = runtime.enter();
        shared.nodes()
    };
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    let loads = (1..300_u32, 1..3000_u32, 1..=64_usize);
    let tried = TestRunner::new(config).run(&loads, |(burst, per_s, clients)| {
        let pressed = press(&nodes, policy("sends", burst, per_s), clients);
        let Pressed { calls, allowed, took } = runtime.block_on(pressed);
        let most = f64::from(burst) + f64::from(per_s) * took.as_secs_f64() + 1.0;
        prop_assert!(f64::from(allowed) <= most, "{} of {} in {:?}", allowed, most, took);
        prop_assert!(allowed >= burst.min(calls), "{} of {} calls", allowed, calls);
        Ok(())
    });
    tried.unwrap();
}
