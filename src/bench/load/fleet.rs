//! All sessions of a load, and what they do on a frame, an end or a due time.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::AHashSet;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::entry::LoadState;
use super::frame::{self, LoadCursor, LoadGap, LoadInbox, LoadPage, LoadRefusal, NodeFrame};
use super::ledger::{LoadArrival, LoadLedger};
use super::mix::LoadKind;
use super::rooms::RoomVisit;
use super::run::LoadRun;
use super::schedule::LoadAction;
use super::session::{AnswerPurpose, LoadLink, LoadSession};

/// Before a refused or unanswered request is tried again, in µs, unless the node says when.
const RETRY_US: u64 = 200_000;

/// Most tries of a send.
const TRIES_MAX: u8 = 100;

/// Ids of requests that belong to no entry, beyond the numbers of entries.
const OWN_IDS: u64 = 1 << 52;

/// The sessions, and the judge of what they see.
#[derive(Debug)]
pub(super) struct LoadFleet {
    pub(super) run: Arc<LoadRun>,
    pub(super) ledger: LoadLedger,
    pub(super) sessions: Vec<LoadSession>,
    /// Requests that are due again, by the time in µs.
    retries: BTreeSet<(u64, u64)>,
    /// Sessions that read history again, by the time in µs.
    rereads: BTreeSet<(u64, u32)>,
    /// Users that were a room's visitors: nothing of that room is owed to them, nor stray.
    visitors: AHashSet<(u32, u32)>,
    /// Where changes of memberships go, by the user.
    changes: Vec<Sender<RoomVisit>>,
    own_ids: u64,
    /// Whether nothing is tried again any more.
    pub(super) is_over: bool,
    /// Told at each answer.
    pub(super) answered: Arc<Notify>,
}

/// The sessions, shared by their tasks on one thread.
pub(super) type SharedFleet = Arc<Mutex<LoadFleet>>;

impl LoadFleet {
    pub(super) fn new(run: Arc<LoadRun>, ledger: LoadLedger) -> Self {
        let sessions = (0..run.population.sessions()).map(|_| LoadSession::default()).collect();
        Self {
            run,
            ledger,
            sessions,
            retries: BTreeSet::new(),
            rereads: BTreeSet::new(),
            visitors: AHashSet::default(),
            changes: Vec::new(),
            own_ids: OWN_IDS,
            is_over: false,
            answered: Arc::new(Notify::new()),
        }
    }

    /// Says where changes of memberships go, by the user.
    pub(super) fn change_by(&mut self, changes: Vec<Sender<RoomVisit>>) {
        self.changes = changes;
    }

    /// Sends a request that was intended at a time.
    pub(super) fn act(&mut self, action: LoadAction, intended_us: u64, measured: bool) {
        let number = self.ledger.enter(action, intended_us, measured);
        if action.kind == LoadKind::Join {
            self.change(number, action);
        } else {
            self.attempt(number);
        }
    }

    /// The user enters the room behind its own, or leaves it if it is there.
    fn change(&mut self, number: u64, action: LoadAction) {
        let population = self.run.population;
        let user = population.user(action.from);
        let room = (population.room_of(user) + 1) % population.rooms();
        self.visitors.insert((user, room));
        let change = RoomVisit { number, user, room };
        let queue = self.changes.get(user as usize % self.changes.len().max(1));
        if queue.is_none_or(|queue| queue.try_send(change).is_err()) {
            self.unsent(number, "too many changes of memberships wait at the generator");
        }
    }

    /// Tries a request, now or once its session is back.
    fn attempt(&mut self, number: u64) {
        let Some(entry) = self.ledger.entry(number) else { return };
        let (action, tries) = (entry.action, entry.tries);
        let session = &mut self.sessions[action.from as usize];
        if !session.is_live {
            if session.is_gone || !self.run.comes_back {
                self.settle(number, LoadState::Unknown);
            } else {
                session.waiting.push_back(number);
            }
            return;
        }
        entry.tries = tries.saturating_add(1);
        if session.write(self.run.frame(number, action, tries == 0)) {
            session.asked.insert(number, AnswerPurpose::Request(number));
        } else {
            self.unsent(number, "too many frames wait at a socket of the generator");
        }
    }

