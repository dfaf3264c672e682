use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const USERS: usize = 4;

const BOUNDS: QueueBounds = QueueBounds { all: 12, user: 5 };

fn user(number: usize) -> UserId {
    UserId::parse(&format!("u{number}")).unwrap()
}

/// An operation on a queue.
#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Pop,
    /// Cancels the entry that this number selects among all entries ever pushed.
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..USERS).prop_map(Step::Push),
        3 => Just(Step::Pop),
        2 => any::<usize>().prop_map(Step::Remove),
    ]
}

/// A simple model of the queue: a line of users, and what each of them waits for.
#[derive(Debug, Default)]
struct Model {
    line: Vec<usize>,
    waiting: [Vec<usize>; USERS],
}

impl Model {
    fn push(&mut self, user: usize, item: usize) -> Result<(), BudgetFull> {
        if self.waiting[user].len() == BOUNDS.user {
            return Err(BudgetFull::User(BOUNDS.user));
        }
        if self.waiting.iter().map(Vec::len).sum::<usize>() == BOUNDS.all {
            return Err(BudgetFull::All(BOUNDS.all));
        }
        if self.waiting[user].is_empty() {
            self.line.push(user);
        }
        self.waiting[user].push(item);
        Ok(())
    }

    fn pop(&mut self) -> Option<(usize, usize)> {
        if self.line.is_empty() {
            return None;
        }
        let user = self.line.remove(0);
        let item = self.waiting[user].remove(0);
        if !self.waiting[user].is_empty() {
            self.line.push(user);
        }
        Some((user, item))
    }

    fn remove(&mut self, user: usize, item: usize) -> bool {
        let Some(at) = self.waiting[user].iter().position(|held| *held == item) else {
            return false;
        };
        self.waiting[user].remove(at);
        if self.waiting[user].is_empty() {
            self.line.retain(|other| *other != user);
        }
        true
    }
}

/// For every pair of users, how often the first was served since the second began to wait.
#[derive(Debug, Default)]
struct Shares([[u32; USERS]; USERS]);

impl Shares {
    /// Counts a turn of a user: between two users who wait all the while, turns differ by one at
    /// most.
    fn turn(&mut self, served: usize, model: &Model) {
        for other in (0..USERS).filter(|other| *other != served) {
            self.0[served][other] += 1;
            if model.waiting[other].is_empty() {
                self.forget(served, other);
            }
        }
        self.settle(model);
    }

    /// Drops the counts of users who do not wait.
    fn settle(&mut self, model: &Model) {
        for one in 0..USERS {
            for other in (0..USERS).filter(|_| model.waiting[one].is_empty()) {
                self.forget(one, other);
            }
        }
    }

    fn forget(&mut self, one: usize, other: usize) {
        (self.0[one][other], self.0[other][one]) = (0, 0);
    }

    fn are_fair(&self) -> bool {
        let pairs = (0..USERS).flat_map(|one| (0..USERS).map(move |other| (one, other)));
        pairs.into_iter().all(|(one, other)| self.0[one][other].abs_diff(self.0[other][one]) <= 1)
    }
}

proptest! {
    #[test]
    fn it_does_as_the_model_and_is_fair(steps in prop::collection::vec(step(), 1..200)) {
        let (mut queue, mut model) = (FairQueue::new(BOUNDS), Model::default());
        let mut shares = Shares::default();
        let mut places: Vec<(QueueEntryId, usize, usize)> = Vec::new();
        for (item, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(number) => {
                    let pushed = queue.push(&user(number), (number, item));
                    let (expected, place) = (model.push(number, item), pushed.as_ref().ok());
                    prop_assert_eq!(pushed.as_ref().err(), expected.as_ref().err());
                    places.extend(place.map(|place| (place.clone(), number, item)));
                }
                Step::Pop => {
                    let popped = queue.pop();
                    prop_assert_eq!(popped, model.pop());
                    if let Some((served, _)) = popped {
                        shares.turn(served, &model);
                    }
                }
                Step::Remove(which) => {
                    if let Some((place, number, item)) = places.get(which % places.len().max(1)) {
                        prop_assert_eq!(queue.remove(place), model.remove(*number, *item));
                        shares.settle(&model);
                    }
                }
            }
            prop_assert!(shares.are_fair(), "{shares:?}");
            let waiting: usize = model.waiting.iter().map(Vec::len).sum();
            prop_assert_eq!(queue.len, waiting);
            let named: BTreeSet<&UserId> = queue.turns.values().collect();
            prop_assert_eq!(named, queue.users.keys().collect::<BTreeSet<_>>());
        }
        let rest: Vec<(usize, usize)> = std::iter::from_fn(|| queue.pop()).collect();
        prop_assert_eq!(rest, std::iter::from_fn(|| model.pop()).collect::<Vec<_>>());
        prop_assert!(queue.len() == 0 && queue.users.is_empty() && queue.turns.is_empty());
    }
}

#[test]
fn one_who_asks_once_is_not_behind_all_that_another_asked() {
    let mut queue = FairQueue::new(QueueBounds { all: 100, user: 100 });
    for number in 0..50 {
        queue.push(&user(1), number).unwrap();
    }
    queue.push(&user(2), 1000).unwrap();
    let served: Vec<i32> = std::iter::from_fn(|| queue.pop()).take(3).collect();
    assert_eq!(served, [0, 1000, 1]);
}
