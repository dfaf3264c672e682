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
    let mut subscriptions = BucketSubscriptions::new(LINGER);
    subscriptions.connected();
    subscriptions
}

fn batch(subscriptions: &mut BucketSubscriptions) -> SubscribeCommand {
    subscriptions.next_batch(512).expect("something is due")
}

fn ask(subscriptions: &mut BucketSubscriptions, index: u32, waiter: u64) -> SubscriptionState {
    subscriptions.confirmation(bucket(index), WaiterId(waiter), |_| true)
}

#[test]
fn waits_end_with_the_last_holder_and_those_who_gave_up_are_swept() {
    let mut subscriptions = connected();
    assert_eq!(ask(&mut subscriptions, 1, 1), SubscriptionState::Unneeded);
    subscriptions.acquire(bucket(1));
    for waiter in 0..1000 {
        let standing = subscriptions.confirmation(bucket(1), WaiterId(waiter), |_| false);
        assert_eq!(standing, SubscriptionState::Awaited);
    }
    let void = subscriptions.release(bucket(1), 0, 0).expect("it was the last holder");
    assert!(void.len() <= WAITERS_UNSWEPT, "{} waits are left", void.len());
    assert_eq!(
        ask(&mut subscriptions, 1, 1),
        SubscriptionState::Unneeded,
        "it lingers without a holder"
    );
}

#[test]
fn the_first_holder_subscribes_and_the_last_one_lingers() {
    let mut subscriptions = connected();
    assert!(subscriptions.acquire(bucket(1)));
    assert!(!subscriptions.acquire(bucket(1)));
    let subscribe = batch(&mut subscriptions);
    assert_eq!(
        (subscribe.action, subscribe.buckets.as_slice()),
        (InterestAction::Subscribe, &[bucket(1)][..])
    );
    assert_eq!(ask(&mut subscriptions, 1, 7), SubscriptionState::Awaited);
    assert_eq!(subscriptions.answered(&subscribe), [WaiterId(7)]);
    assert_eq!(subscriptions.release(bucket(1), 0, 0), None);
    assert_eq!(subscriptions.release(bucket(1), 0, 0), Some(Vec::new()));
    assert_eq!(subscriptions.next_batch(512), None, "it lingers");
    assert!(subscriptions.is_lingering(bucket(1)));
    subscriptions.expire(99);
    assert_eq!(subscriptions.next_batch(512), None);
    subscriptions.expire(100);
    assert_eq!(batch(&mut subscriptions).action, InterestAction::Unsubscribe);
}

#[test]
fn a_holder_who_returns_in_time_costs_nothing() {
    let mut subscriptions = connected();
    subscriptions.acquire(bucket(1));
    let subscribe = batch(&mut subscriptions);
    subscriptions.answered(&subscribe);
    subscriptions.release(bucket(1), 0, 0);
    subscriptions.acquire(bucket(1));
    subscriptions.expire(1_000);
    assert_eq!(subscriptions.next_batch(512), None);
    assert_eq!(ask(&mut subscriptions, 1, 1), SubscriptionState::Confirmed);
}

#[test]
fn only_the_answer_to_the_last_subscribe_counts() {
    let mut subscriptions = connected();
    subscriptions.acquire(bucket(1));
    let first = batch(&mut subscriptions);
    subscriptions.release(bucket(1), 0, 0);
    subscriptions.expire(1_000);
    let leave = batch(&mut subscriptions);
    subscriptions.acquire(bucket(1));
    let second = batch(&mut subscriptions);
    assert_eq!(ask(&mut subscriptions, 1, 1), SubscriptionState::Awaited);
    assert!(subscriptions.answered(&first).is_empty(), "an unsubscribe went out after it");
    assert!(subscriptions.answered(&leave).is_empty());
    assert_eq!(subscriptions.answered(&second), [WaiterId(1)]);
}

#[test]
fn lingering_is_bounded_oldest_out_first() {
    let mut subscriptions = connected();
    for index in 0..=LINGER_FREE as u32 {
        subscriptions.acquire(bucket(index));
    }
    while let Some(batch) = subscriptions.next_batch(512) {
        subscriptions.answered(&batch);
    }
    for index in 0..=LINGER_FREE as u32 {
        subscriptions.release(bucket(index), u64::from(index), 0);
    }
    assert_eq!(batch(&mut subscriptions).buckets, [bucket(0)], "the oldest went");
}

#[test]
fn a_batch_is_bounded() {
    let mut subscriptions = connected();
    (0..5).for_each(|index| assert!(subscriptions.acquire(bucket(index))));
    let sizes: Vec<usize> = std::iter::from_fn(|| subscriptions.next_batch(2))
        .map(|batch| batch.buckets.len())
        .collect();
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
        let mut subscriptions = connected();
        let mut server = Server::default();
        let mut holders: HashMap<Bucket, u32> = HashMap::new();
        let (mut now, mut up) = (0, true);
        for step in steps {
            match step {
                Step::Acquire(index) => {
                    *holders.entry(bucket(index)).or_default() += 1;
                    subscriptions.acquire(bucket(index));
                }
                Step::Release(index) => {
                    let count = holders.entry(bucket(index)).or_default();
                    if *count > 0 {
                        *count -= 1;
                        subscriptions.release(bucket(index), now, index.into());
                    }
                }
                Step::Command => if let Some(batch) = subscriptions.next_batch(3) {
                    prop_assert!(up, "nothing is commanded without a connection");
                    server.take(batch);
                },
                Step::Answer => if let Some(batch) = server.unanswered.pop_front() {
                    subscriptions.answered(&batch);
                },
                Step::Wait(ms) => { now += ms; subscriptions.expire(now); }
                Step::Drop => { up = false; server = Server::default(); subscriptions.disconnected(); }
                Step::Connect => if !up { up = true; subscriptions.connected(); },
            }
            let mut probe = 0;
            for (bucket, count) in &holders {
                probe += 1;
                let standing = subscriptions.confirmation(*bucket, WaiterId(probe), |_| false);
                if *count > 0 && standing == SubscriptionState::Confirmed {
                    prop_assert!(server.subscribed.contains(bucket), "confirmed means subscribed");
                }
            }
            let held = holders.values().filter(|count| **count > 0).count();
            prop_assert_eq!(subscriptions.held, held);
        }
        if !up { subscriptions.connected(); }
        subscriptions.expire(now + 1_000);
        while let Some(batch) = subscriptions.next_batch(3) { server.take(batch); }
        let wanted: HashSet<Bucket> =
            holders.iter().filter(|(_, count)| **count > 0).map(|(bucket, _)| *bucket).collect();
        prop_assert_eq!(&server.subscribed, &wanted, "once quiet, the subscribed buckets are the held ones");
        while let Some(batch) = server.unanswered.pop_front() { subscriptions.answered(&batch); }
        prop_assert_eq!(subscriptions.entries.len(), wanted.len(), "no entry outlives its use");
        let beside = (subscriptions.waiters.len(), subscriptions.linger_until.len());
        prop_assert_eq!(beside, (0, subscriptions.lingering.len()), "nor does what is kept outside it");
    }
}

#[test]
fn a_bucket_is_20_bytes() {
    assert!(size_of::<(Bucket, Entry)>() <= 20);
}
