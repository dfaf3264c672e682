use smallvec::smallvec;

use super::*;
use crate::cluster::{READ_CAP, ShardRow, sample};

const SHARDS: [ShardTag; 2] = [ShardTag(1), ShardTag(2)];
const HERE: ServerRun = ServerRun(7);
const ELSEWHERE: ServerRun = ServerRun(8);

/// Where the wall clock is at moment zero.
const WALL: Micros = Micros(1_000_000_000);

fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime((seconds * 1e6).round() as u64)
}

fn wall(seconds: f64) -> Micros {
    WALL + Duration::from_secs_f64(seconds)
}

/// A heartbeat of an incarnation that publishes to these runs and bounds nothing.
fn row(x: u128, counter: u64, runs: [ServerRun; 2]) -> Heartbeat {
    let shard = |index: usize| ShardRow {
        shard: SHARDS[index],
        runs: smallvec![runs[index]],
        epoch: 0,
        gap_no: 0,
    };
    let (settled, decided) = (Micros(u64::MAX), Micros(u64::MAX));
    Heartbeat { settled, decided, shards: smallvec![shard(0), shard(1)], ..sample::row(x, counter) }
}

struct Scene {
    watch: WatermarkTracker,
    view: Arc<WatermarkState>,
}

impl Scene {
    /// Nothing is subscribed or read.
    fn new() -> Self {
        let view = Arc::new(WatermarkState::default());
        let watch = WatermarkTracker::new(SHARDS, Arc::clone(&view), Safeguards::default());
        Self { watch, view }
    }

    /// Both shards are subscribed, the cluster table was read at 0 s, and the first repair is done.
    fn live() -> Self {
        let mut scene = Self::new();
        scene.hear(0);
        scene.hear(1);
        scene.read(&[], 0.0);
        let round = scene.repairs(0.0);
        scene.ends(&round, 0.0);
        assert!(!scene.is_frozen());
        scene
    }

    fn hear(&mut self, shard: usize) {
        self.watch.connected(shard, HERE);
        self.watch.whole(shard);
    }

    /// A read that takes no time.
    fn read(&mut self, rows: &[Heartbeat], seconds: f64) {
        self.watch.read_begins(ClockReading { wall: wall(seconds), moment: at(seconds) });
        self.watch.read_ends(rows.to_vec(), at(seconds));
    }

    fn orders(&mut self, seconds: f64) -> Vec<WatermarkAction> {
        std::iter::from_fn(|| self.watch.poll(at(seconds))).collect()
    }

    /// The only action is a round of a kind.
    fn round(&mut self, kind: RoundKind, seconds: f64) -> RecoveryRound {
        let orders = self.orders(seconds);
        match <[WatermarkAction; 1]>::try_from(orders) {
            Ok([WatermarkAction::Read(round)]) if round.kind == kind => round,
            other => panic!("a {kind:?} is due at {seconds}, and not {other:?}"),
        }
    }

    fn repairs(&mut self, seconds: f64) -> RecoveryRound {
        self.round(RoundKind::Repair, seconds)
    }

    fn pulls(&mut self, seconds: f64) -> RecoveryRound {
        self.round(RoundKind::Pull, seconds)
    }

    /// A round is done, and the workers get the watermark.
    fn ends(&mut self, round: &RecoveryRound, seconds: f64) -> Micros {
        self.watch.round_done(round.number);
        match <[WatermarkAction; 1]>::try_from(self.orders(seconds)) {
            Ok([WatermarkAction::Done { round: done, watermark }]) if done == *round => watermark,
            other => panic!("{round:?} is done, and not {other:?}"),
        }
    }

    fn canaries_back(&mut self, number: u64) {
        (0..SHARDS.len()).for_each(|shard| self.watch.canary_back(shard, number));
    }

    fn is_frozen(&self) -> bool {
        self.view.look().frozen
    }

    fn gaps(&mut self) -> Vec<DeliveryGap> {
        self.watch.take_gaps()
    }
}

