//! Keeps tasks in the order of their arrival, however long each of them waits in between.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use tokio::sync::Notify;

/// One task's position in the line.
#[derive(Debug, Default)]
struct Place {
    passed: Cell<bool>,
    /// Whether the tasks behind it are to be refused.
    refused: Cell<bool>,
    /// Notified once, for the task behind it.
    passes: Notify,
}

/// Lets tasks pass in the order in which they entered. An empty line takes one word, and no task
/// waits in it.
#[derive(Default)]
pub struct FifoGate {
    last: Cell<Option<Rc<Place>>>,
}

impl fmt::Debug for FifoGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FifoGate").finish_non_exhaustive()
    }
}

/// A position in the line, given up when it is dropped. It must be dropped only after its turn has
/// come: tasks behind it check no position before it.
#[derive(Debug)]
pub struct Slot<'a> {
    line: &'a FifoGate,
    before: Option<Rc<Place>>,
    own: Rc<Place>,
}

impl FifoGate {
    /// Takes the position behind all others.
    pub fn enter(&self) -> Slot<'_> {
        let own = Rc::<Place>::default();
        let before = self.last.replace(Some(Rc::clone(&own)));
        Slot { line: self, before, own }
    }
}

impl Slot<'_> {
    /// Waits until all tasks that entered before have passed; returns at once if there are none.
    pub async fn comes(&self) {
        let Some(before) = &self.before else { return };
        if !before.passed.get() {
            before.passes.notified().await;
        }
        if before.refused.get() {
            self.refuse();
        }
    }

    /// Refuses the task, and with it all that have entered behind it.
    pub fn refuse(&self) {
        self.own.refused.set(true);
    }

    /// Returns whether this task was refused, or one before it whose turn had come.
    pub fn is_refused(&self) -> bool {
        self.own.refused.get()
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.own.passed.set(true);
        self.own.passes.notify_one();
        let last = self.line.last.take().filter(|last| !Rc::ptr_eq(last, &self.own));
        self.line.last.set(last);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use proptest::prelude::*;
    use tokio::task::LocalSet;

    use super::*;

    #[test]
    fn nobody_waits_where_nobody_stands() {
        let line = FifoGate::default();
        for _ in 0..3 {
            let turn = line.enter();
            let comes = pin!(turn.comes()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(comes.is_ready());
        }
        assert!(line.last.take().is_none(), "nothing is kept of tasks that passed");
        assert_eq!(size_of::<FifoGate>(), size_of::<usize>());
    }

    #[test]
    fn who_has_entered_behind_a_refused_task_is_refused() {
        let line = FifoGate::default();
        let [first, second, third, fourth] = [0; 4].map(|_: u8| line.enter());
        let pass = |slot: &Slot<'_>| {
            assert!(pin!(slot.comes()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
            slot.is_refused()
        };
        assert!(!pass(&first));
        drop(first);
        assert!(!pass(&second));
        second.refuse();
        drop(second);
        assert!(pass(&third));
        drop(third);
        assert!(pass(&fourth));
        drop(fourth);
        assert!(!pass(&line.enter()), "who comes later is not");
    }

    proptest! {
        #[test]
        fn all_pass_in_the_order_in_which_they_entered(
            waits in prop::collection::vec(0..5_u8, 1..20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (line, passed) = (Rc::new(FifoGate::default()), Rc::new(RefCell::new(Vec::new())));
            let local = LocalSet::new();
            for (number, wait) in waits.iter().copied().enumerate() {
                let (line, passed) = (Rc::clone(&line), Rc::clone(&passed));
                local.spawn_local(async move {
                    let turn = line.enter();
                    for _ in 0..wait {
                        tokio::task::yield_now().await;
                    }
                    turn.comes().await;
                    passed.borrow_mut().push(number);
                });
            }
            runtime.block_on(local);
            prop_assert_eq!(&*passed.borrow(), &(0..waits.len()).collect::<Vec<_>>());
        }
    }
}
