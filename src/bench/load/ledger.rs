//! What was asked for, to whom it is owed, and what came: the judge of a load.
//!
//! An entry is kept for ten seconds behind its intended time. One that is incomplete then is kept
//! aside until it is complete or the load is over. What comes of a forgotten one is a repeat.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use ahash::{AHashMap, AHashSet};

use super::counts::{CountsByKind, LoadCounts, SessionCounts};
use super::entry::{LoadEntry, LoadState};
use super::mix::LoadKind;
use super::population::LoadPopulation;
use super::schedule::LoadAction;
use crate::bench::latency::LatencyRecorder;
use crate::domain::MessageId;

/// How long an entry is kept at least, in µs.
const KEPT_US: u64 = 10_000_000;

/// Most entries at a time: about 100 bytes each.
pub(super) const ENTRIES_MAX: usize = 2_000_000;

/// Faults that are told in words.
const WORDS_MAX: usize = 5;

/// What a delivery says of itself. An event has neither an id nor a mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadArrival<'a> {
    /// By its conversation, or by its being an event.
    pub(super) kind: LoadKind,
    pub(super) id: Option<MessageId>,
    pub(super) dedup: Option<&'a str>,
    /// Whether it was read from history.
    pub(super) is_recovered: bool,
    /// Whether the session is on its first connection.
    pub(super) is_first_connection: bool,
}

impl LoadArrival<'_> {
    /// An event, which is never read from history.
    pub(super) const fn event(is_first_connection: bool) -> Self {
        let (id, dedup) = (None, None);
        Self { kind: LoadKind::Topic, id, dedup, is_recovered: false, is_first_connection }
    }
}

/// Latencies of a kind: to deliveries, and to answers.
#[derive(Debug, Clone)]
pub(super) struct LoadLatencies {
    pub(super) delivery: LatencyRecorder,
    pub(super) answer: LatencyRecorder,
}

/// What is counted from one look at it to the next.
#[derive(Debug)]
pub(super) struct SecondCounts {
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) delivered: u64,
    pub(super) latencies: LatencyRecorder,
}

/// The judge.
#[derive(Debug)]
pub(super) struct LoadLedger {
    population: LoadPopulation,
    late_us: u64,
    /// Whether sessions come back, and sends are tried again.
    comes_back: bool,
    entries: VecDeque<LoadEntry>,
    /// The number of the first entry.
    first: u64,
    /// Entries that were kept aside, by their number.
    overdue: AHashMap<u64, LoadEntry>,
    /// The number of the newest that a session has of a sender and a kind.
    newest: AHashMap<(u32, u32, LoadKind), u64>,
    /// The send of each sender that has its largest id.
    last_ids: AHashMap<u32, (u64, MessageId)>,
    order: OrderExempt,
    /// Whether it was ended. What comes later was counted as missing.
    is_over: bool,
    pub(super) figures: LoadFigures,
}

/// Sessions whose order is not judged any more, and those that are gone for good.
#[derive(Debug, Default)]
struct OrderExempt {
    came_back: AHashSet<u32>,
    gone: AHashSet<u32>,
}

/// All that is counted.
#[derive(Debug)]
pub(super) struct LoadFigures {
    pub(super) counts: CountsByKind,
    pub(super) sessions: SessionCounts,
    /// Latencies by kind.
    pub(super) latencies: Vec<LoadLatencies>,
    /// Latencies of all deliveries.
    pub(super) all: LatencyRecorder,
    pub(super) second: SecondCounts,
    /// Requests that a queue of the generator had no room for, those of the warm-up included.
    pub(super) unsent: u64,
    /// Requests without an answer.
    pub(super) unanswered: usize,
    /// The first faults, in words.
    pub(super) words: Vec<String>,
}

impl LoadFigures {
    fn new() -> Self {
        let latencies =
            LoadLatencies { delivery: LatencyRecorder::new(), answer: LatencyRecorder::new() };
        let second =
            SecondCounts { sent: 0, acked: 0, delivered: 0, latencies: LatencyRecorder::new() };
        Self {
            counts: CountsByKind::default(),
            sessions: SessionCounts::default(),
            latencies: vec![latencies; LoadKind::ALL.len()],
            all: LatencyRecorder::new(),
            second,
            unsent: 0,
            unanswered: 0,
            words: Vec::new(),
        }
    }

    /// Tells a fault in words, if it is one of the first.
    pub(super) fn tell(&mut self, fault: impl FnOnce() -> String) {
        if self.words.len() < WORDS_MAX {
            self.words.push(fault());
        }
    }

    const fn of(&mut self, kind: LoadKind) -> &mut LoadCounts {
        self.counts.of_mut(kind)
    }

    fn record_delivery(&mut self, kind: LoadKind, took: Duration) {
        self.of(kind).delivered += 1;
        self.latencies[kind.index()].delivery.record(took);
        self.all.record(took);
        self.second.delivered += 1;
        self.second.latencies.record(took);
    }
}

/// A mark that fits into a word.
fn mark(dedup: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    dedup.hash(&mut hasher);
    hasher.finish()
}