#[test]
fn the_first_repair_waits_for_the_cluster_table_and_for_everything_to_be_heard() {
    let mut scene = Scene::new();
    assert!(scene.is_frozen());
    scene.hear(0);
    assert_eq!(scene.orders(0.0), []);
    scene.hear(1);
    assert_eq!(scene.orders(1.0), [], "nothing was read");

    let mut scene = Scene::new();
    scene.read(&[], 0.0);
    scene.hear(0);
    assert_eq!(scene.orders(1.0), [], "one shard is not subscribed");
    scene.watch.connected(1, HERE);
    assert_eq!(scene.orders(2.0), [], "not everything is subscribed there");
    scene.watch.whole(1);
    let round = scene.repairs(3.0);
    assert_eq!((round.above, round.decided), (Micros(0), Some(wall(0.0) - READ_CAP)));
    assert!(scene.is_frozen());
    assert_eq!(scene.ends(&round, 4.0), wall(0.0) - READ_CAP);
    assert!(!scene.is_frozen());
    assert_eq!(scene.gaps(), [], "that was none");
}

#[test]
fn all_canaries_back_move_the_watermark_to_what_the_read_showed() {
    let mut scene = Scene::live();
    scene.read(&[], 2.0);
    assert_eq!(scene.orders(2.0), [WatermarkAction::Canaries(1)]);
    scene.watch.canary_back(0, 1);
    scene.watch.canary_back(0, 1);
    scene.watch.canary_back(1, 9);
    assert_eq!(scene.orders(2.1), [], "shard 1 has not answered this one");
    scene.watch.canary_back(1, 1);
    assert_eq!(scene.orders(2.2), [WatermarkAction::Advance(wall(2.0) - READ_CAP)]);
    assert_eq!(scene.watch.watermark(), wall(2.0) - READ_CAP);
    scene.canaries_back(1);
    assert_eq!(scene.orders(2.3), [], "once");
}

#[test]
fn the_watermark_follows_settled_and_the_view_decided() {
    let mut scene = Scene::live();
    let slow = Heartbeat { settled: wall(20.0), decided: wall(25.0), ..row(1, 1, [HERE; 2]) };
    scene.read(std::slice::from_ref(&slow), 50.0);
    assert_eq!(scene.view.look().decided, wall(25.0));
    assert_eq!(scene.orders(50.0), [WatermarkAction::Canaries(1)]);
    scene.canaries_back(1);
    assert_eq!(scene.orders(50.0), [WatermarkAction::Advance(wall(20.0))]);
    let back = Heartbeat { settled: wall(1.0), decided: wall(1.0), ..row(1, 2, [HERE; 2]) };
    scene.read(&[back], 52.0);
    assert_eq!(scene.orders(52.0), [WatermarkAction::Canaries(2)]);
    scene.canaries_back(2);
    assert_eq!(scene.orders(52.0), [WatermarkAction::Advance(wall(20.0))], "it never runs back");
}

#[test]
fn canaries_under_way_are_not_replaced() {
    let mut scene = Scene::live();
    scene.read(&[], 2.0);
    scene.read(&[], 4.0);
    assert_eq!(scene.orders(4.0), [WatermarkAction::Canaries(1)]);
    scene.canaries_back(1);
    assert_eq!(scene.orders(4.0), [WatermarkAction::Advance(wall(2.0) - READ_CAP)]);
    scene.read(&[], 6.0);
    assert_eq!(scene.orders(6.0), [WatermarkAction::Canaries(2)]);
}

#[test]
fn a_late_canary_breaks_the_links_that_did_not_answer() {
    let mut scene = Scene::live();
    scene.read(&[], 2.0);
    assert_eq!(scene.orders(5.0), [WatermarkAction::Canaries(1)], "3 s are not over");
    scene.watch.canary_back(0, 1);
    assert_eq!(scene.orders(5.1), [WatermarkAction::BreakLinks(1)]);
    assert_eq!(scene.gaps(), [DeliveryGap::CanaryLate]);
    assert!(scene.is_frozen());
    scene.watch.canary_back(1, 1);
    assert_eq!(scene.orders(5.2), [], "nothing is repaired on a connection that is to be closed");
    scene.watch.lost(1);
    scene.hear(1);
    scene.repairs(6.0);
}