    fn settle(&mut self, number: u64, state: LoadState) {
        self.ledger.answered(number, state, None, self.run.now_us());
        self.answered.notify_one();
    }

    /// Notes a request that a full queue of the generator had no room for.
    fn unsent(&mut self, number: u64, why: &str) {
        self.ledger.figures.tell(|| format!("unsent: {why}"));
        self.settle(number, LoadState::Unsent);
    }

    /// Notes a node's refusal that is final.
    pub(super) fn refused(&mut self, number: u64, why: &str) {
        self.ledger.figures.tell(|| format!("refused: {why}"));
        self.settle(number, LoadState::Refused);
    }

    /// Notes that a change of memberships is made, or that its outcome is unknown.
    pub(super) fn changed(&mut self, number: u64, is_known: bool) {
        self.settle(number, if is_known { LoadState::Acked } else { LoadState::Unknown });
    }

    /// Notes a connection of a session: its first frame is `hello`.
    pub(super) fn connected(&mut self, session: u32, link: LoadLink) {
        let state = &mut self.sessions[session as usize];
        state.link = Some(link);
        state.said = None;
        let hello = self.run.hello(session, state.cursor.as_deref());
        // A fresh queue takes it.
        let _queued = state.write(hello);
    }

    /// Notes that a session's connection ended, and tells whether it comes back.
    pub(super) fn lost(&mut self, session: u32, why: &str, is_final: bool) -> bool {
        let now_us = self.run.now_us();
        let state = &mut self.sessions[session as usize];
        let (was_live, said) = (state.is_live, state.said.take());
        let unanswered = state.lost();
        let why = said.map_or_else(|| why.to_owned(), |said| format!("{why}, {said}"));
        if let Some(opened) = state.opened.take() {
            state.is_gone = true;
            // A run that is being ended does not wait for it.
            let _gone = opened.send(Err(why));
            return false;
        }
        let comes_back = self.run.comes_back && !is_final && !self.is_over;
        if was_live && !self.is_over {
            self.ledger.figures.sessions.closed += 1;
            if !comes_back {
                self.ledger.figures.tell(|| format!("closed: session {session}: {why}"));
            }
        }
        if !comes_back {
            self.give_up(session);
        }
        for number in unanswered {
            self.retry(number, now_us + RETRY_US, LoadState::Unknown);
        }
        comes_back
    }

    fn give_up(&mut self, session: u32) {
        self.sessions[session as usize].is_gone = true;
        self.ledger.gone(session);
        for number in std::mem::take(&mut self.sessions[session as usize].waiting) {
            self.settle(number, LoadState::Unknown);
        }
    }

    /// Tries a request again at a time, if that is allowed; otherwise it has that state.
    fn retry(&mut self, number: u64, due_us: u64, otherwise: LoadState) {
        let Some(entry) = self.ledger.entry(number) else { return };
        // An event has no nonce: it may have been published.
        let is_allowed = entry.kind() != LoadKind::Topic && entry.tries < TRIES_MAX;
        if self.run.comes_back && !self.is_over && is_allowed {
            self.retries.insert((due_us, number));
        } else {
            self.settle(number, otherwise);
        }
    }

    /// Sends again what is due, and forgets what is complete.
    pub(super) fn tick(&mut self) {
        let now_us = self.run.now_us();
        while self.retries.first().is_some_and(|(due_us, _)| *due_us <= now_us) {
            let Some((_, number)) = self.retries.pop_first() else { break };
            self.attempt(number);
        }
        while self.rereads.first().is_some_and(|(due_us, _)| *due_us <= now_us) {
            let Some((_, session)) = self.rereads.pop_first() else { break };
            self.read_missed(session);
        }
        self.ledger.retire(now_us);
    }

