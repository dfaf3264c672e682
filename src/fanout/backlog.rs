//! What one task of a worker leaves for another.

use std::cell::RefCell;

use tokio::sync::Notify;

/// Items that one task of a worker leaves for another, in their order. It holds at most what its
/// producers add in one turn of the event loop, since its consumer takes all of it in its own.
#[derive(Debug)]
pub struct Backlog<T> {
    items: RefCell<Vec<T>>,
    added: Notify,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { items: RefCell::default(), added: Notify::new() }
    }
}

impl<T> Backlog<T> {
    /// Adds an item.
    pub fn add(&self, item: T) {
        self.items.borrow_mut().push(item);
        self.added.notify_one();
    }

    /// Waits for items and takes all of them. One task waits at a time.
    pub async fn take(&self) -> Vec<T> {
        loop {
            let items = self.items.take();
            if !items.is_empty() {
                return items;
            }
            self.added.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_was_added_is_taken_in_its_order() {
        let backlog = Backlog::default();
        backlog.add(1);
        backlog.add(2);
        assert_eq!(backlog.take().await, [1, 2]);
        let (taken, ()) = tokio::join!(backlog.take(), async { backlog.add(3) });
        assert_eq!(taken, [3]);
    }
}
