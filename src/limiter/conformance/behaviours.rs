//! The behaviours. A rate of one per second or less gives nothing within the time of a test. A test
//! that counts by time uses the time that it took.

use std::time::Instant;

use super::*;
use crate::limiter::RateLimited;
use crate::limiter::conformance::on_redis::SharedRedis;

/// Makes a test of each behaviour on each backend.
macro_rules! on_each_backend {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_local {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour(&super::local()).await;
            })+
        }

        mod on_redis {
            $(#[tokio::test]
            #[ignore = "needs redis-server"]
            async fn $behaviour() {
                let shared = super::SharedRedis::start();
                super::$behaviour(&shared.nodes()).await;
            })+
        }
    };
}

on_each_backend!(
    a_burst_is_let_in_and_no_more,
    who_waits_as_told_is_let_in,
    users_and_policies_are_apart,
    all_policies_or_none_are_charged,
    the_tightest_and_the_longest_are_told,
    what_costs_more_than_the_burst_never_is,
    many_at_once_never_exceed_the_limit,
);

/// So slow that no call comes back within a test. Tests of time use other rates.
const SLOW: RateLimit = policy("sends", 8, 1);

async fn a_burst_is_let_in_and_no_more(nodes: &Nodes) {
    let begun = Instant::now();
    let allowed = allowed(nodes, 40, &call(&[(SLOW, 1)])).await;
    let most = 8 + begun.elapsed().as_secs() as usize + 1;
    assert!((8..=most).contains(&allowed), "{allowed}");
}

async fn who_waits_as_told_is_let_in(nodes: &Nodes) {
    let quick = policy("sends", 3, 9);
    let mut waits = 0;
    for round in 0..12 {
        let limiter = &nodes[round % NODES];
        match verdict(limiter, call(&[(quick, 1)])).await {
            LimitDecision::Allowed { .. } => {}
            LimitDecision::Refused(RateLimited { retry_after, .. }) => {
                waits += 1;
                // The runtime's timer is a millisecond late and would hide a wait that is too
                // short.
                std::thread::sleep(retry_after.expect("it is possible"));
                let again = verdict(limiter, call(&[(quick, 1)])).await;
                assert!(matches!(again, LimitDecision::Allowed { .. }), "round {round}: {again:?}");
            }
        }
    }
    assert!(waits >= 3, "{waits}");
}

async fn users_and_policies_are_apart(nodes: &Nodes) {
    let one = policy("sends", 1, 1);
    let other = LimitedCall { user: user("bob"), ..call(&[(one, 1)]) };
    for call in [call(&[(one, 1)]), other, call(&[(policy("events", 1, 1), 1)])] {
        assert_eq!(verdict(&nodes[0], call).await, LimitDecision::Allowed { remaining: 0 });
    }
    let refused = verdict(&nodes[1], call(&[(one, 1)])).await;
    assert!(matches!(refused, LimitDecision::Refused(refused) if refused.policy == one));
}

/// If charges were made while the call is still being checked, the wide policy would be used up by
/// calls that the tight one refused.
async fn all_policies_or_none_are_charged(nodes: &Nodes) {
    let (wide, tight) = (policy("wide", 40, 1), policy("tight", 2, 1));
    let begun = Instant::now();
    for both in [[(wide, 1), (tight, 1)], [(tight, 1), (wide, 1)]] {
        allowed(nodes, 50, &call(&both)).await;
    }
    let used = 2 + begun.elapsed().as_secs() as usize + 1;
    let left = allowed(nodes, 80, &call(&[(wide, 1)])).await;
    assert!(left >= 40 - used, "{left} of 40 are left, {used} were let in at most");
}

async fn the_tightest_and_the_longest_are_told(nodes: &Nodes) {
    let (few, slow) = (policy("few", 2, 100), policy("slow", 5, 1));
    let both = call(&[(few, 2), (slow, 5)]);
    assert_eq!(verdict(&nodes[0], both.clone()).await, LimitDecision::Allowed { remaining: 0 });
    let LimitDecision::Refused(refused) = verdict(&nodes[1], both).await else { panic!("used up") };
    assert_eq!(refused.policy, slow);
    let wait = refused.retry_after.expect("it is possible");
    assert!(wait <= Duration::from_secs(5) && wait > Duration::from_millis(500), "{wait:?}");
    let wide = policy("wide", 9, 1);
    let fresh = verdict(&nodes[2], call(&[(wide, 2), (policy("tight", 4, 1), 1)])).await;
    assert_eq!(fresh, LimitDecision::Allowed { remaining: 3 });
}

async fn what_costs_more_than_the_burst_never_is(nodes: &Nodes) {
    let wide = policy("wide", 100, 1);
    let never = RateLimited { policy: SLOW, retry_after: None };
    let dear = call(&[(wide, 50), (SLOW, 9)]);
    assert_eq!(verdict(&nodes[0], dear).await, LimitDecision::Refused(never));
    let left = verdict(&nodes[1], call(&[(wide, 60)])).await;
    assert_eq!(left, LimitDecision::Allowed { remaining: 40 }, "nothing was charged");
}

async fn many_at_once_never_exceed_the_limit(nodes: &Nodes) {
    const TASKS: usize = 64;
    const CALLS_EACH: usize = 30;
    let quick = policy("sends", 50, 100);
    let begun = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let limiter = Arc::clone(&nodes[task % NODES]);
            tokio::spawn(async move {
                let mut allowed = 0;
                for _ in 0..CALLS_EACH {
                    let verdict = verdict(&limiter, call(&[(quick, 1)])).await;
                    allowed += u32::from(matches!(verdict, LimitDecision::Allowed { .. }));
                    tokio::task::yield_now().await;
                }
                allowed
            })
        })
        .collect();
    let mut allowed = 0;
    for task in tasks {
        allowed += task.await.expect("it did not panic");
    }
    let most = 50.0 + 100.0 * begun.elapsed().as_secs_f64() + 1.0;
    assert!(allowed >= 50 && f64::from(allowed) <= most, "{allowed} of at most {most}");
}