    /// Looks at every session for silence.
    pub(super) fn tend(&mut self) {
        let now = Instant::now();
        self.sessions.iter_mut().for_each(|session| session.tend(now));
    }

    /// Handles a frame.
    pub(super) fn text(&mut self, session: u32, text: &str) {
        let now = Instant::now();
        self.sessions[session as usize].heard(now);
        let Some(frame) = NodeFrame::read(text) else { return };
        match (&*frame.op, frame.id) {
            ("message", _) => self.message(session, &frame),
            ("event", _) => self.event(session, &frame),
            ("ready", _) => self.ready(session, &frame, now),
            ("cursor", _) => self.cursor(session, &frame),
            (_, Some(id)) => self.answer(session, id, &frame),
            ("error", None) => {
                let refusal: Option<LoadRefusal> = frame.fields();
                let said = refusal.map(|refusal| format!("{}: {}", refusal.code, refusal.detail));
                self.sessions[session as usize].said = said;
            }
            _ => {}
        }
    }

    fn message(&mut self, session: u32, frame: &NodeFrame<'_>) {
        if let Some(message) = frame.message() {
            self.arrived(session, &message, false);
        }
    }

    fn arrived(&mut self, session: u32, message: &frame::LoadMessage<'_>, is_recovered: bool) {
        let Some(number) = message.number(&self.run.name) else { return };
        if self.is_visit(session, number) {
            return;
        }
        let arrival = LoadArrival {
            kind: message.kind(),
            id: message.id(),
            dedup: message.dedup.as_deref(),
            is_recovered,
            is_first_connection: self.sessions[session as usize].connections <= 1,
        };
        self.ledger.arrived(session, number, arrival, self.run.now_us());
    }

    /// Whether a send is to a room that the session's user only visits.
    fn is_visit(&mut self, session: u32, number: u64) -> bool {
        if self.visitors.is_empty() {
            return false;
        }
        let population = self.run.population;
        let (user, visitors) = (population.user(session), &self.visitors);
        let room = |entry: &mut super::entry::LoadEntry| {
            population.room_of(population.user(entry.action.from))
        };
        let entry = self.ledger.entry(number).filter(|entry| entry.kind() == LoadKind::Room);
        entry.map(room).is_some_and(|room| {
            room != population.room_of(user) && visitors.contains(&(user, room))
        })
    }

    fn event(&mut self, session: u32, frame: &NodeFrame<'_>) {
        let number = frame.data.and_then(|data| frame::number(data, &self.run.name));
        let is_first_connection = self.sessions[session as usize].connections <= 1;
        if let Some(number) = number {
            let arrival = LoadArrival::event(is_first_connection);
            self.ledger.arrived(session, number, arrival, self.run.now_us());
        }
    }

    fn ready(&mut self, session: u32, frame: &NodeFrame<'_>, now: Instant) {
        let state = &mut self.sessions[session as usize];
        if let (Some(link), Some(ping_ms)) = (&mut state.link, frame.ping_ms) {
            link.keepalive.broken(now);
            link.keepalive.ready(std::time::Duration::from_millis(ping_ms));
        }
    }

    /// Keeps the cursor. The first one of a connection tells what it missed.
    fn cursor(&mut self, session: u32, frame: &NodeFrame<'_>) {
        let Some(LoadCursor { cursor, resumed, reason, gaps }) = frame.fields() else { return };
        let state = &mut self.sessions[session as usize];
        state.cursor = Some(cursor);
        let is_first = !state.is_live
            && !state.asked.values().any(|answer| matches!(answer, AnswerPurpose::Topic));
        let is_inbox_due = resumed == Some(false) && reason.as_deref() != Some("no_cursor");
        let has_missed = !gaps.is_empty() || is_inbox_due;
        state.unfilled.extend(gaps);
        state.reload_due |= is_inbox_due;
        if is_first || has_missed {
            self.read_missed(session);
        }
        if is_first {
            self.watch_topic(session);
        }
    }

