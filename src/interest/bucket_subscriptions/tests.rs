use super::*;
use crate::domain::Class;
use crate::layout::BucketCount;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const LINGER: Linger = Linger { ms: 100 };

fn bucket(index: u32) -> Bucket {
    Bucket { class: Class::User, of: BucketCount::new(1 << 20).unwrap(), index }
}

fn connected() -> BucketSubscriptions {
    let mut machine = BucketSubscriptions::new(LINGER);
    machine.connected();
    machine
}

fn batch(machine: &mut BucketSubscriptions) -> SubscribeCommand {
    machine.next_batch(512).expect("something is due")
}

fn ask(machine: &mut BucketSubscriptions, index: u32, waiter: u64) -> SubscriptionState {
    machine.confirmation(bucket(index), WaiterId(waiter), |_| true)
}

#[test]
fn waits_end_with_the_last_holder_and_those_who_gave_up_are_swept() {
    let mut machine = connected();
    assert_eq!(ask(&mut machine, 1, 1), SubscriptionState::Unneeded);
    machine.acquire(bucket(1));
    for waiter in 0..1000 {
        let standing = machine.confirmation(bucket(1), WaiterId(waiter), |_| false);
        assert_eq!(standing, SubscriptionState::Awaited);
    }
    let void = machine.release(bucket(1), 0, 0).expect("it was the last holder");
    assert!(void.len() <= TICKETS_UNSWEPT, "{} waits are left", void.len());
    assert_eq!(ask(&mut machine, 1, 1), SubscriptionState::Unneeded, "it lingers without a holder");
}

#[test]
fn the_first_holder_subscribes_and_the_last_one_lingers() {
    let mut machine = connected();
    assert!(machine.acquire(bucket(1)));
    assert!(!machine.acquire(bucket(1)));
    let subscribe = batch(&mut machine);
    assert_eq!(
        (subscribe.action, subscribe.buckets.as_slice()),
        (InterestAction::Subscribe, &[bucket(1)][..])
    );
    assert_eq!(ask(&mut machine, 1, 7), SubscriptionState::Awaited);
    assert_eq!(machine.answered(&subscribe), [WaiterId(7)]);
    assert_eq!(machine.release(bucket(1), 0, 0), None);
    assert_eq!(machine.release(bucket(1), 0, 0), Some(Vec::new()));
    assert_eq!(machine.next_batch(512), None, "it lingers");
    assert!(machine.is_lingering(bucket(1)));
    machine.expire(99);
    assert_eq!(machine.next_batch(512), None);
    machine.expire(100);
    assert_eq!(batch(&mut machine).action, InterestAction::Unsubscribe);
}

#[test]
fn a_holder_who_returns_in_time_costs_nothing() {
    let mut machine = connected();
    machine.acquire(bucket(1));
    let subscribe = batch(&mut machine);
    machine.answered(&subscribe);
    machine.release(bucket(1), 0, 0);
    machine.acquire(bucket(1));
    machine.expire(1_000);
    assert_eq!(machine.next_batch(512), None);
    assert_eq!(ask(&mut machine, 1, 1), SubscriptionState::Confirmed);
}

#[test]
fn only_the_answer_to_the_last_subscribe_counts() {
    let mut machine = connected();
    machine.acquire(bucket(1));
    let first = batch(&mut machine);
    machine.release(bucket(1), 0, 0);
    machine.expire(1_000);
    let leave = batch(&mut machine);
    machine.acquire(bucket(1));
    let second = batch(&mut machine);
    assert_eq!(ask(&mut machine, 1, 1), SubscriptionState::Awaited);
    assert!(machine.answered(&first).is_empty(), "an unsubscribe went out after it");
    assert!(machine.answered(&leave).is_empty());
    assert_eq!(machine.answered(&second), [WaiterId(1)]);
}

#[test]
fn lingering_is_bounded_oldest_out_first() {
    let mut machine = connected();
    for index in 0..=LINGER_FREE as u32 {
        machine.acquire(bucket(index));
    }
    while let Some(batch) = machine.next_batch(512) {
        machine.answered(&batch);
    }
    for index in 0..=LINGER_FREE as u32 {
        machine.release(bucket(index), u64::from(index), 0);
    }
    assert_eq!(batch(&mut machine).buckets, [bucket(0)], "the oldest went");
}

