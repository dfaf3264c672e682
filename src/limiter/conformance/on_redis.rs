//! What only a server across a network can do.

use std::time::Instant;

use tokio::time::timeout;

use super::*;
use crate::bus::conformance::redis_server::RedisServer;
use crate::layout::{BucketCount, BucketCounts, Layout, Layouts};
use crate::limiter::{LimiterError, RedisLimiter, RedisLimiterOptions};
use crate::redis::{ConnectOptions, Keys, RedisUrl};

/// How long a call waits in these tests, where the server is well.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a call waits where the server is not well.
const SHORT: Duration = Duration::from_millis(200);

/// A real server, and nodes that count on it.
pub(super) struct SharedRedis(RedisServer);

impl SharedRedis {
    pub(super) fn start() -> Self {
        Self(RedisServer::start())
    }

    pub(super) fn nodes(&self) -> Nodes {
        [(); NODES].map(|()| limiter(&self.0.url(), ANSWER, 4096))
    }

    fn impatient(&self) -> Arc<dyn Limiter> {
        limiter(&self.0.url(), SHORT, 4096)
    }

    /// Sets Alice's time ahead of the server's clock by so many microseconds.
    fn set_ahead(&self, micros: i64) {
        let time = self.0.ask("TIME");
        let numbers: Vec<i64> = time.lines().filter_map(|line| line.parse().ok()).collect();
        self.set(&(numbers[0] * 1_000_000 + numbers[1] + micros).to_string());
    }

    fn set(&self, value: &str) {
        assert!(self.0.ask(&format!("SET {KEY} {value}")).starts_with("+OK"));
    }
}

/// Alice's key under [`SENDS`].
const KEY: &str = "nc:suite:l:0000000000000007:{202}:sends:alice";

const SENDS: RateLimit = policy("sends", 5, 2);

pub(super) fn limiter(url: &str, answer: Duration, waiting: usize) -> Arc<dyn Limiter> {
    let buckets = BucketCounts::all(BucketCount::new(1 << 20).unwrap());
    let layouts = Layouts::from(Layout::new(buckets, vec!["r1".to_owned()]));
    let plan = RedisLimiterOptions {
        layouts: Arc::new(layouts),
        keys: Keys::new("suite", 7),
        addresses: vec![url.parse::<RedisUrl>().expect("a URL").into()],
        connect: ConnectOptions { connect: SHORT, keepalive: PATIENCE, user_timeout: PATIENCE },
        answer,
        waiting,
    };
    Arc::new(RedisLimiter::start(plan))
}

fn one() -> LimitedCall {
    call(&[(SENDS, 1)])
}