    /// Asks for the session's topic. Without one it is live.
    fn watch_topic(&mut self, session: u32) {
        if !self.run.has_topics {
            return self.live(session);
        }
        let (id, pattern) = (self.own_id(), self.run.pattern(session));
        let frame = json!({"op": "subscribe", "id": id, "patterns": [pattern]}).to_string();
        let state = &mut self.sessions[session as usize];
        if !state.ask(id, frame, AnswerPurpose::Topic) {
            state.give_up("too many frames wait at its socket");
        }
    }

    /// Reads from history what the session missed. Behind a loss its next cursor does that.
    fn read_missed(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        if state.link.is_none() || self.is_over {
            return;
        }
        let unfilled = std::mem::take(&mut state.unfilled);
        if std::mem::take(&mut state.reload_due) {
            self.load_inbox(session, None);
        }
        unfilled.into_iter().for_each(|gap| self.fill(session, gap, None));
    }

    /// Reads history for a session, now or as soon as its queue may have room.
    fn read_history(&mut self, session: u32, id: u64, frame: String, answer: AnswerPurpose) {
        if !self.sessions[session as usize].ask(id, frame, answer) {
            self.rereads.insert((self.run.now_us() + RETRY_US, session));
        }
    }

    /// Reads again what a node refused, when it says so. What it refuses for good is told.
    fn read_again(&mut self, session: u32, answer: AnswerPurpose, frame: &NodeFrame<'_>) {
        let refusal: Option<LoadRefusal> = frame.fields();
        if let Some(LoadRefusal { code, detail, .. }) =
            refusal.as_ref().filter(|refusal| refusal.retry == "never")
        {
            let fault = || format!("history: session {session}: refused: {code}: {detail}");
            return self.ledger.figures.tell(fault);
        }
        let due_us = self.run.now_us().saturating_add(retry_us(refusal.as_ref()));
        self.sessions[session as usize].put_back(answer);
        self.rereads.insert((due_us, session));
    }

    const fn own_id(&mut self) -> u64 {
        self.own_ids += 1;
        self.own_ids
    }

    /// Notes that a session is complete, and sends what waited for it.
    fn live(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        state.is_live = true;
        state.connections += 1;
        let waiting = std::mem::take(&mut state.waiting);
        if let Some(opened) = state.opened.take() {
            // A run that is being ended does not wait for it.
            let _gone = opened.send(Ok(()));
        }
        if state.connections > 1 {
            self.ledger.figures.sessions.reconnects += 1;
            self.ledger.came_back(session);
        }
        waiting.into_iter().for_each(|number| self.attempt(number));
    }

    fn answer(&mut self, session: u32, id: u64, frame: &NodeFrame<'_>) {
        match self.sessions[session as usize].asked.remove(&id) {
            Some(AnswerPurpose::Request(number)) if frame.op == "error" => {
                self.failed(number, frame);
            }
            Some(AnswerPurpose::Request(number)) => self.acked(number, frame),
            Some(AnswerPurpose::Topic) if frame.op == "ok" => self.live(session),
            Some(AnswerPurpose::Topic) => self.unheard(session, frame),
            Some(read) if frame.op == "error" => self.read_again(session, read, frame),
            Some(AnswerPurpose::Gap(gap)) => self.page(session, gap, frame),
            Some(AnswerPurpose::Inbox) => self.inbox(session, frame),
            None => {}
        }
    }

    fn acked(&mut self, number: u64, frame: &NodeFrame<'_>) {
        let message = frame.message();
        let id = message.as_ref().and_then(frame::LoadMessage::id);
        let dedup = message.as_ref().and_then(|message| message.dedup.as_deref());
        let named = id.map(|id| (id, dedup));
        self.ledger.answered(number, LoadState::Acked, named, self.run.now_us());
        self.answered.notify_one();
    }

