use super::*;

mod model;

/// No number at all.
const NONE: [u64; 0] = [];

const A: ServerRun = ServerRun(1);
const B: ServerRun = ServerRun(2);

fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime((seconds * 1e6).round() as u64)
}

/// A publish by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parcel {
    number: u64,
    /// Whether it goes to `all`.
    detoured: bool,
    /// It is valid on its own shard only.
    stays: bool,
}

impl Reroutable for Parcel {
    fn detoured(&self) -> Option<Self> {
        (!self.stays).then(|| Self { detoured: true, ..self.clone() })
    }
}

const fn parcel(number: u64) -> Parcel {
    Parcel { number, detoured: false, stays: false }
}

/// What happens to publishes, each of a message with its own send id.
struct Scene {
    queue: PublishQueue<Parcel>,
    settled: Vec<u64>,
}

impl Scene {
    /// Shards by what they are connected to at moment zero.
    fn new(runs: &[Option<ServerRun>], queue_max: usize) -> Self {
        let queue = PublishQueue::new(runs.len(), queue_max, at(0.0), Safeguards::default());
        let mut scene = Self { queue, settled: Vec::new() };
        for (shard, run) in runs.iter().enumerate() {
            run.map(|run| scene.up(shard, run));
        }
        scene
    }

    fn message(&mut self, shard: usize, number: u64, seconds: f64) -> Publishes {
        self.send(shard, parcel(number), true, seconds)
    }

    fn event(&mut self, shard: usize, number: u64) -> Publishes {
        self.send(shard, parcel(number), false, 0.0)
    }

    fn send(&mut self, shard: usize, parcel: Parcel, kept: bool, seconds: f64) -> Publishes {
        let send_id = kept.then_some(SendId { generation: 0, number: parcel.number });
        let settled = &mut self.settled;
        let settle = &mut |send_id: SendId| settled.push(send_id.number);
        self.queue.publish(shard, parcel, send_id, at(seconds), settle)
    }

    fn up(&mut self, shard: usize, run: ServerRun) -> Publishes {
        let settled = &mut self.settled;
        self.queue.up(shard, run, &mut |send_id| settled.push(send_id.number))
    }

    fn down(&mut self, shard: usize, seconds: f64) -> Publishes {
        let settled = &mut self.settled;
        self.queue.down(shard, at(seconds), &mut |send_id| settled.push(send_id.number))
    }

    fn take(&mut self, shard: usize, max: usize) -> Vec<Parcel> {
        self.queue.take(shard, max).cloned().collect()
    }

    fn numbers(&mut self, shard: usize) -> Vec<u64> {
        self.take(shard, usize::MAX).iter().map(|parcel| parcel.number).collect()
    }

    fn answered(&mut self, shard: usize, confirmed: &[bool]) -> Publishes {
        let settled = &mut self.settled;
        let confirmed = |index: usize| confirmed[index];
        self.queue.answered(shard, confirmed, &mut |send_id| settled.push(send_id.number))
    }

    fn tick(&mut self, seconds: f64) -> Publishes {
        let settled = &mut self.settled;
        self.queue.tick(at(seconds), &mut |send_id| settled.push(send_id.number))
    }

    fn settled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.settled)
    }

    fn snapshot(&self, shard: usize) -> LinkSnapshot {
        self.queue.snapshot().nth(shard).unwrap()
    }

    fn gap_no(&self, shard: usize) -> u64 {
        self.snapshot(shard).gap_no
    }
}

const NOTHING: Publishes = Publishes { detoured: 0, dropped: 0, repeated: 0 };
const DROPPED: Publishes = Publishes { dropped: 1, ..NOTHING };
const DETOURED: Publishes = Publishes { detoured: 1, ..NOTHING };

#[test]
fn a_confirmed_message_is_settled() {
    let mut scene = Scene::new(&[Some(A)], 10);
    assert_eq!(scene.message(0, 1, 0.0), NOTHING);
    assert_eq!(scene.numbers(0), [1]);
    assert_eq!(scene.settled(), NONE);
    assert_eq!(scene.answered(0, &[true]), NOTHING);
    assert_eq!(scene.settled(), [1]);
    assert!(scene.queue.is_quiet());
}