#[test]
fn a_break_drops_the_canaries_wherever_it_was_found() {
    let gaps: [fn(&mut Scene); 3] = [
        |scene| scene.watch.lost(0),
        |scene| scene.view.open_gap(),
        |scene| scene.read(&[Heartbeat { shards: moved(), ..row(1, 1, [HERE; 2]) }], 2.1),
    ];
    for raise in gaps {
        let mut scene = Scene::live();
        let before = scene.watch.watermark();
        scene.read(&[], 2.0);
        assert_eq!(scene.orders(2.0), [WatermarkAction::Canaries(1)]);
        raise(&mut scene);
        scene.canaries_back(1);
        let orders = scene.orders(2.2);
        assert!(
            !orders.iter().any(|order| matches!(order, WatermarkAction::Advance(_))),
            "{orders:?}"
        );
        assert_eq!(scene.watch.watermark(), before);
    }
}

/// A publisher that came back on another run, which is the one that this node subscribes to.
fn moved() -> smallvec::SmallVec<[ShardRow; 2]> {
    smallvec![ShardRow { shard: SHARDS[0], runs: smallvec![HERE], epoch: 1, gap_no: 0 }]
}

#[test]
fn a_break_in_the_rows_freezes_before_the_watermark_could_move() {
    let mut scene = Scene::live();
    scene.read(&[Heartbeat { shards: moved(), ..row(1, 1, [HERE; 2]) }], 2.0);
    assert_eq!(scene.gaps(), [DeliveryGap::EpochMoved]);
    scene.repairs(2.0);
}

#[test]
fn a_lost_link_freezes_until_all_is_heard_again_and_pulls_meanwhile() {
    let mut scene = Scene::live();
    scene.watch.lost(1);
    assert_eq!(scene.gaps(), [DeliveryGap::LinkLost]);
    assert_eq!(scene.orders(2.0), []);
    scene.read(&[], 3.0);
    assert_eq!(scene.orders(11.9), [], "frozen, so no canary either");
    let pull = scene.pulls(12.0);
    assert_eq!(pull.decided, Some(wall(3.0) - READ_CAP));
    assert_eq!(scene.orders(21.9), [], "one round at a time");
    assert_eq!(scene.ends(&pull, 21.9), wall(3.0) - READ_CAP, "cursors go on");
    assert!(scene.is_frozen());
    scene.read(&[], 21.9);
    let pull = scene.pulls(22.0);
    assert_eq!(pull.above, wall(3.0) - READ_CAP, "from the watermark on, 10 s from the last begin");
    scene.watch.connected(1, ELSEWHERE);
    scene.watch.whole(1);
    assert_eq!(scene.orders(23.0), [], "the pull is not done");
    scene.ends_with_a_repair(&pull, 24.0);
    assert!(!scene.is_frozen());
}

impl Scene {
    /// A round is done, and a repair was waiting for it.
    fn ends_with_a_repair(&mut self, round: &RecoveryRound, seconds: f64) {
        self.watch.round_done(round.number);
        let orders = self.orders(seconds);
        let [WatermarkAction::Done { .. }, WatermarkAction::Read(repair)] = &orders[..] else {
            panic!("{orders:?}")
        };
        assert_eq!(repair.kind, RoundKind::Repair);
        let repair = repair.clone();
        self.ends(&repair, seconds);
    }
}

#[test]
fn the_first_pull_counts_from_the_freeze() {
    let mut scene = Scene::live();
    assert_eq!(scene.orders(100.0), []);
    scene.watch.lost(0);
    assert_eq!(scene.orders(100.0), []);
    assert_eq!(scene.orders(109.9), []);
    scene.pulls(110.0);
}

