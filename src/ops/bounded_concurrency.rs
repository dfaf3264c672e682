//! Runs several steps of one request concurrently.

use tokio::task::JoinSet;

use crate::protocol::{Code, ErrorReply};

/// Steps of one request that run concurrently. More than one, so that the latency of a step does
/// not bound the rate. No more, so that a user with thousands of rooms does not fill the store's
/// queue.
const AT_ONCE: usize = 16;

/// Runs a step for every item, at most [`AT_ONCE`] of them concurrently. Returns the answers in the
/// order of the items, or the first error.
pub(super) async fn at_once<T, R: 'static, F>(
    items: Vec<T>,
    step: impl Fn(T) -> F,
) -> Result<Vec<R>, ErrorReply>
where
    F: Future<Output = Result<R, ErrorReply>> + 'static,
{
    let mut answers: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut steps = JoinSet::new();
    let mut items = items.into_iter().enumerate();
    loop {
        while steps.len() < AT_ONCE
            && let Some((at, item)) = items.next()
        {
            let step = step(item);
            steps.spawn_local(async move { (at, step.await) });
        }
        let Some(joined) = steps.join_next().await else {
            return Ok(answers.into_iter().flatten().collect());
        };
        let (at, answer) = joined.map_err(|error| {
            tracing::error!(%error, "a step ended without an answer");
            ErrorReply::new(Code::Internal, "a step ended without an answer")
        })?;
        answers[at] = Some(answer?);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn reads_are_bounded_and_answers_in_order() {
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let read = |number: usize| {
            let (now, most) = (Rc::clone(&now), Rc::clone(&most));
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                for _ in 0..100 - number {
                    tokio::task::yield_now().await;
                }
                now.set(now.get() - 1);
                Ok(number)
            }
        };
        let local = tokio::task::LocalSet::new();
        let answers = local.run_until(at_once((0..100).collect(), read)).await;
        assert_eq!(answers, Ok((0..100).collect::<Vec<_>>()));
        assert_eq!(most.get(), AT_ONCE);
    }

    #[tokio::test]
    async fn one_failure_is_that_of_all() {
        let refusal = || ErrorReply::new(Code::Unavailable, "no");
        let read = |number: u8| async move {
            if number == 3 { Err(ErrorReply::new(Code::Unavailable, "no")) } else { Ok(number) }
        };
        let local = tokio::task::LocalSet::new();
        let answers = local.run_until(at_once((0..5).collect(), read)).await;
        assert_eq!(answers, Err(refusal()));
    }
}