#[test]
fn one_pipeline_is_in_flight_at_a_time() {
    let mut scene = Scene::new(&[Some(A), None], 10);
    (1..=4).for_each(|number| assert_eq!(scene.message(0, number, 0.0), NOTHING));
    assert_eq!(scene.take(0, 3).len(), 3);
    assert_eq!(scene.take(0, 3), [], "the first is not answered");
    assert_eq!(scene.take(1, 3), [], "nor is a shard that is down sent to");
    scene.answered(0, &[true; 3]);
    assert_eq!(scene.numbers(0), [4]);
}

#[test]
fn an_event_is_tried_once() {
    let mut refused = Scene::new(&[Some(A)], 10);
    refused.event(0, 1);
    assert_eq!(refused.numbers(0), [1]);
    assert_eq!(refused.answered(0, &[false]), DROPPED);
    assert!(refused.queue.is_quiet());

    let mut cut = Scene::new(&[Some(A)], 10);
    cut.event(0, 1);
    cut.take(0, 1);
    cut.event(0, 2);
    assert_eq!(cut.down(0, 1.0), Publishes { dropped: 2, ..NOTHING }, "in flight, and waiting");
    assert!(cut.queue.is_quiet());

    assert_eq!(Scene::new(&[None], 10).event(0, 1), DROPPED, "there is no way");
    let mut other = Scene::new(&[None, Some(A)], 10);
    assert_eq!(other.event(0, 1), DETOURED);
    assert_eq!(other.numbers(1), [1]);
}

#[test]
fn an_event_that_waits_for_too_long_is_dropped_without_a_gap() {
    let mut scene = Scene::new(&[Some(A)], 10);
    scene.message(0, 1, 5.0);
    scene.take(0, 1);
    scene.event(0, 2);
    assert_eq!(scene.tick(10.1), DROPPED);
    assert_eq!((scene.gap_no(0), scene.settled()), (0, vec![]));
}

#[test]
fn a_message_for_a_shard_that_is_down_goes_to_the_first_that_is_up() {
    let mut scene = Scene::new(&[None, None, Some(A), Some(A)], 10);
    assert_eq!(scene.message(0, 1, 0.0), DETOURED);
    assert_eq!(scene.take(2, 9), [Parcel { detoured: true, ..parcel(1) }]);
    assert_eq!(scene.take(3, 9), []);
    scene.answered(2, &[true]);
    assert_eq!(scene.settled(), [1], "a detour settles as well");
    assert_eq!(scene.message(2, 2, 0.0), NOTHING);
    assert_eq!(scene.take(2, 9), [parcel(2)], "its own shard is up");
}

#[test]
fn what_makes_sense_on_its_own_shard_only_waits_for_it() {
    let mut scene = Scene::new(&[None, Some(A)], 10);
    let stays = Parcel { stays: true, ..parcel(1) };
    assert_eq!(scene.send(0, stays.clone(), true, 0.0), NOTHING);
    assert_eq!(scene.take(1, 9), []);
    scene.down(1, 1.0);
    assert_eq!(scene.up(1, A), NOTHING, "nor does it go when another comes up");
    assert_eq!(scene.take(1, 9), []);
    scene.up(0, A);
    assert_eq!(scene.take(0, 9), std::slice::from_ref(&stays));
    let event = Scene::new(&[None, Some(A)], 10).send(0, stays, false, 0.0);
    assert_eq!(event, DROPPED, "an event waits for nothing");
}

