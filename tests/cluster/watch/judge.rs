//! Who looks through a log for what must not be.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use narrowcast::client::{Cursor, Nonce};
use narrowcast::domain::MessageId;
use serde_json::Value;

use super::log::{Claim, DeviceId, Fact, Log, Return};
use super::verdict::{Figures, Finding, Verdict};

/// A send.
struct Sent<'a> {
    device: DeviceId,
    conversation: &'a str,
    body: &'a Value,
    /// Where it was begun.
    line: usize,
    /// The newest id that its device had seen by then.
    newest: Option<MessageId>,
    /// What its first sight has as its `dedup`.
    dedup: Option<&'a str>,
    acked: Option<Acked>,
}

#[derive(Clone, Copy)]
struct Acked {
    id: MessageId,
    at: Duration,
}

/// A message as a device saw it first.
struct Sight {
    line: usize,
    at: Duration,
}

/// What a node said of what a device has, and the cursor that it gave for it.
struct Held<'a> {
    line: usize,
    cursor: Option<&'a Cursor>,
    claim: &'a Claim,
}

/// What a device saw.
#[derive(Default)]
struct View<'a> {
    sights: HashMap<MessageId, Sight>,
    held: Vec<Held<'a>>,
    newest: Option<MessageId>,
    /// Its session has shown no cursor yet.
    resuming: bool,
}

impl View<'_> {
    /// Whether the device is owed what is begun in a line.
    fn is_owed(&self, line: usize) -> bool {
        self.held.first().is_some_and(|first| first.line < line)
    }

    /// Whether something that was begun in a line was excused after it and before another.
    fn is_excused(&self, send: &Sent<'_>, before: usize) -> bool {
        let said = self.held.iter().filter(|held| held.line > send.line && held.line < before);
        said.into_iter().any(|held| held.claim.excuses(send.conversation))
    }
}

/// Whether a user is one of the two of a direct conversation.
fn is_of(conversation: &str, user: &str) -> bool {
    let two = conversation.strip_prefix("dm.").and_then(|two| two.split_once('.'));
    two.is_some_and(|(a, b)| a == user || b == user)
}

/// Who looks through a log.
pub struct Judge<'a> {
    log: &'a Log,
    sends: Vec<Sent<'a>>,
    by_nonce: HashMap<&'a Nonce, usize>,
    /// Every send has a body of its own.
    by_body: HashMap<String, usize>,
    views: Vec<View<'a>>,
    findings: Vec<Finding>,
    figures: Figures,
}

impl<'a> Judge<'a> {
    pub fn new(log: &'a Log) -> Self {
        let mut judge = Self {
            log,
            sends: Vec::new(),
            by_nonce: HashMap::new(),
            by_body: HashMap::new(),
            views: log.users.iter().map(|_| View::default()).collect(),
            findings: Vec::new(),
            figures: Figures::default(),
        };
        (0..log.lines.len()).for_each(|line| judge.read(line));
        judge.figures.repeats = log.repeats;
        judge
    }

    fn read(&mut self, number: usize) {
        let line = &self.log.lines[number];
        let (device, view) = (line.device, &mut self.views[line.device.0]);
        match &line.fact {
            Fact::Connected => {
                self.figures.connections += 1;
                view.resuming = true;
            }
            Fact::Lost => {}
            Fact::Ended { why } => {
                self.findings.push(Finding::Ended { device, why: why.clone() });
            }
            Fact::Sending { nonce, conversation, body } => {
                let (line, newest) = (number, view.newest);
                self.by_nonce.insert(nonce, self.sends.len());
                self.by_body.insert(body.to_string(), self.sends.len());
                let (dedup, acked) = (None, None);
                self.sends.push(Sent { device, conversation, body, line, newest, dedup, acked });
            }
            Fact::Acked { nonce, id } => {
                self.figures.acked += 1;
                view.newest = view.newest.max(Some(*id));
                let send = &mut self.sends[self.by_nonce[nonce]];
                send.acked = Some(Acked { id: *id, at: line.at });
            }
            Fact::Unknown => self.figures.unknown += 1,
            Fact::Refused { .. } => self.figures.refused += 1,
            Fact::Saw { id, dedup, body, .. } => {
                if let Some(send) = self.by_body.get(&body.to_string()) {
                    let send = &mut self.sends[*send];
                    send.dedup = send.dedup.or(dedup.as_deref());
                }
                self.saw(number, *id);
            }
            Fact::Held { cursor, claim } => {
                view.resuming = false;
                self.figures.cursors += usize::from(cursor.is_some());
                view.held.push(Held { line: number, cursor: cursor.as_ref(), claim });
            }
        }
    }

    fn saw(&mut self, line: usize, id: MessageId) {
        let (at, device) = (self.log.lines[line].at, self.log.lines[line].device);
        let view = &mut self.views[device.0];
        view.newest = view.newest.max(Some(id));
        if view.sights.contains_key(&id) {
            return self.findings.push(Finding::Twice { device, id });
        }
        view.sights.insert(id, Sight { line, at });
        let count = if view.resuming { &mut self.figures.resumed } else { &mut self.figures.live };
        *count += 1;
    }

    /// The devices of both users of a send that it is owed to.
    fn owed(&self, send: &'a Sent<'_>) -> impl Iterator<Item = DeviceId> {
        let devices = (0..self.views.len()).map(DeviceId);
        devices.filter(move |device| {
            *device != send.device
                && is_of(send.conversation, &self.log.users[device.0])
                && self.views[device.0].is_owed(send.line)
        })
    }