#[test]
fn a_batch_is_bounded() {
    let mut machine = connected();
    (0..5).for_each(|index| assert!(machine.acquire(bucket(index))));
    let sizes: Vec<usize> =
        std::iter::from_fn(|| machine.next_batch(2)).map(|batch| batch.buckets.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
}

#[derive(Debug, Clone)]
enum Step {
    Acquire(u32),
    Release(u32),
    Command,
    Answer,
    Wait(u64),
    Drop,
    Connect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u32).prop_map(Step::Acquire),
        4 => (0..6_u32).prop_map(Step::Release),
        3 => Just(Step::Command),
        3 => Just(Step::Answer),
        2 => (1..200_u64).prop_map(Step::Wait),
        1 => Just(Step::Drop),
        2 => Just(Step::Connect),
    ]
}

/// A server that carries out commands in order, some time before it answers them.
#[derive(Default)]
struct Server {
    subscribed: HashSet<Bucket>,
    unanswered: VecDeque<SubscribeCommand>,
}

impl Server {
    fn take(&mut self, batch: SubscribeCommand) {
        for bucket in &batch.buckets {
            match batch.action {
                InterestAction::Subscribe => self.subscribed.insert(*bucket),
                InterestAction::Unsubscribe => self.subscribed.remove(bucket),
            };
        }
        self.unanswered.push_back(batch);
    }
}

proptest! {
    #[test]
    fn agrees_with_a_naive_server(steps in prop::collection::vec(step(), 1..120)) {
        let mut machine = connected();
        let mut server = Server::default();
        let mut holders: HashMap<Bucket, u32> = HashMap::new();
        let (mut now, mut up) = (0, true);
        for step in steps {
            match step {
                Step::Acquire(index) => {
                    *holders.entry(bucket(index)).or_default() += 1;
                    machine.acquire(bucket(index));
                }
                Step::Release(index) => {
                    let count = holders.entry(bucket(index)).or_default();
                    if *count > 0 {
                        *count -= 1;
                        machine.release(bucket(index), now, index.into());
                    }
                }
                Step::Command => if let Some(batch) = machine.next_batch(3) {
                    prop_assert!(up, "nothing is commanded without a connection");
                    server.take(batch);
                },
                Step::Answer => if let Some(batch) = server.unanswered.pop_front() {
                    machine.answered(&batch);
                },
                Step::Wait(ms) => { now += ms; machine.expire(now); }
                Step::Drop => { up = false; server = Server::default(); machine.disconnected(); }
                Step::Connect => if !up { up = true; machine.connected(); },
            }
            let mut probe = 0;
            for (bucket, count) in &holders {
                probe += 1;
                let standing = machine.confirmation(*bucket, WaiterId(probe), |_| false);
                if *count > 0 && standing == SubscriptionState::Confirmed {
                    prop_assert!(server.subscribed.contains(bucket), "confirmed means subscribed");
                }
            }
            let held = holders.values().filter(|count| **count > 0).count();
            prop_assert_eq!(machine.held, held);
        }
        if !up { machine.connected(); }
        machine.expire(now + 1_000);
        while let Some(batch) = machine.next_batch(3) { server.take(batch); }
        let wanted: HashSet<Bucket> =
            holders.iter().filter(|(_, count)| **count > 0).map(|(bucket, _)| *bucket).collect();
        prop_assert_eq!(&server.subscribed, &wanted, "once quiet, the subscribed buckets are the held ones");
        while let Some(batch) = server.unanswered.pop_front() { machine.answered(&batch); }
        prop_assert_eq!(machine.entries.len(), wanted.len(), "no entry outlives its use");
        let beside = (machine.tickets.len(), machine.linger_until.len());
        prop_assert_eq!(beside, (0, machine.lingering.len()), "nor does what is kept outside it");
    }
}

#[test]
fn a_bucket_is_20_bytes() {
    assert!(size_of::<(Bucket, Entry)>() <= 20);
}