#[test]
fn with_no_shard_up_messages_wait_in_their_ring() {
    let mut own = Scene::new(&[None, None], 10);
    assert_eq!([own.message(0, 1, 0.0), own.message(0, 2, 0.0)], [NOTHING; 2]);
    own.up(0, A);
    assert_eq!(own.take(0, 9), [parcel(1), parcel(2)]);

    let mut other = Scene::new(&[None, None], 10);
    other.message(0, 1, 0.0);
    other.message(0, 2, 0.0);
    assert_eq!(other.up(1, A), Publishes { detoured: 2, ..NOTHING });
    assert_eq!(other.numbers(1), [1, 2], "the first that is up takes them");
    other.up(0, A);
    assert_eq!(other.numbers(0), NONE);
}

#[test]
fn what_falls_out_of_a_ring_is_settled_under_a_gap_and_gaps_are_20_s_apart() {
    let mut scene = Scene::new(&[None], 2);
    (1..=3).for_each(|number| assert_eq!(scene.message(0, number, 0.0), NOTHING));
    assert_eq!((scene.settled(), scene.gap_no(0)), (vec![], 0), "nothing is lost silently");
    assert_eq!(scene.tick(0.1), DROPPED);
    assert_eq!((scene.settled(), scene.gap_no(0)), (vec![3], 1));
    scene.message(0, 4, 5.0);
    assert_eq!(scene.tick(20.0), NOTHING);
    assert_eq!((scene.settled(), scene.gap_no(0)), (vec![], 1), "the next is not due");
    assert_eq!(scene.tick(20.1), Publishes { dropped: 3, ..NOTHING });
    assert_eq!((scene.settled(), scene.gap_no(0)), (vec![4, 1, 2], 2), "one gap covers them all");
    assert_eq!(scene.tick(60.0), NOTHING);
    assert_eq!(scene.gap_no(0), 2, "a gap is announced only for a loss");
}

#[test]
fn an_event_that_finds_the_ring_full_is_dropped() {
    let mut scene = Scene::new(&[Some(A)], 1);
    scene.message(0, 1, 0.0);
    assert_eq!(scene.event(0, 2), DROPPED);
    assert_eq!((scene.tick(1.0), scene.gap_no(0)), (NOTHING, 0));
}

#[test]
fn what_a_link_did_not_answer_is_repeated() {
    let mut alone = Scene::new(&[Some(A)], 10);
    (1..=3).for_each(|number| assert_eq!(alone.message(0, number, 0.0), NOTHING));
    alone.take(0, 2);
    assert_eq!(alone.down(0, 1.0), Publishes { repeated: 2, ..NOTHING });
    assert_eq!(alone.down(0, 2.0), NOTHING, "it is down already");
    alone.up(0, A);
    assert_eq!(alone.numbers(0), [1, 2, 3], "in their order");

    let mut two = Scene::new(&[Some(A), Some(A)], 10);
    two.message(0, 1, 0.0);
    two.take(0, 2);
    two.message(0, 2, 0.0);
    assert_eq!(two.down(0, 1.0), Publishes { repeated: 1, detoured: 2, dropped: 0 });
    assert_eq!(two.numbers(1), [1, 2]);
    two.down(1, 2.0);
    two.up(0, A);
    assert_eq!(two.numbers(0), [1, 2], "a detour is repeated like any other");
    two.answered(0, &[true, true]);
    assert_eq!(two.settled(), [1, 2], "once");
}

#[test]
fn what_was_refused_waits_in_front() {
    let mut scene = Scene::new(&[Some(A)], 10);
    (1..=4).for_each(|number| assert_eq!(scene.message(0, number, 0.0), NOTHING));
    scene.take(0, 3);
    assert_eq!(scene.answered(0, &[false, true, false]), Publishes { repeated: 2, ..NOTHING });
    assert_eq!(scene.settled(), [2]);
    assert_eq!(scene.numbers(0), [1, 3, 4]);
}

#[test]
fn a_message_that_waits_for_over_10_s_is_given_up_on_under_a_gap() {
    let mut scene = Scene::new(&[None], 10);
    scene.message(0, 1, 0.0);
    scene.message(0, 2, 0.1);
    assert_eq!(scene.tick(10.0), NOTHING);
    assert_eq!(scene.tick(10.1), DROPPED);
    assert_eq!((scene.settled(), scene.gap_no(0)), (vec![1], 1), "its neighbour is young");
    scene.up(0, A);
    assert_eq!(scene.numbers(0), [2], "what was given up on is not sent");
}

