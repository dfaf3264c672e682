//! Worker calls on a clock that advances only when every task waits, executed by a worker without a
//! router.

use std::cell::Cell;
use std::future::pending;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::*;
use crate::domain::UserId;

const WAIT: Duration = Duration::from_secs(10);

const EFFECTS: [Effect; 2] = [Effect::Reads, Effect::Changes];

fn worker_calls(
    workers: usize,
    requests: usize,
) -> (WorkerCalls<()>, Vec<mpsc::Receiver<WorkerCall<()>>>) {
    WorkerCalls::bounded(workers, RequestPermits::new(requests, requests), WAIT)
}

fn admit(worker_calls: &WorkerCalls<()>) -> Admission {
    worker_calls.admit(&Caller::User(UserId::parse("a").unwrap())).unwrap()
}

async fn ask<F>(
    worker_calls: &WorkerCalls<()>,
    effect: Effect,
    work: impl FnOnce(()) -> F + Send + 'static,
) -> Result<(), ErrorReply>
where
    F: Future<Output = Result<(), ErrorReply>> + 'static,
{
    worker_calls.ask(admit(worker_calls), &RoutingKey::parse("user.a").unwrap(), effect, work).await
}

/// Returns the result of a call that is begun at once, and the time that it took.
async fn begun<F>(
    effect: Effect,
    work: impl FnOnce(()) -> F + Send + 'static,
) -> (Result<(), ErrorReply>, Duration)
where
    F: Future<Output = Result<(), ErrorReply>> + 'static,
{
    let (worker_calls, mut ends) = worker_calls(1, 1);
    let asked = Instant::now();
    let worker = async {
        ends[0].recv().await.expect("a call")(());
        pending::<()>().await;
    };
    let local = LocalSet::new();
    let answer = local.run_until(async {
        tokio::select! {
            answer = ask(&worker_calls, effect, work) => answer,
            () = worker => unreachable!("it never ends"),
        }
    });
    (answer.await, asked.elapsed())
}

#[tokio::test(start_paused = true)]
async fn what_was_not_begun_in_time_never_is() {
    for effect in EFFECTS {
        let (worker_calls, mut ends) = worker_calls(1, 1);
        let asked = Instant::now();
        let refusal =
            ask(&worker_calls, effect, async |()| panic!("it is begun")).await.unwrap_err();
        assert_eq!((refusal.code, asked.elapsed()), (Code::Unavailable, WAIT), "{effect:?}");
        assert!(!worker_calls.is_idle(), "a waiting call has its permit");
        LocalSet::new().run_until(async { ends[0].recv().await.unwrap()(()) }).await;
        assert!(worker_calls.is_idle(), "and gives it back");
    }
}

/// By the slot alone: the worker may begin between the end of the wait and the answer to the
/// caller.
#[test]
fn an_errand_is_begun_or_given_up_and_not_both() {
    let slot = Slot::default();
    let (one, other) = (slot.clone(), slot);
    assert!(one.take() && !other.take() && !one.take());
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_and_changes_something_may_have_done_so() {
    for (effect, code) in EFFECTS.into_iter().zip([Code::Unavailable, Code::OutcomeUnknown]) {
        let (answer, waited) = begun(effect, async |()| pending().await).await;
        let refusal = answer.unwrap_err();
        assert_eq!((refusal.code, waited), (code, WAIT), "{effect:?}");
        assert_eq!(refusal.message, "the worker did not answer within 10 s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_the_answer() {
    let almost = Duration::from_millis(9999);
    for effect in EFFECTS {
        let late = begun(effect, move |()| async move {
            sleep(almost).await;
            Ok(())
        });
        assert_eq!(late.await, (Ok(()), almost));
        let refused = begun(effect, async |()| Err(ErrorReply::new(Code::NotFound, "no")));
        assert_eq!(refused.await.0, Err(ErrorReply::new(Code::NotFound, "no")), "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_goes_on_for_nobody() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    let (worker_calls, mut ends) = worker_calls(1, 1);
    let worker = LocalSet::new();
    let slow = ask(&worker_calls, Effect::Changes, async |()| {
        sleep(2 * WAIT).await;
        DONE.set(true);
        Ok(())
    });
    let begin = async { ends[0].recv().await.unwrap()(()) };
    let (answer, ()) = worker.run_until(async { tokio::join!(slow, begin) }).await;
    assert_eq!(answer.unwrap_err().code, Code::OutcomeUnknown);
    assert!(!worker_calls.is_idle() && !DONE.get(), "it is under way, and has its permit");
    worker.await;
    assert!(worker_calls.is_idle() && DONE.get());
}

#[tokio::test]
async fn a_worker_that_ends_leaves_in_doubt_what_it_had_begun() {
    for (effect, code) in EFFECTS.into_iter().zip([Code::Unavailable, Code::OutcomeUnknown]) {
        let (worker_calls, mut ends) = worker_calls(1, 2);
        let worker = LocalSet::new();
        let stopped = async {
            let first = ends.pop().unwrap().recv().await.unwrap();
            worker.run_until(async { first(()) }).await;
            drop(worker);
        };
        let first = ask(&worker_calls, effect, async |()| pending().await);
        let second = ask(&worker_calls, effect, async |()| pending().await);
        let (first, second, ()) = tokio::join!(first, second, stopped);
        assert_eq!(first.unwrap_err().code, code, "{effect:?}, begun");
        let refusal = ErrorReply::new(Code::Unavailable, "the node is being stopped");
        assert_eq!(second, Err(refusal), "{effect:?}, not begun");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (worker_calls, _ends) = worker_calls(1, WORKER_CALLS_MAX + 1);
    while worker_calls.queues[0].try_send(Box::new(|()| ())).is_ok() {}
    let asked = Instant::now();
    let refusal = ask(&worker_calls, Effect::Changes, async |()| Ok(())).await.unwrap_err();
    assert_eq!((refusal.code, asked.elapsed()), (Code::Unavailable, Duration::ZERO));
    assert_eq!(refusal.message, "1024 requests wait for the worker, no more are allowed");
    assert!(worker_calls.is_idle());
}

#[tokio::test]
async fn a_worker_that_is_gone_refuses() {
    let (worker_calls, ends) = worker_calls(1, 1);
    drop(ends);
    let refusal = ask(&worker_calls, Effect::Changes, async |()| Ok(())).await.unwrap_err();
    assert_eq!(refusal.code, Code::Unavailable);
}

#[tokio::test]
async fn an_errand_goes_to_the_worker_of_its_key() {
    let (worker_calls, mut ends) = worker_calls(3, 9);
    for name in ["user.a", "user.b", "user.c", "room.a", "room.b"] {
        let key = RoutingKey::parse(name).unwrap();
        let asking = worker_calls.ask(admit(&worker_calls), &key, Effect::Reads, async |()| Ok(()));
        assert!(timeout(Duration::ZERO, asking).await.is_err(), "no worker answers");
        let taken: Vec<bool> = ends.iter_mut().map(|end| end.try_recv().is_ok()).collect();
        let expected: Vec<bool> = (0..3).map(|worker| worker == worker_of(&key, 3)).collect();
        assert_eq!(taken, expected, "{name}");
    }
    assert!(worker_calls.is_idle(), "a call that is dropped gives its permit back");
}

#[test]
fn whoever_asks_waits_for_every_step() {
    let millis = Duration::from_millis;
    assert_eq!(worker_call_wait(millis(6000), millis(250)), millis(49_750));
}
