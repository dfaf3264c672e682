//! Nodes that each count one conversation, and receive each other's messages late.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::limiter::worker_limiter::CONVERSATION_DEBT;

const SECOND: u64 = 1_000_000;

const fn policy(burst: u32, per_s: u32) -> RateLimit {
    RateLimit { name: "messages", burst, per_s }
}

/// Many nodes with one conversation. On each of them a session always wants to send.
struct Crowd {
    policy: RateLimit,
    nodes: usize,
    /// Between two tries on a node.
    step: u64,
    /// From a send until the other nodes have received it.
    delay: u64,
}

impl Crowd {
    /// Returns how many messages are sent within a time.
    fn sends(&self, time: u64) -> u64 {
        let nodes: Vec<KeyedGcra<u8>> =
            (0..self.nodes).map(|_| KeyedGcra::new(self.policy, CONVERSATION_DEBT, 8)).collect();
        let mut on_the_way: VecDeque<(u64, usize)> = VecDeque::new();
        let mut sent = 0;
        for now in (0..time).step_by(self.step as usize) {
            while let Some((_, sender)) = on_the_way.pop_front_if(|(at, _)| *at <= now) {
                let others = nodes.iter().enumerate().filter(|(node, _)| *node != sender);
                others.for_each(|(_, node)| node.charge(&0, now, 1));
            }
            for (number, node) in nodes.iter().enumerate() {
                if node.check(&0, now, 1).is_ok() {
                    node.charge(&0, now, 1);
                    on_the_way.push_back((now + self.delay, number));
                    sent += 1;
                }
            }
        }
        sent
    }

    /// Returns what the limit lets in within a time, on one node that receives everything at once.
    fn limit(&self, time: u64) -> u64 {
        u64::from(self.policy.burst) + u64::from(self.policy.per_s) * time / SECOND
    }

    /// Returns what all nodes may let in besides. Each may let in one message, and what it would
    /// before it receives those of others.
    fn overshoot(&self) -> u64 {
        self.nodes as u64 * (1 + self.delay.div_ceil(self.step))
    }
}

/// The defaults of a direct conversation and of a room, saturated on twenty nodes.
fn saturated_nodes_keep_to_one_limit(time: u64) {
    for (burst, per_s) in [(8600, 1), (5000, 25)] {
        let policy = policy(burst, per_s);
        let crowd = Crowd { policy, nodes: 20, step: SECOND / 10, delay: SECOND / 10 };
        let (sent, limit) = (crowd.sends(time), crowd.limit(time));
        assert!(sent <= limit + limit / 1000 + 20, "{sent} of {limit}");
        assert!(sent >= limit - limit / 1000, "{sent} of {limit}: a debt does not lock users out");
    }
}

#[test]
fn twenty_saturated_nodes_keep_to_one_limit() {
    saturated_nodes_keep_to_one_limit(1200 * SECOND);
}

#[test]
#[ignore = "takes long: scripts/test"]
fn twenty_saturated_nodes_keep_to_one_limit_for_an_hour() {
    saturated_nodes_keep_to_one_limit(3600 * SECOND);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn together_nodes_exceed_a_limit_by_what_is_on_the_way(
        burst in 1..200_u32,
        per_s in 1..50_u32,
        nodes in 1..25_usize,
        step in 20_000..300_000_u64,
        delay in 0..500_000_u64,
    ) {
        let crowd = Crowd { policy: policy(burst, per_s), nodes, step, delay };
        let time = 60 * SECOND;
        let (sent, most) = (crowd.sends(time), crowd.limit(time) + crowd.overshoot());
        prop_assert!(sent <= most, "{} of {}", sent, most);
    }
}

#[test]
fn a_debt_and_what_is_told_of_it_are_bounded() {
    let shelf = KeyedGcra::new(policy(2, 1), Duration::from_mins(5), 8);
    shelf.charge(&'x', 0, 2);
    assert_eq!(shelf.check(&'x', 0, 0), Ok(()), "a burst that is used up is no debt");
    assert_eq!(shelf.check(&'x', 0, 1), Err(RateLimited::after_micros(shelf.policy, SECOND)));
    shelf.charge(&'x', 0, 1_000_000);
    let told = shelf.check(&'x', 0, 1).unwrap_err().retry_after;
    assert_eq!(told, Some(TOLD_MAX));
    assert!(shelf.check(&'x', 300 * SECOND - 1, 0).is_err());
    assert_eq!(shelf.check(&'x', 300 * SECOND, 0), Ok(()));
    assert_eq!(shelf.check(&'x', 301 * SECOND, 1), Ok(()));
    assert_eq!(shelf.check(&'y', 0, 1), Ok(()), "another key has its own");
}