impl LoadLedger {
    pub(super) fn new(population: LoadPopulation, late: Duration, comes_back: bool) -> Self {
        Self {
            population,
            late_us: late.as_micros() as u64,
            comes_back,
            entries: VecDeque::new(),
            first: 0,
            overdue: AHashMap::default(),
            newest: AHashMap::default(),
            last_ids: AHashMap::default(),
            order: OrderExempt::default(),
            is_over: false,
            figures: LoadFigures::new(),
        }
    }

    /// Enters a request, and returns its number.
    pub(super) fn enter(&mut self, action: LoadAction, intended_us: u64, measured: bool) -> u64 {
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back(LoadEntry::new(action, &self.population, intended_us, measured));
        if measured {
            self.figures.of(action.kind).sent += 1;
            self.figures.second.sent += 1;
        }
        self.figures.unanswered += 1;
        number
    }

    /// Entries that are kept.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.overdue.len()
    }

    /// The entry of a number, unless it is complete and forgotten.
    pub(super) fn entry(&mut self, number: u64) -> Option<&mut LoadEntry> {
        if number < self.first {
            return self.overdue.get_mut(&number);
        }
        self.entries.get_mut((number - self.first) as usize)
    }

    /// Notes the answer to a request. Of several the first counts.
    pub(super) fn answered(
        &mut self,
        number: u64,
        state: LoadState,
        message: Option<(MessageId, Option<&str>)>,
        now_us: u64,
    ) {
        let Some(entry) = self.entry(number).filter(|entry| entry.state == LoadState::Waiting)
        else {
            return;
        };
        entry.state = state;
        let (kind, measured) = (entry.kind(), entry.is_measured);
        let took = Duration::from_micros(now_us.saturating_sub(entry.intended_us));
        let is_contrary = message.is_some_and(|(id, dedup)| Self::name(entry, id, dedup));
        self.figures.unanswered -= 1;
        if is_contrary {
            self.contrary(number, kind);
        }
        let counts = self.figures.of(kind);
        match state {
            LoadState::Refused => counts.refused += 1,
            LoadState::Unknown => counts.unknown += 1,
            LoadState::Unsent => self.figures.unsent += 1,
            LoadState::Acked if measured => {
                counts.acked += 1;
                self.figures.second.acked += 1;
                self.figures.latencies[kind.index()].answer.record(took);
            }
            LoadState::Acked | LoadState::Waiting => {}
        }
    }

    /// Gives an entry its id, or returns whether it has another one that it may not have.
    fn name(entry: &mut LoadEntry, id: MessageId, dedup: Option<&str>) -> bool {
        let known = *entry.id.get_or_insert(id);
        let dedup = dedup.map(mark);
        let is_one_send = entry.tries > 1 && dedup.is_some() && dedup == entry.dedup;
        entry.dedup = entry.dedup.or(dedup);
        known != id && !is_one_send
    }

    fn contrary(&mut self, number: u64, kind: LoadKind) {
        self.figures.of(kind).out_of_order += 1;
        self.figures.tell(|| format!("out_of_order: send {number} ({}) has two ids", kind.name()));
    }

    /// Notes a delivery of a send to a session.
    pub(super) fn arrived(
        &mut self,
        session: u32,
        number: u64,
        arrival: LoadArrival<'_>,
        now_us: u64,
    ) {
        if self.is_over {
            return;
        }
        let population = self.population;
        let Some(entry) = self.entry(number) else {
            return self.repeat(arrival.kind, session, number, true);
        };
        let kind = entry.kind();
        let place = population.place(entry.audience(&population), session);
        let Some(place) = place else { return self.stray(kind, session, number) };
        if !entry.is_owed_to(session) {
            // A resume brings a sender its own messages.
            return;
        }
        let is_contrary = arrival.id.is_some_and(|id| Self::name(entry, id, arrival.dedup));
        if !entry.deliver(place) {
            return self.repeat(kind, session, number, arrival.id.is_some() && !is_contrary);
        }
        let (from, tries) = (entry.action.from, entry.tries);
        let (measured, took_us) = (entry.is_measured, now_us.saturating_sub(entry.intended_us));
        if is_contrary {
            self.contrary(number, kind);
        }
        if measured {
            self.figures.record_delivery(kind, Duration::from_micros(took_us));
            self.figures.of(kind).late += u64::from(took_us > self.late_us);
        }
        if arrival.is_recovered {
            self.figures.sessions.recovered += 1;
        } else {
            let is_judged = arrival.is_first_connection && tries == 1;
            self.check_order(session, from, kind, number, is_judged);
        }
    }

    /// Notes one that the session had. The same id is a repeat, and an event has none.
    fn repeat(&mut self, kind: LoadKind, session: u32, number: u64, is_same: bool) {
        let is_same = is_same && kind.is_message();
        let counts = self.figures.of(kind);
        if is_same {
            counts.repeated += 1;
        } else {
            counts.duplicate += 1;
        }
        let fault = if is_same { "repeated" } else { "duplicate" };
        // A resume may repeat, and that is no fault.
        if !is_same || !self.comes_back {
            self.tell(fault, kind, session, number);
        }
    }

    fn stray(&mut self, kind: LoadKind, session: u32, number: u64) {
        self.figures.of(kind).stray += 1;
        self.tell("stray", kind, session, number);
    }

    fn tell(&mut self, fault: &str, kind: LoadKind, session: u32, number: u64) {
        let (user, device) = (session / self.population.devices, session % self.population.devices);
        let kind = kind.name();
        self.figures
            .tell(|| format!("{fault}: send {number} ({kind}) at user {user}, device {device}"));
    }

    /// Notes one that came behind a later one of its sender. Events keep their order; messages are
    /// sorted by their ids.
    fn check_order(&mut self, session: u32, from: u32, kind: LoadKind, number: u64, judged: bool) {
        let newest = self.newest.entry((session, from, kind)).or_default();
        if number >= *newest {
            *newest = number;
        } else if judged && kind.is_message() {
            self.figures.of(kind).overtaken += 1;
        } else if judged {
            self.figures.of(kind).out_of_order += 1;
            self.tell("out_of_order", kind, session, number);
        }
    }

    /// Notes that a session is back on a further connection: its order is not judged any more.
    pub(super) fn came_back(&mut self, session: u32) {
        self.order.came_back.insert(session);
    }

    /// Notes that a session is gone for good: nothing is owed to it.
    pub(super) fn gone(&mut self, session: u32) {
        self.order.gone.insert(session);
    }

    /// Forgets what is complete and old enough.
    pub(super) fn retire(&mut self, now_us: u64) {
        while self.entries.front().is_some_and(|entry| entry.intended_us + KEPT_US < now_us) {
            self.retire_first();
        }
        let complete: Vec<_> = self.overdue.extract_if(|_, entry| entry.is_complete()).collect();
        complete.into_iter().for_each(|(number, mut entry)| self.check_id(number, &mut entry));
    }

    fn retire_first(&mut self) {
        let Some(mut entry) = self.entries.pop_front() else { return };
        let number = self.first;
        self.first += 1;
        self.check_id(number, &mut entry);
        if !entry.is_complete() {
            self.overdue.insert(number, entry);
        }
    }

    /// Ids follow the order of the sends of a session that has neither come back nor tried again.
    /// One that was answered late is compared with the later sends that were checked before it.
    fn check_id(&mut self, number: u64, entry: &mut LoadEntry) {
        let LoadAction { from, kind, .. } = entry.action;
        let Some(id) = entry.id.filter(|_| entry.tries == 1 && !entry.is_id_checked) else {
            return;
        };
        entry.is_id_checked = true;
        if self.order.came_back.contains(&from) {
            return;
        }
        let (last_number, last_id) = self.last_ids.entry(from).or_insert((number, id));
        let is_in_order = (number >= *last_number) == (id >= *last_id);
        if is_in_order && number >= *last_number {
            (*last_number, *last_id) = (number, id);
        } else if !is_in_order {
            self.figures.of(kind).out_of_order += 1;
            self.tell("out_of_order", kind, from, number);
        }
    }

    /// Acknowledged deliveries to sessions that are there, that have not come within ten seconds.
    pub(super) fn overdue(&self) -> u64 {
        self.overdue.values().map(|entry| self.owed(entry) as u64).sum()
    }

    /// Whether everything is answered, and delivered to all sessions that are there.
    pub(super) fn is_settled(&self) -> bool {
        self.figures.unanswered == 0
            && self.entries.iter().chain(self.overdue.values()).all(|entry| self.owed(entry) == 0)
    }

    fn owed(&self, entry: &LoadEntry) -> usize {
        if entry.state == LoadState::Acked && self.order.gone.is_empty() {
            return entry.missing as usize;
        }
        let missing = entry.missing_sessions(&self.population);
        missing.iter().filter(|session| !self.order.gone.contains(session)).count()
    }

    /// Ends it: what is unanswered is unknown, and what did not come is lost.
    pub(super) fn finish(&mut self, now_us: u64) {
        self.is_over = true;
        let last = self.first + self.entries.len() as u64;
        let mut numbers: Vec<u64> = self.overdue.keys().copied().chain(self.first..last).collect();
        numbers.sort_unstable();
        for number in numbers {
            self.answered(number, LoadState::Unknown, None, now_us);
        }
        while !self.entries.is_empty() {
            self.retire_first();
        }
        let mut overdue: Vec<_> = self.overdue.drain().collect();
        overdue.sort_unstable_by_key(|(number, _)| *number);
        for (number, mut entry) in overdue {
            self.check_id(number, &mut entry);
            self.miss(number, &entry);
        }
    }

    fn miss(&mut self, number: u64, entry: &LoadEntry) {
        let kind = entry.kind();
        for session in entry.missing_sessions(&self.population) {
            if self.order.gone.contains(&session) {
                continue;
            }
            // Events are sent at most once, to those that are there.
            if self.comes_back && !kind.is_message() {
                self.figures.sessions.missed += 1;
                continue;
            }
            self.figures.of(kind).lost += 1;
            self.tell("lost", kind, session, number);
        }
    }
}

#[cfg(test)]
mod tests;