#[test]
fn a_gap_settles_the_old_in_flight_and_the_pipeline_keeps_its_places() {
    let mut scene = Scene::new(&[Some(A)], 10);
    scene.message(0, 1, 0.0);
    scene.message(0, 2, 5.0);
    scene.message(0, 3, 0.0);
    scene.take(0, 9);
    assert_eq!(scene.tick(10.1), Publishes { dropped: 2, ..NOTHING });
    assert_eq!((scene.settled(), scene.gap_no(0)), (vec![1, 3], 1));
    assert_eq!(scene.tick(30.2).dropped, 1, "nor are they given up on twice");
    assert_eq!((scene.settled(), scene.gap_no(0)), (vec![2], 2));

    let mut answered = Scene::new(&[Some(A)], 10);
    answered.message(0, 1, 0.0);
    answered.message(0, 2, 5.0);
    answered.take(0, 9);
    answered.tick(10.1);
    assert_eq!(answered.settled(), [1]);
    answered.answered(0, &[true, false]);
    assert_eq!(answered.settled(), NONE, "the first answer is of the one that is settled");
    assert_eq!(answered.numbers(0), [2]);
}

#[test]
fn what_a_gap_covers_is_not_sent_again() {
    let mut refused = Scene::new(&[Some(A)], 10);
    refused.message(0, 1, 0.0);
    refused.take(0, 1);
    refused.tick(11.0);
    refused.answered(0, &[false]);
    assert!(refused.queue.is_quiet());

    let mut cut = Scene::new(&[Some(A)], 10);
    cut.message(0, 1, 0.0);
    cut.take(0, 1);
    cut.tick(11.0);
    cut.down(0, 12.0);
    assert!(cut.queue.is_quiet());
}

#[test]
fn each_link_counts_its_own_gaps() {
    let mut scene = Scene::new(&[None, None], 10);
    scene.message(0, 1, 0.0);
    scene.message(1, 2, 1.0);
    scene.tick(10.5);
    assert_eq!([scene.gap_no(0), scene.gap_no(1)], [1, 0]);
    scene.tick(11.5);
    assert_eq!([scene.gap_no(0), scene.gap_no(1)], [1, 1], "and pauses by itself");
}

#[test]
fn a_link_that_is_down_for_over_5_s_matches_any_run() {
    let mut scene = Scene::new(&[Some(A)], 10);
    let says = |run, epoch| LinkSnapshot { run, epoch, gap_no: 0 };
    scene.down(0, 10.0);
    scene.tick(15.0);
    assert_eq!(scene.snapshot(0), says(Some(A), 0));
    scene.tick(15.1);
    assert_eq!(scene.snapshot(0), says(None, 1));
    scene.tick(99.0);
    assert_eq!(scene.snapshot(0), says(None, 1), "once");
    scene.up(0, A);
    assert_eq!(scene.snapshot(0), says(Some(A), 1), "back on the same");
    scene.down(0, 100.0);
    scene.tick(105.1);
    scene.up(0, B);
    assert_eq!(scene.snapshot(0), says(Some(B), 3), "away for long, and back on another");
}

#[test]
fn a_link_that_comes_back_on_another_run_says_so() {
    let mut scene = Scene::new(&[None], 10);
    let says = |run, epoch| LinkSnapshot { run, epoch, gap_no: 0 };
    assert_eq!(scene.snapshot(0), says(None, 0));
    scene.tick(60.0);
    assert_eq!(scene.snapshot(0), says(None, 0), "it was never there");
    for (run, epoch) in [(A, 0), (A, 0), (B, 1), (B, 1), (A, 2)] {
        scene.up(0, run);
        assert_eq!(scene.snapshot(0), says(Some(run), epoch));
        scene.down(0, 61.0);
        assert_eq!(scene.snapshot(0), says(Some(run), epoch), "it may come back soon");
    }
}
