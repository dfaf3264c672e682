//! Whose lines the log holds: the name of the node that a thread works for.

use std::cell::RefCell;
use std::sync::OnceLock;

/// The node of all threads that have none of their own.
static OF_PROCESS: OnceLock<String> = OnceLock::new();

thread_local! {
    static OF_THREAD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Names the node that this process runs. It is called once, by a process that runs one node.
pub fn name_process(node: &str) {
    // A second name would be a second node, and threads name that.
    let _first = OF_PROCESS.set(node.to_owned());
}

/// Names the node that this thread works for.
pub fn name_thread(node: &str) {
    OF_THREAD.with_borrow_mut(|name| *name = Some(node.to_owned()));
}

/// Returns what `with` makes of the name of this thread's node.
pub(super) fn with_node<T>(with: impl FnOnce(Option<&str>) -> T) -> T {
    OF_THREAD.with_borrow(|name| with(name.as_deref().or(OF_PROCESS.get().map(String::as_str))))
}
