use super::*;
use crate::layout::{Bucket, BucketCount, BucketCounts, Layout};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet, VecDeque};

fn layout(buckets: u64, shards: &[&str]) -> Layout {
    let buckets = BucketCounts::all(BucketCount::new(buckets).unwrap());
    Layout::new(buckets, shards.iter().map(ToString::to_string).collect())
}

fn interest(published: Layout, others: &[Layout]) -> Interest {
    let layouts = Arc::new(Layouts::new(published, others.iter().cloned()));
    Interest::new(layouts, Linger { ms: 0 }, 8)
}

fn key(text: &str) -> RoutingKey {
    RoutingKey::parse(text).unwrap()
}

fn is_done(interest: &Interest, key: &RoutingKey) -> bool {
    matches!(interest.confirmation(key), Confirmation::Done)
}

/// Carries out and answers all that is due on a shard.
fn serve(interest: &Interest, shard: ShardIndex) {
    while let Some(batch) = interest.next_batch(shard) {
        interest.answered(shard, &batch);
    }
}

#[tokio::test]
async fn a_wait_for_a_key_that_nobody_needs_any_more_ends() {
    let interest = interest(layout(16, &["r1"]), &[layout(32, &["r1"])]);
    let key = key("topic.scores");
    interest.acquire(&key);
    let Confirmation::Awaited(mut answers) = interest.confirmation(&key) else {
        panic!("nothing is connected")
    };
    interest.release(&key);
    let closed = Err(oneshot::error::TryRecvError::Closed);
    assert_eq!(
        answers.iter_mut().map(oneshot::Receiver::try_recv).collect::<Vec<_>>(),
        [closed.clone(), closed]
    );
    assert!(interest.shards[0].state.lock().waiters.is_empty());
}

#[tokio::test]
async fn a_key_is_heard_when_it_is_by_every_layout() {
    let interest = interest(layout(16, &["r1"]), &[layout(16, &["r2"]), layout(32, &["r1"])]);
    let (first, second) = (ShardIndex(0), ShardIndex(1));
    let key = key("topic.scores");
    for shard in [first, second] {
        assert_eq!(interest.connected(shard), 0);
    }
    interest.acquire(&key);
    let mut waits: VecDeque<Confirmation> = (0..3).map(|_| interest.confirmation(&key)).collect();
    let mut wait = || waits.pop_front().unwrap().within(Duration::ZERO);
    assert!(!wait().await);
    serve(&interest, first);
    assert!(!wait().await, "the second shard has a layout of its own");
    assert!(!is_done(&interest, &key));
    serve(&interest, second);
    assert!(wait().await);
    assert!(is_done(&interest, &key));
    interest.disconnected(first);
    assert!(!is_done(&interest, &key));
}

#[test]
fn a_key_lingers_if_any_of_its_buckets_does() {
    let interest = interest(layout(16, &["r1"]), &[layout(16, &["r2"])]);
    interest.connected(ShardIndex(1));
    let key = key("topic.scores");
    interest.acquire(&key);
    assert!(!interest.is_lingering(&key));
    interest.release(&key);
    assert!(interest.is_lingering(&key), "on the shard that is connected");
    interest.expire(ShardIndex(1));
    assert!(!interest.is_lingering(&key));
}