    fn failed(&mut self, number: u64, frame: &NodeFrame<'_>) {
        let Some(refusal) = frame.fields::<LoadRefusal>() else {
            return self.settle(number, LoadState::Unknown);
        };
        let LoadRefusal { code, detail, retry, .. } = &refusal;
        let is_unknown = code == "outcome_unknown";
        let state = if is_unknown { LoadState::Unknown } else { LoadState::Refused };
        let is_final = self.is_over || !self.run.comes_back || retry == "never";
        if is_final && !is_unknown {
            return self.refused(number, &format!("{code}: {detail}"));
        }
        let due_us = self.run.now_us().saturating_add(retry_us(Some(&refusal)));
        self.retry(number, due_us, state);
    }

    /// A topic that cannot be heard now is asked for again on a new connection.
    fn unheard(&mut self, session: u32, frame: &NodeFrame<'_>) {
        let refusal: Option<LoadRefusal> = frame.fields();
        let state = &mut self.sessions[session as usize];
        state.said = refusal.map(|refusal| format!("{}: {}", refusal.code, refusal.detail));
        state.give_up("its topic is not heard");
    }

    /// Loads history above a position, up to a message or to the end, page by page.
    fn fill(&mut self, session: u32, gap: LoadGap, page: Option<&str>) {
        let id = self.own_id();
        let frame = frame::gap_page(id, &gap, page);
        self.read_history(session, id, frame, AnswerPurpose::Gap(gap));
    }

    fn page(&mut self, session: u32, gap: LoadGap, frame: &NodeFrame<'_>) {
        let Some(LoadPage { messages, next }) = frame.fields() else { return };
        let before = gap.before.as_deref().and_then(|before| before.parse().ok());
        let is_behind = before.is_some_and(|before| {
            messages.iter().filter_map(frame::LoadMessage::id).any(|id| id >= before)
        });
        // What is loaded from the newest on ends where messages of other runs begin.
        let is_ours = messages.iter().any(|message| message.number(&self.run.name).is_some());
        messages.iter().for_each(|message| self.arrived(session, message, true));
        if next.is_some() && !is_behind && (gap.after.is_some() || is_ours) {
            self.fill(session, gap, next.as_deref());
        }
    }

    /// Loads what is of this run from every conversation.
    fn load_inbox(&mut self, session: u32, page: Option<&str>) {
        let id = self.own_id();
        self.read_history(session, id, frame::inbox_page(id, page), AnswerPurpose::Inbox);
    }

    fn inbox(&mut self, session: u32, frame: &NodeFrame<'_>) {
        let Some(LoadInbox { conversations, next }) = frame.fields() else { return };
        for conversation in conversations {
            let conversation = conversation.conversation;
            let gap = LoadGap { conversation, after: None, before: None };
            self.fill(session, gap, None);
        }
        if next.is_some() {
            self.load_inbox(session, next.as_deref());
        }
    }

    /// Sessions that are live now.
    pub(super) fn live_sessions(&self) -> usize {
        self.sessions.iter().filter(|session| session.is_live).count()
    }

    /// Waits for the first connection of a session.
    pub(super) fn opening(&mut self, session: u32) -> oneshot::Receiver<Result<(), String>> {
        let (opened, opening) = oneshot::channel();
        self.sessions[session as usize].opened = Some(opened);
        opening
    }
}

/// Until a refused request may be tried again, in µs.
fn retry_us(refusal: Option<&LoadRefusal>) -> u64 {
    let after_ms = refusal.and_then(|refusal| refusal.retry_after_ms);
    after_ms.map_or(RETRY_US, |ms| ms.saturating_mul(1000))
}

#[cfg(test)]
mod tests;
