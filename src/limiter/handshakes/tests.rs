//! Compares the queue with a list that is searched from end to end.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

/// Addresses that handshakes come from. The first is none.
const ADDRESSES: u8 = 5;

fn address(number: u8) -> Option<IpAddr> {
    (number > 0).then(|| Ipv4Addr::new(10, 0, 0, number).into())
}

/// A handshake in the list: when it came or made progress, and its progress.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: HandshakeId,
    address: u8,
    progress: Progress,
    at: usize,
}

/// Handshakes in a list.
#[derive(Debug)]
struct Model {
    share: usize,
    known: Vec<Known>,
}

impl Model {
    fn held(&self, address: u8) -> usize {
        let is_counted = |known: &&Known| known.address == address && address > 0;
        self.known.iter().filter(is_counted).count()
    }

    /// The rule as it is written. Of the addresses that pay, it is the silent one that came first.
    /// Otherwise it is the unfinished one whose request began first.
    fn next_to_end(&self, newcomer: u8) -> Option<HandshakeId> {
        let mut payers: Vec<u8> = vec![newcomer];
        if self.held(newcomer) < self.share {
            payers = (0..ADDRESSES).filter(|address| self.held(*address) > self.share).collect();
        }
        if payers.is_empty() {
            payers = (0..ADDRESSES).collect();
        }
        let of_payers = || self.known.iter().filter(|known| payers.contains(&known.address));
        let oldest = |progress| {
            of_payers().filter(|known| known.progress == progress).min_by_key(|known| known.at)
        };
        let found = oldest(Progress::Silent).or_else(|| oldest(Progress::Unfinished));
        found.map(|known| known.id)
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A connection comes from an address.
    Come(u8),
    /// Something was read from one of those that are there.
    Speak(usize),
    /// One was upgraded, and is silent again.
    Upgrade(usize),
    /// A balancer names the client of one.
    Assign(usize, u8),
    /// One ended, or has shown its token.
    Leave(usize),
    /// One is ended for a newcomer of an address.
    End(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..ADDRESSES).prop_map(Step::Come),
        2 => any::<usize>().prop_map(Step::Speak),
        1 => any::<usize>().prop_map(Step::Upgrade),
        2 => (any::<usize>(), 0..ADDRESSES).prop_map(|(place, to)| Step::Assign(place, to)),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => (0..ADDRESSES).prop_map(Step::End),
    ];
    prop::collection::vec(step, 1..120)
}

fn advance(queue: &mut Handshakes<u8>, known: &mut Known, progress: Progress, at: usize) {
    known.id = queue.advance(known.id, progress).expect("it is there");
    (known.progress, known.at) = (progress, at);
}

/// Does a step on both. The one that the queue ends is the one that the list names.
fn take(queue: &mut Handshakes<u8>, model: &mut Model, step: Step, at: usize) {
    let count = model.known.len();
    match step {
        Step::Come(from) => {
            let id = queue.insert(address(from), from);
            model.known.push(Known { id, address: from, progress: Progress::Silent, at });
        }
        Step::Speak(place) if count > 0 => {
            advance(queue, &mut model.known[place % count], Progress::Unfinished, at);
        }
        Step::Upgrade(place) if count > 0 => {
            advance(queue, &mut model.known[place % count], Progress::Silent, at);
        }
        Step::Assign(place, to) if count > 0 => {
            let known = &mut model.known[place % count];
            queue.assign(known.id, address(to));
            known.address = to;
        }
        Step::Leave(place) if count > 0 => {
            let known = model.known.swap_remove(place % count);
            assert!(queue.remove(known.id).is_some());
            assert_eq!(queue.remove(known.id), None, "it is gone");
            assert_eq!(queue.advance(known.id, Progress::Unfinished), None);
        }
        Step::End(newcomer) => {
            let ended = queue.next_to_end(address(newcomer));
            assert_eq!(ended, model.next_to_end(newcomer));
            let Some(ended) = ended else { return };
            model.known.retain(|known| known.id != ended);
            assert!(queue.remove(ended).is_some());
        }
        Step::Speak(_) | Step::Upgrade(_) | Step::Assign(..) | Step::Leave(_) => {}
    }
}

proptest! {
    #[test]
    fn the_queue_does_what_the_list_does(share in 1..6_usize, steps in steps()) {
        let mut queue = Handshakes::new(share);
        let mut model = Model { share, known: Vec::new() };
        for (at, step) in steps.into_iter().enumerate() {
            take(&mut queue, &mut model, step, at);
            prop_assert_eq!(queue.len(), model.known.len());
            let crowded = (0..ADDRESSES).filter(|it| model.held(*it) > share).count();
            prop_assert_eq!(queue.crowded.len(), crowded);
        }
        for known in &model.known {
            prop_assert!(queue.remove(known.id).is_some());
        }
        prop_assert!(queue.by_address.is_empty() && queue.crowded.is_empty());
    }
}