#[test]
fn a_repair_that_a_break_interrupts_moves_the_watermark_and_does_not_unfreeze() {
    let mut scene = Scene::live();
    scene.view.open_gap();
    scene.read(&[], 2.0);
    let round = scene.repairs(2.0);
    scene.view.open_gap();
    assert_eq!(scene.ends(&round, 2.5), wall(2.0) - READ_CAP, "cut short, it counts");
    assert!(scene.is_frozen());
    assert_eq!(scene.orders(2.9), [], "repairs begin a second apart");
    let round = scene.repairs(3.0);
    scene.ends(&round, 3.0);
    assert!(!scene.is_frozen());
}

#[test]
fn only_the_round_under_way_can_be_done() {
    let mut scene = Scene::live();
    scene.view.open_gap();
    let round = scene.repairs(2.0);
    scene.watch.round_done(round.number - 1);
    assert_eq!(scene.orders(2.0), []);
    assert!(scene.is_frozen());
    scene.ends(&round, 2.0);
    scene.watch.round_done(round.number);
    assert_eq!(scene.orders(2.0), [], "once");
}

#[test]
fn the_dead_hold_the_watermark_until_a_whole_repair_excludes_them() {
    let mut scene = Scene::live();
    let dead = Heartbeat { settled: wall(1.0), decided: wall(2.0), ..row(1, 1, [HERE; 2]) };
    let (rows, read) = (std::slice::from_ref(&dead), [2.0, 10.0, 17.0]);
    read.into_iter().for_each(|seconds| scene.read(rows, seconds));
    assert_eq!(scene.gaps(), [DeliveryGap::Dead]);
    let orders = scene.orders(17.0);
    let [WatermarkAction::Canaries(1), WatermarkAction::Read(first)] = &*orders else {
        panic!("{orders:?} are not the canaries of the first read, and a repair");
    };
    let number = first.number;
    scene.view.open_gap();
    scene.watch.round_done(number);
    scene.orders(17.5);
    scene.read(rows, 18.0);
    assert_eq!(scene.view.look().decided, wall(2.0), "the repair was cut short");
    let round = scene.repairs(18.0);
    assert_eq!(round.dying.to_vec(), [dead.incarnation]);
    scene.ends(&round, 18.0);
    scene.read(rows, 20.0);
    assert_eq!(scene.view.look().decided, wall(20.0) - READ_CAP);
    assert_eq!((scene.gaps(), scene.is_frozen()), (vec![], false));
}

#[test]
fn who_left_is_excluded_by_the_advance() {
    let mut scene = Scene::live();
    let last =
        Heartbeat { left: true, settled: wall(1.0), decided: wall(1.0), ..row(1, 1, [HERE; 2]) };
    let rows = std::slice::from_ref(&last);
    for (number, seconds, watermark) in [(1, 20.0, wall(1.0)), (2, 22.0, wall(12.0))] {
        scene.read(rows, seconds);
        assert_eq!(scene.orders(seconds), [WatermarkAction::Canaries(number)]);
        scene.canaries_back(number);
        assert_eq!(scene.orders(seconds), [WatermarkAction::Advance(watermark)]);
    }
}

#[test]
fn no_repair_begins_while_somebody_publishes_elsewhere() {
    let mut scene = Scene::live();
    let astray = row(1, 1, [HERE, ELSEWHERE]);
    scene.read(&[astray], 2.0);
    assert_eq!(scene.gaps(), [DeliveryGap::RunDiffers]);
    assert_eq!(scene.orders(2.0), []);
    scene.watch.lost(1);
    assert_eq!(scene.orders(3.0), []);
    scene.watch.connected(1, ELSEWHERE);
    scene.watch.whole(1);
    scene.repairs(4.0);
}

/// At a time, a node is still connected to a demoted primary, and resolving the address finds the
/// same server.
fn look_again_in_vain(scene: &mut Scene, seconds: f64) {
    assert_eq!(scene.orders(seconds), [WatermarkAction::BreakLinks(1)], "at {seconds}");
    scene.watch.lost(1);
    assert_eq!(scene.orders(seconds), []);
    scene.hear(1);
    assert_eq!(scene.orders(seconds), []);
}

