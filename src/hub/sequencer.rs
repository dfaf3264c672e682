//! Keeps the order of those who arrive, however long each of them waits for something else.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use tokio::sync::Notify;

/// Somebody's place in the line.
#[derive(Debug, Default)]
struct Place {
    passed: Cell<bool>,
    /// Told once: there is one who stands behind it.
    passes: Notify,
}

/// Whoever enters first passes first. While nobody stands in it, it is one word and waits for
/// nothing.
#[derive(Default)]
pub struct Sequencer {
    last: Cell<Option<Rc<Place>>>,
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turnstile").finish_non_exhaustive()
    }
}

/// A place in the line, given up when it is dropped. To be dropped only once it has come: those
/// behind it do not look further.
#[derive(Debug)]
pub struct Slot<'a> {
    line: &'a Sequencer,
    before: Option<Rc<Place>>,
    own: Rc<Place>,
}

impl Sequencer {
    /// Takes the place behind everybody who has one.
    pub fn enter(&self) -> Slot<'_> {
        let own = Rc::<Place>::default();
        let before = self.last.replace(Some(Rc::clone(&own)));
        Slot { line: self, before, own }
    }
}

impl Slot<'_> {
    /// Waits until everybody who entered before has passed: not at all if there is nobody.
    pub async fn comes(&self) {
        if let Some(before) = &self.before
            && !before.passed.get()
        {
            before.passes.notified().await;
        }
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
        let line = Sequencer::default();
        for _ in 0..3 {
            let turn = line.enter();
            let comes = pin!(turn.comes()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(comes.is_ready());
        }
        assert!(line.last.take().is_none(), "nothing is kept of those who passed");
        assert_eq!(size_of::<Sequencer>(), size_of::<usize>());
    }

    proptest! {
        #[test]
        fn all_pass_in_the_order_in_which_they_entered(
            waits in prop::collection::vec(0..5_u8, 1..20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (line, passed) = (Rc::new(Sequencer::default()), Rc::new(RefCell::new(Vec::new())));
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
