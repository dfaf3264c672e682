//! The load and the scripts of `scripts/k6` say the same of the same nodes.

use super::load_run::LoadRun;
use crate::harness::{Demo, RedisServer};
use crate::k6::load_test::LoadTest;
use crate::k6::relay::Relay;

/// Sends a second of both.
const RATE: &str = "100";

/// Whether two counts are within a tenth.
fn is_near(one: u64, other: u64) -> bool {
    one.abs_diff(other) * 10 <= one.max(other)
}

#[test]
#[ignore = "needs node and redis-server"]
fn both_agree_on_the_rate_and_on_what_is_lost() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(2, &[&redis.url()], &[]);
    for (mode, every, lost) in [("lose", 1_000_000, 0), ("lose", 100, 3)] {
        let [one, other] = [0, 1].map(|_| Relay::start(mode, every, &demo));
        let run = LoadRun::new(&one.urls).with("--rate", RATE).with("--seconds", "3");
        let ours = run.with("--settle", "6").run();
        let test = LoadTest::new("dm", &other.urls).with("RATE", RATE).with("DURATION", "3s");
        let theirs = test.with("SETTLE", "6s").run();
        for count in ["sent", "acked", "delivered"] {
            let (ours_count, theirs_count) = (ours.count(count), theirs.count(count));
            assert!(is_near(ours_count, theirs_count), "{count}: {ours}\n{theirs}");
        }
        assert!(is_near(ours.count("sent"), 300), "{ours}");
        assert_eq!((ours.count("lost"), theirs.count("lost")), (lost, lost), "{ours}\n{theirs}");
        let verdicts = [&ours.report["verdict"], &theirs.report["verdict"]];
        assert_eq!(verdicts[0], verdicts[1], "{ours}\n{theirs}");
    }
}
