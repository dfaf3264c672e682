use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_local, yield_now};

use super::*;

/// Runs a future on an event loop whose clock advances only when nothing else is to be done.
fn on_event_loop(future: impl Future<Output = ()>) {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true);
    builder.build_local(LocalOptions::default()).unwrap().block_on(future);
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// Starts a task that waits for a turn and logs its user.
fn wait(budget: &Rc<ReadBudget>, id: &'static str, log: &Log) -> JoinHandle<()> {
    let (budget, log) = (Rc::clone(budget), Rc::clone(log));
    spawn_local(async move {
        budget.turn(&user(id)).await.unwrap().spend();
        log.borrow_mut().push(id);
    })
}

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Waits until `count` reads are queued.
async fn until_waiting(budget: &Rc<ReadBudget>, count: usize) {
    while budget.queue.borrow().len() != count {
        yield_now().await;
    }
}

#[test]
fn it_keeps_the_rate_in_the_long_run() {
    on_event_loop(async {
        let budget = ReadBudget::new(100.0);
        let begun = Instant::now();
        for _ in 0..=200 {
            budget.turn(&user("a")).await.unwrap().spend();
        }
        let elapsed = begun.elapsed().as_secs_f64();
        assert!((1.99..=2.01).contains(&elapsed), "200 intervals took {elapsed} s");
    });
}

/// One user asks a thousand times before another asks once: the other is served second.
#[test]
fn users_are_served_in_turn() {
    on_event_loop(async {
        let (budget, log) = (ReadBudget::new(1.0), Log::default());
        let many: Vec<_> = (0..1000).map(|_| wait(&budget, "many", &log)).collect();
        until_waiting(&budget, 999).await;
        let [one, two] = ["one", "two"].map(|id| wait(&budget, id, &log));
        one.await.unwrap();
        two.await.unwrap();
        assert!(log.borrow().len() <= 5, "{:?}", log.borrow());
        assert!(many.iter().filter(|task| task.is_finished()).count() <= 3);
    });
}

#[test]
fn who_left_costs_no_turn() {
    on_event_loop(async {
        let (budget, log) = (ReadBudget::new(1.0), Log::default());
        let gone: Vec<_> = (0..1000).map(|_| wait(&budget, "gone", &log)).collect();
        until_waiting(&budget, 999).await;
        gone.iter().for_each(JoinHandle::abort);
        let begun = Instant::now();
        until_waiting(&budget, 0).await;
        wait(&budget, "gone", &log).await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(1), "no other user is before it");
    });
}

/// A turn granted to a task that ended before it ran, and a turn that its owner dropped, are given
/// to others.
#[test]
fn a_turn_that_is_not_spent_goes_to_another() {
    on_event_loop(async {
        let (budget, log) = (ReadBudget::new(1.0), Log::default());
        budget.turn(&user("first")).await.unwrap().spend();
        let unspent = wait(&budget, "unspent", &log);
        until_waiting(&budget, 1).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        budget.serve();
        unspent.abort();
        assert!(unspent.await.unwrap_err().is_cancelled());
        drop(budget.turn(&user("idle")).await.unwrap());
        let begun = Instant::now();
        wait(&budget, "last", &log).await.unwrap();
        assert_eq!((begun.elapsed(), &*log.borrow()), (Duration::ZERO, &vec!["last"]));
    });
}

#[test]
fn who_finds_no_place_is_refused() {
    on_event_loop(async {
        let (budget, log) =
            (ReadBudget::bounded(1.0, QueueBounds { all: 3, user: 2 }), Log::default());
        budget.turn(&user("first")).await.unwrap().spend();
        let waiting = ["a", "a", "b"].map(|id| wait(&budget, id, &log));
        until_waiting(&budget, 3).await;
        assert_eq!(budget.turn(&user("a")).await.unwrap_err(), BudgetFull::User(2));
        assert_eq!(budget.turn(&user("c")).await.unwrap_err(), BudgetFull::All(3));
        waiting[0].abort();
        until_waiting(&budget, 2).await;
        budget.turn(&user("c")).await.unwrap().spend();
        assert_eq!(*log.borrow(), ["a", "b"], "it came last");
    });
}