#[test]
fn a_shard_that_others_publish_to_elsewhere_is_looked_up_ever_less_often() {
    let mut scene = Scene::live();
    scene.view.open_gap();
    // The repair under way never ends, so that no other round begins.
    scene.repairs(1.0);
    let mut counter = 0;
    let mut others_publish_elsewhere = |scene: &mut Scene, seconds| {
        counter += 1;
        scene.read(&[row(1, counter, [HERE, ELSEWHERE])], seconds);
    };
    others_publish_elsewhere(&mut scene, 2.0);
    assert_eq!(scene.orders(2.0), []);
    assert_eq!(scene.orders(11.9), []);
    look_again_in_vain(&mut scene, 12.0);
    let mut due = 12.0;
    for wait in [20.0, 40.0, 80.0, 160.0, 300.0, 300.0] {
        due += wait;
        others_publish_elsewhere(&mut scene, due - 0.1);
        assert_eq!(scene.orders(due - 0.1), [], "{wait} s are not over");
        look_again_in_vain(&mut scene, due);
    }
}

#[test]
fn over_a_minute_between_two_reads_is_a_break() {
    let mut scene = Scene::live();
    scene.read(&[], 60.0);
    assert_eq!(scene.gaps(), []);
    scene.watch.read_begins(ClockReading { wall: wall(62.0), moment: at(62.0) });
    scene.watch.read_fails();
    scene.watch.read_begins(ClockReading { wall: wall(120.1), moment: at(120.1) });
    scene.watch.read_ends(Vec::new(), at(120.2));
    assert_eq!(scene.gaps(), [DeliveryGap::ReadGap], "a failed read showed nothing");
    assert!(scene.is_frozen());
}

#[test]
fn a_slow_read_counts_from_its_begin() {
    let mut scene = Scene::live();
    scene.watch.read_begins(ClockReading { wall: wall(30.0), moment: at(30.0) });
    scene.watch.read_ends(Vec::new(), at(89.0));
    scene.read(&[], 90.0);
    assert_eq!(scene.gaps(), []);
    assert_eq!(scene.orders(90.0).len(), 1);
    scene.canaries_back(1);
    assert_eq!(scene.orders(90.0), [WatermarkAction::Advance(wall(30.0) - READ_CAP)]);
}

#[test]
fn with_the_own_clock_unknown_nothing_is_decided_and_nothing_moves() {
    let mut scene = Scene::live();
    let before = (scene.watch.watermark(), scene.view.look().decided);
    scene.watch.clock_is_known(false);
    scene.read(&[], 40.0);
    assert_eq!(scene.orders(40.0), [], "no canary");
    scene.view.open_gap();
    let round = scene.repairs(41.0);
    assert_eq!(round.decided, None);
    assert_eq!(scene.ends(&round, 41.0), before.0);
    assert_eq!((scene.watch.watermark(), scene.view.look().decided), before);
    scene.watch.clock_is_known(true);
    scene.read(&[], 42.0);
    assert_eq!(scene.orders(42.0), [WatermarkAction::Canaries(1)]);
    assert_eq!(scene.view.look().decided, wall(42.0) - READ_CAP);
}

#[test]
fn with_the_own_clock_unknown_breaks_are_found_all_the_same() {
    let mut scene = Scene::live();
    scene.watch.clock_is_known(false);
    scene.read(&[row(1, 1, [HERE, ELSEWHERE])], 2.0);
    assert_eq!(scene.gaps(), [DeliveryGap::RunDiffers]);
}

#[test]
fn rows_are_those_of_the_living() {
    let mut scene = Scene::live();
    let left = Heartbeat { left: true, ..row(2, 1, [HERE; 2]) };
    scene.read(&[row(1, 1, [HERE; 2]), left], 2.0);
    let living: Vec<_> = scene.watch.rows().map(|row| row.incarnation.0).collect();
    assert_eq!(living, [1]);
}