/// Asks until there is a decision again.
async fn comes_back(limiter: &Arc<dyn Limiter>) -> LimitDecision {
    let asking = async {
        loop {
            if let Ok(verdict) = limiter.check(one()).await {
                return verdict;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("it comes back")
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn scripts_may_be_forgotten_in_the_middle() {
    let shared = SharedRedis::start();
    let nodes = shared.nodes();
    let dear = policy("sends", 1000, 1);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..600 {
        if number % 100 == 50 {
            shared.0.ask("SCRIPT FLUSH");
        }
        tasks.push(tokio::spawn(nodes[number % NODES].check(call(&[(dear, 1)]))));
        tokio::task::yield_now().await;
    }
    for task in tasks {
        let verdict = task.await.expect("no panic").expect("healed");
        assert!(matches!(verdict, LimitDecision::Allowed { .. }), "{verdict:?}");
    }
    let LimitDecision::Allowed { remaining } = verdict(&nodes[0], call(&[(dear, 1)])).await else {
        panic!("399 are left")
    };
    let refilled = begun.elapsed().as_secs() + 1;
    assert!((399..=399 + refilled).contains(&remaining), "{remaining}: each counted once");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_waits_goes_in_one_pipeline() {
    let shared = SharedRedis::start();
    let node = &shared.nodes()[0];
    verdict(node, one()).await;
    let reads = |stats: String| -> u64 {
        let line = stats.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        line.unwrap().parse().unwrap()
    };
    let before = reads(shared.0.ask("INFO stats"));
    let tasks: Vec<_> = (0..1000).map(|_| tokio::spawn(node.check(one()))).collect();
    for task in tasks {
        task.await.expect("no panic").expect("a decision");
    }
    let taken = reads(shared.0.ask("INFO stats")) - before;
    assert!(taken < 100, "1000 calls took {taken} reads of the server");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_key_of_another_type_is_an_error_of_its_call_alone() {
    let shared = SharedRedis::start();
    let node = &shared.nodes()[0];
    shared.0.ask(&format!("RPUSH {KEY} 1"));
    let bob = LimitedCall { user: user("bob"), ..one() };
    // The user's other policy is not charged either: all are read before any is written.
    let both = call(&[(policy("events", 5, 1), 1), (SENDS, 1)]);
    let (alice, bob, two) = tokio::join!(node.check(one()), node.check(bob), node.check(both));
    for error in [alice, two] {
        let Err(LimiterError::Refused(why)) = error else { panic!("{error:?}") };
        assert!(why.contains("WRONGTYPE"), "{why}");
    }
    assert_eq!(bob, Ok(LimitDecision::Allowed { remaining: 4 }));
    assert_eq!(
        shared.0.ask("EXISTS nc:suite:l:0000000000000007:{202}:events:alice").lines().next(),
        Some(":0")
    );
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn garbage_and_a_stepped_clock_count_as_a_burst_that_is_used_up() {
    let shared = SharedRedis::start();
    let node = &shared.nodes()[0];
    let hour = 3_600_000_000;
    for garbage in ["nonsense", "nan", "inf", "1e300", "9223372036854775807"] {
        shared.set(garbage);
        heals(node, garbage).await;
    }
    shared.set_ahead(hour);
    heals(node, "an hour").await;
    for past in ["-5", "-inf", "0"] {
        shared.set(past);
        assert_eq!(verdict(node, one()).await, LimitDecision::Allowed { remaining: 4 }, "{past}");
    }
    shared.set_ahead(-hour);
    assert_eq!(verdict(node, one()).await, LimitDecision::Allowed { remaining: 4 });
}

async fn heals(node: &Arc<dyn Limiter>, what: &str) {
    let LimitDecision::Refused(refused) = verdict(node, one()).await else { panic!("{what}") };
    let wait = refused.retry_after.expect("it is possible");
    assert!(wait <= Duration::from_millis(500), "{what}: {wait:?}");
    tokio::time::sleep(wait).await;
    assert_eq!(verdict(node, one()).await, LimitDecision::Allowed { remaining: 0 }, "{what}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn times_are_exact_and_keys_go_when_they_are_empty() {
    let shared = SharedRedis::start();
    let node = &shared.nodes()[0];
    verdict(node, call(&[(SENDS, 3)])).await;
    let ttl = shared.0.ask(&format!("PTTL {KEY}"));
    let ttl: i64 = ttl.lines().next().unwrap()[1..].parse().unwrap();
    assert!((1..=1500).contains(&ttl), "{ttl} ms for three at two a second");
    let stored = shared.0.ask(&format!("GET {KEY}"));
    let digits = stored.lines().nth(1).unwrap();
    assert!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit()), "{digits}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_server_that_dies_is_no_verdict_and_comes_back_forgetful() {
    let mut shared = SharedRedis::start();
    let node = shared.impatient();
    assert_eq!(comes_back(&node).await, LimitDecision::Allowed { remaining: 4 });
    shared.0.kill();
    assert_eq!(node.check(one()).await, Err(LimiterError::Unavailable));
    shared.0.restart();
    assert_eq!(
        comes_back(&node).await,
        LimitDecision::Allowed { remaining: 4 },
        "a burst is forgotten"
    );
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_server_that_stands_still_is_waited_for_once() {
    let shared = SharedRedis::start();
    let node = shared.impatient();
    comes_back(&node).await;
    shared.0.signal("STOP");
    assert_eq!(node.check(one()).await, Err(LimiterError::Unavailable));
    // The batcher has given the server up by now, or does so within the time of an answer.
    tokio::time::sleep(SHORT).await;
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(node.check(one()).await, Err(LimiterError::Unavailable));
    }
    assert!(begun.elapsed() < 50 * SHORT, "each waited for it: {:?}", begun.elapsed());
    shared.0.signal("CONT");
    comes_back(&node).await;
}