    fn acked(&self) -> impl Iterator<Item = (&Sent<'a>, Acked)> {
        self.sends.iter().filter_map(|send| Some((send, send.acked?)))
    }

    /// What was acknowledged and is missing somewhere: without an excuse, and with one.
    fn missing(&self) -> (Vec<Finding>, usize) {
        let (mut missing, mut excused) = (Vec::new(), 0);
        for (send, Acked { id, .. }) in self.acked() {
            for device in self.owed(send) {
                let view = &self.views[device.0];
                if view.sights.contains_key(&id) {
                    continue;
                }
                if view.is_excused(send, usize::MAX) {
                    excused += 1;
                } else {
                    missing.push(Finding::Missing { device, id });
                }
            }
        }
        (missing, excused)
    }

    /// Whether everything that was acknowledged is everywhere, or excused.
    pub fn is_whole(&self) -> bool {
        self.missing().0.is_empty()
    }

    /// The lines in which a device was given a cursor.
    pub fn cursors(&self, device: DeviceId) -> Vec<usize> {
        let held = self.views[device.0].held.iter();
        held.filter(|held| held.cursor.is_some()).map(|held| held.line).collect()
    }

    /// Everything that is wrong, and everything that was counted.
    pub fn verdict(mut self) -> Verdict {
        let (missing, excused) = self.missing();
        let mut findings = std::mem::take(&mut self.findings);
        findings.extend(missing);
        findings.extend(self.disorders());
        findings.extend(self.misdeliveries());
        let (holes, excused_returns) = self.holes();
        findings.extend(holes);
        let (late, healing) = self.healing();
        let (excused, returns) = (excused + excused_returns, self.log.returns.len());
        let figures = Figures { late, healing, returns, excused, ..self.figures };
        Verdict { findings, figures }
    }

    /// I3.
    fn disorders(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut last = HashMap::<(DeviceId, &str), MessageId>::new();
        for (send, Acked { id, .. }) in self.acked() {
            let before = last.insert((send.device, send.conversation), id);
            if let Some(first) = before.filter(|first| *first >= id) {
                findings.push(Finding::Disorder { first, second: id });
            }
            if let Some(seen) = send.newest.filter(|seen| *seen >= id) {
                findings.push(Finding::Early { id, seen });
            }
        }
        findings
    }

    /// I5 and I10. Together with I2 they make all devices agree on a conversation: the same
    /// messages by the same ids, whose order is the order.
    fn misdeliveries(&self) -> Vec<Finding> {
        let sights = self.log.lines.iter().filter_map(|line| match &line.fact {
            Fact::Saw { id, conversation, from, dedup, body } => {
                self.misdelivery(line.device, *id, (conversation, from, dedup.as_deref(), body))
            }
            _ => None,
        });
        sights.collect()
    }

    fn misdelivery(
        &self,
        device: DeviceId,
        id: MessageId,
        (conversation, from, dedup, body): (&str, &str, Option<&str>, &Value),
    ) -> Option<Finding> {
        if !is_of(conversation, &self.log.users[device.0]) {
            return Some(Finding::Foreign { device, id });
        }
        let Some(send) = self.by_body.get(&body.to_string()) else {
            return Some(Finding::Stranger { device, id });
        };
        let send = &self.sends[*send];
        let sender = &self.log.users[send.device.0];
        let same = (conversation, from) == (send.conversation, sender)
            && dedup.is_some()
            && dedup == send.dedup;
        // An earlier try may turn up, and has the smaller id: then it is shown in place of none.
        let one = send.acked.is_none_or(|acked| id <= acked.id);
        (!same || !one).then(|| Finding::Altered { device, body: send.body.clone() })
    }

    /// I4: holes below cursors, and how many messages were excused on a return.
    fn holes(&self) -> (Vec<Finding>, usize) {
        let (mut holes, mut excused) = (Vec::new(), 0);
        for returned in &self.log.returns {
            for (send, Acked { id, .. }) in self.acked() {
                if self.has(returned, send, id) {
                    continue;
                }
                if returned.claim.excuses(send.conversation) {
                    excused += 1;
                } else {
                    let Return { device, held, .. } = *returned;
                    holes.push(Finding::Hole { device, held, id });
                }
            }
        }
        (holes, excused)
    }

    /// Whether a device that came back with a cursor has a message, or need not have it: it was
    /// told so when it was given the cursor or before. What it sent itself it has with the
    /// answer, which may come behind the cursor.
    fn has(&self, returned: &Return, send: &Sent<'_>, id: MessageId) -> bool {
        let (view, held) = (&self.views[returned.device.0], returned.held);
        let user = &self.log.users[returned.device.0];
        let own = send.device == returned.device && send.line < held;
        let seen = view.sights.get(&id).is_some_and(|sight| sight.line < held);
        !is_of(send.conversation, user)
            || !view.is_owed(send.line)
            || own
            || seen
            || returned.ids.contains(&id)
            || view.is_excused(send, held + 1)
    }

    /// I9: what was acknowledged before the last fault ended and seen after it, and how long
    /// after it that went on.
    fn healing(&self) -> (usize, Duration) {
        let Some(healed) = self.log.healed else { return (0, Duration::ZERO) };
        let before = self.acked().filter(|(_, acked)| acked.at <= healed);
        let ids: BTreeSet<MessageId> = before.map(|(_, acked)| acked.id).collect();
        let sights = self.views.iter().flat_map(|view| &view.sights);
        let late = sights.filter(|(id, sight)| ids.contains(id) && sight.at > healed);
        let times: Vec<Duration> = late.map(|(_, sight)| sight.at.saturating_sub(healed)).collect();
        (times.len(), times.into_iter().max().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