#[test]
fn the_share_is_of_the_published_layout() {
    let interest = interest(layout(16, &["r1"]), &[layout(16, &["r2"]), layout(32, &["r1"])]);
    let key = key("topic.scores");
    interest.acquire(&key);
    interest.acquire(&key);
    assert_eq!((interest.held(Class::Topic), interest.held(Class::User)), (1, 0));
    assert!((interest.held_share(Class::Topic) - 1.0 / 16.0).abs() < f64::EPSILON);
    interest.release(&key);
    assert_eq!(interest.held(Class::Topic), 1);
    interest.release(&key);
    assert_eq!(interest.held(Class::Topic), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Acquire(usize),
    Release(usize),
    Command(usize),
    Answer(usize),
    Expire(usize),
    Drop(usize),
    Connect(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (shard, key) = (0..SHARDS.len(), 0..KEYS);
    prop_oneof![
        4 => key.clone().prop_map(Step::Acquire),
        4 => key.prop_map(Step::Release),
        3 => shard.clone().prop_map(Step::Command),
        3 => shard.clone().prop_map(Step::Answer),
        2 => shard.clone().prop_map(Step::Expire),
        1 => shard.clone().prop_map(Step::Drop),
        2 => shard.prop_map(Step::Connect),
    ]
}

const SHARDS: [&str; 3] = ["r1", "r2", "r3"];
const KEYS: usize = 8;

/// A shard that carries out commands in order, some time before it answers them.
#[derive(Default)]
struct Server {
    up: bool,
    subscribed: HashSet<Bucket>,
    unanswered: VecDeque<SubscribeCommand>,
}

/// Nodes' layouts, their shards, and the holders, all found by searching from end to end.
struct Model {
    layouts: Vec<Layout>,
    interest: Interest,
    servers: HashMap<String, Server>,
    holders: HashMap<usize, u32>,
}

impl Model {
    fn new(layouts: Vec<Layout>) -> Self {
        let interest = interest(layouts[0].clone(), &layouts);
        let servers = SHARDS.map(|name| (name.to_owned(), Server::default())).into();
        Self { layouts, interest, servers, holders: HashMap::new() }
    }

    fn held(&self) -> impl Iterator<Item = RoutingKey> {
        let held = self.holders.iter().filter(|(_, count)| **count > 0);
        held.map(|(number, _)| key(&format!("user.{number}")))
    }

    /// Returns the shard of a number, if any layout has it.
    fn at(&mut self, shard: usize) -> Option<(ShardIndex, &mut Server, &Interest)> {
        let place = self.interest.layouts.shards().iter().position(|it| it == SHARDS[shard])?;
        let server = self.servers.get_mut(SHARDS[shard])?;
        Some((ShardIndex(place as u32), server, &self.interest))
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Acquire(number) => {
                *self.holders.entry(number).or_default() += 1;
                self.interest.acquire(&key(&format!("user.{number}")));
            }
            Step::Release(number) => {
                let count = self.holders.entry(number).or_default();
                if *count > 0 {
                    *count -= 1;
                    self.interest.release(&key(&format!("user.{number}")));
                }
            }
            Step::Command(shard)
            | Step::Answer(shard)
            | Step::Expire(shard)
            | Step::Drop(shard)
            | Step::Connect(shard) => self.take_at(shard, step),
        }
    }

    fn take_at(&mut self, shard: usize, step: &Step) {
        let Some((shard, server, interest)) = self.at(shard) else { return };
        match step {
            Step::Command(_) => {
                if let Some(batch) = interest.next_batch(shard) {
                    server.take(batch);
                }
            }
            Step::Answer(_) => {
                if let Some(batch) = server.unanswered.pop_front() {
                    interest.answered(shard, &batch);
                }
            }
            Step::Expire(_) => interest.expire(shard),
            Step::Drop(_) => {
                *server = Server::default();
                interest.disconnected(shard);
            }
            _ if server.up => {}
            _ => {
                server.up = true;
                interest.connected(shard);
            }
        }
    }

    /// Lets every shard do all that is due.
    fn settle(&mut self) {
        for shard in 0..SHARDS.len() {
            self.take_at(shard, &Step::Connect(shard));
            self.take_at(shard, &Step::Expire(shard));
            let Some((shard, server, interest)) = self.at(shard) else { continue };
            while let Some(batch) = interest.next_batch(shard) {
                server.take(batch);
            }
            server.unanswered.drain(..).for_each(|batch| interest.answered(shard, &batch));
        }
    }

    /// Returns the (shard, bucket) of a key in each layout.
    fn wanted_for(&self, key: &RoutingKey) -> HashSet<(String, Bucket)> {
        let place = |layout: &Layout| {
            let bucket = layout.bucket_of(key);
            (layout.shards()[layout.place_of(bucket)].clone(), bucket)
        };
        self.layouts.iter().map(place).collect()
    }

    fn is_heard(&self, key: &RoutingKey) -> bool {
        let heard =
            |(shard, bucket): &(String, Bucket)| self.servers[shard].subscribed.contains(bucket);
        self.wanted_for(key).iter().all(heard)
    }
}

impl Server {
    fn take(&mut self, batch: SubscribeCommand) {
        assert!(self.up, "nothing is commanded without a connection");
        for bucket in &batch.buckets {
            match batch.action {
                InterestAction::Subscribe => self.subscribed.insert(*bucket),
                InterestAction::Unsubscribe => self.subscribed.remove(bucket),
            };
        }
        self.unanswered.push_back(batch);
    }
}

/// Up to four layouts of a few bucket counts, so that keys meet, over a few shards in any order.
fn some_layouts() -> impl Strategy<Value = Vec<Layout>> {
    let one = (0..3_u32, Just(SHARDS).prop_shuffle(), 1..=SHARDS.len());
    let one = one.prop_map(|(power, names, count)| layout(1 << power, &names[..count]));
    prop::collection::vec(one, 1..=4)
}

proptest! {
    #[test]
    fn agrees_with_layouts_looked_up_one_by_one(
        layouts in some_layouts(), steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut model = Model::new(layouts);
        for step in steps {
            model.take(&step);
            for key in model.held() {
                prop_assert!(!is_done(&model.interest, &key) || model.is_heard(&key));
            }
            let held: HashSet<Bucket> =
                model.held().map(|key| model.layouts[0].bucket_of(&key)).collect();
            prop_assert_eq!(model.interest.held(Class::User) as usize, held.len());
        }
        model.settle();
        let servers = model.servers.iter();
        let subscribed: HashSet<(String, Bucket)> = servers
            .flat_map(|(name, server)| server.subscribed.iter().map(|it| (name.clone(), *it)))
            .collect();
        let wanted: HashSet<_> = model.held().flat_map(|key| model.wanted_for(&key)).collect();
        prop_assert_eq!(subscribed, wanted, "once quiet, the subscribed buckets are the held ones");
        prop_assert!(model.held().all(|key| is_done(&model.interest, &key)));
    }
}
