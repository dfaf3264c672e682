//! What the judge says of planted faults.

use super::*;

const PEOPLE: LoadPopulation =
    LoadPopulation { users: 4, devices: 2, room_members: 4, topic_watchers: 8 };

/// The kinds of loss, repetition and order that a delivery can have, one after another.
struct Bench {
    ledger: LoadLedger,
    /// What arriving messages say of themselves.
    kind: LoadKind,
    now_us: u64,
}

impl Bench {
    fn new(comes_back: bool) -> Self {
        let ledger = LoadLedger::new(PEOPLE, Duration::from_secs(1), comes_back);
        Self { ledger, kind: LoadKind::Dm, now_us: 0 }
    }

    /// User 0 writes to user 1 from its first device: it is owed to three sessions.
    fn send(&mut self, kind: LoadKind) -> u64 {
        self.now_us += 1000;
        let number = self.ledger.enter(LoadAction { kind, from: 0, peer: 1 }, self.now_us, true);
        self.ledger.entry(number).unwrap().tries = 1;
        number
    }

    fn ack(&mut self, number: u64) {
        let id = (id(number), Some("d"));
        self.ledger.answered(number, LoadState::Acked, Some(id), self.now_us + 100);
    }

    fn arrive(&mut self, session: u32, number: u64) {
        self.arrive_as(session, number, id(number));
    }

    fn arrive_as(&mut self, session: u32, number: u64, id: MessageId) {
        let arrival = LoadArrival {
            kind: self.kind,
            id: Some(id),
            dedup: Some("d"),
            is_recovered: false,
            is_first_connection: true,
        };
        self.ledger.arrived(session, number, arrival, self.now_us + 500);
    }

    fn event(&mut self, session: u32, number: u64) {
        let arrival = LoadArrival::event(true);
        self.ledger.arrived(session, number, arrival, self.now_us + 500);
    }

    /// So many seconds pass, and what is complete and old is forgotten.
    fn let_pass(&mut self, seconds: u64) {
        self.now_us += seconds * 1_000_000;
        self.ledger.retire(self.now_us);
    }

    /// A message that comes to all.
    fn whole(&mut self) -> u64 {
        let number = self.send(LoadKind::Dm);
        self.ack(number);
        (1..4).for_each(|session| self.arrive(session, number));
        number
    }

    fn counts(&mut self) -> LoadCounts {
        self.ledger.finish(self.now_us);
        self.ledger.figures.counts.delivered_kinds()
    }
}

fn id(number: u64) -> MessageId {
    format!("019a0000-0000-7000-8000-{:012x}", number + 1).parse().unwrap()
}

#[test]
fn a_load_without_faults_has_none() {
    let mut bench = Bench::new(false);
    (0..10).for_each(|_| {
        bench.whole();
    });
    assert!(bench.ledger.is_settled());
    let clean = LoadCounts { sent: 10, acked: 10, delivered: 30, ..LoadCounts::default() };
    assert_eq!(bench.counts(), clean);
    assert!(bench.ledger.figures.words.is_empty());
    let latencies = bench.ledger.figures.all.percentiles();
    assert_eq!((latencies.p50_us, latencies.max_us), (500, 500));
}

#[test]
fn a_delivery_that_does_not_come_is_lost() {
    let mut bench = Bench::new(false);
    bench.whole();
    let number = bench.send(LoadKind::Dm);
    bench.ack(number);
    [1, 3].into_iter().for_each(|session| bench.arrive(session, number));
    assert!(!bench.ledger.is_settled());
    assert_eq!(bench.counts().lost, 1);
    assert_eq!(bench.ledger.figures.words, ["lost: send 1 (dm) at user 1, device 0"]);
}

#[test]
fn what_is_not_acknowledged_is_owed_to_none() {
    let mut bench = Bench::new(false);
    let number = bench.send(LoadKind::Dm);
    bench.ledger.answered(number, LoadState::Refused, None, bench.now_us);
    bench.send(LoadKind::Dm);
    let counts = bench.counts();
    assert_eq!((counts.sent, counts.refused, counts.unknown, counts.lost), (2, 1, 1, 0));
}

#[test]
fn a_session_that_is_gone_is_owed_nothing() {
    let mut bench = Bench::new(false);
    let number = bench.send(LoadKind::Dm);
    bench.ack(number);
    bench.arrive(1, number);
    bench.ledger.gone(2);
    bench.let_pass(30);
    assert_eq!((bench.ledger.overdue(), bench.ledger.is_settled()), (1, false));
    bench.ledger.gone(3);
    assert_eq!((bench.ledger.overdue(), bench.ledger.is_settled()), (0, true));
    assert_eq!(bench.counts().lost, 0);
}

#[test]
fn a_delivery_that_comes_twice_is_named_by_its_kind() {
    let mut bench = Bench::new(false);
    let number = bench.whole();
    bench.arrive(2, number);
    let event = bench.send(LoadKind::Topic);
    bench.ledger.answered(event, LoadState::Acked, None, bench.now_us);
    (0..8).for_each(|session| bench.event(session, event));
    bench.event(5, event);
    let counts = bench.counts();
    assert_eq!((counts.repeated, counts.duplicate, counts.lost), (1, 1, 0));
    let words = &bench.ledger.figures.words;
    assert_eq!(words[0], "repeated: send 0 (dm) at user 1, device 0");
    assert_eq!(words[1], "duplicate: send 1 (topic) at user 2, device 1");
}

#[test]
fn one_send_under_two_ids_is_a_duplicate_unless_it_was_tried_again() {
    for (tries, found) in [(1, (0, 1)), (2, (1, 0))] {
        let mut bench = Bench::new(true);
        let number = bench.whole();
        bench.ledger.entry(number).unwrap().tries = tries;
        bench.arrive_as(2, number, id(900));
        let counts = bench.counts();
        assert_eq!((counts.repeated, counts.duplicate), found, "{tries} tries");
    }
}

#[test]
fn swapped_messages_are_overtaken_and_swapped_events_out_of_order() {
    let mut bench = Bench::new(false);
    let [first, second] = [bench.send(LoadKind::Dm), bench.send(LoadKind::Dm)];
    let [third, fourth] = [bench.send(LoadKind::Topic), bench.send(LoadKind::Topic)];
    [first, second].into_iter().for_each(|number| bench.ack(number));
    for session in 1..4 {
        bench.arrive(session, second);
        bench.arrive(session, first);
    }
    for number in [third, fourth] {
        bench.ledger.answered(number, LoadState::Acked, None, bench.now_us);
    }
    for session in 0..8 {
        let pair = if session == 6 { [fourth, third] } else { [third, fourth] };
        pair.into_iter().for_each(|number| bench.event(session, number));
    }
    let counts = bench.counts();
    assert_eq!((counts.overtaken, counts.out_of_order, counts.lost), (3, 1, 0));
}

#[test]
fn ids_that_contradict_answers_or_the_order_of_sends_are_out_of_order() {
    // Two messages have each other's ids at one session.
    let mut bench = Bench::new(false);
    let [first, second] = [bench.send(LoadKind::Dm), bench.send(LoadKind::Dm)];
    [first, second].into_iter().for_each(|number| bench.ack(number));
    bench.arrive_as(1, first, id(second));
    bench.arrive_as(1, second, id(first));
    for (session, number) in [(2, first), (2, second), (3, first), (3, second)] {
        bench.arrive(session, number);
    }
    assert_eq!(bench.counts().out_of_order, 2);

    // The ids go backwards in the answers themselves.
    let mut bench = Bench::new(false);
    for wrong in [2, 1] {
        let number = bench.send(LoadKind::Dm);
        let answer = Some((id(wrong), None));
        bench.ledger.answered(number, LoadState::Acked, answer, bench.now_us);
        (1..4).for_each(|session| bench.arrive_as(session, number, id(wrong)));
    }
    assert_eq!(bench.counts().out_of_order, 1);
}

#[test]
fn a_delivery_to_another_session_is_a_stray() {
    let mut bench = Bench::new(false);
    let number = bench.whole();
    bench.arrive(4, number);
    // A resume brings a sender its own.
    bench.arrive(0, number);
    let counts = bench.counts();
    assert_eq!((counts.stray, counts.delivered), (1, 3));
}

#[test]
fn a_late_delivery_is_one_of_those_that_came() {
    let mut bench = Bench::new(true);
    let number = bench.send(LoadKind::Dm);
    bench.ack(number);
    bench.let_pass(30);
    assert_eq!((bench.ledger.overdue(), bench.ledger.is_settled()), (3, false));
    (1..4).for_each(|session| bench.arrive(session, number));
    bench.ledger.retire(bench.now_us);
    assert_eq!((bench.ledger.overdue(), bench.ledger.len()), (0, 0));
    let counts = bench.counts();
    assert_eq!((counts.late, counts.delivered, counts.lost), (3, 3, 0));
}

#[test]
fn what_is_complete_is_forgotten_and_a_repeat_of_it_still_counts() {
    let mut bench = Bench::new(false);
    let number = bench.whole();
    bench.let_pass(30);
    assert_eq!(bench.ledger.len(), 0);
    bench.arrive(1, number);
    assert_eq!(bench.counts().repeated, 1);
}

#[test]
fn a_repeat_of_a_forgotten_message_is_of_the_kind_that_it_says() {
    let mut bench = Bench::new(false);
    let number = bench.whole();
    bench.let_pass(30);
    bench.kind = LoadKind::Room;
    bench.arrive(1, number);
    assert_eq!(bench.ledger.figures.words, ["repeated: send 0 (room) at user 0, device 1"]);
    assert_eq!(bench.ledger.figures.counts.of(LoadKind::Room).repeated, 1);
}

/// Three sends of a session; the second is answered after a minute.
#[test]
fn the_id_of_a_send_that_is_answered_late_is_compared_too() {
    for (late, found) in [(2, 0), (9, 1)] {
        let mut bench = Bench::new(false);
        let [first, second, third] = [(); 3].map(|()| bench.send(LoadKind::Dm));
        for (number, given) in [(first, 1), (third, 3)] {
            let answer = Some((id(given), None));
            bench.ledger.answered(number, LoadState::Acked, answer, bench.now_us);
            (1..4).for_each(|session| bench.arrive_as(session, number, id(given)));
        }
        bench.let_pass(60);
        bench.ledger.answered(second, LoadState::Acked, Some((id(late), None)), bench.now_us);
        (1..4).for_each(|session| bench.arrive_as(session, second, id(late)));
        bench.ledger.retire(bench.now_us);
        assert_eq!((bench.ledger.len(), bench.counts().out_of_order), (0, found), "{late}");
    }
}

#[test]
fn events_that_are_missed_by_sessions_that_come_back_are_not_lost() {
    for (comes_back, lost, missed) in [(true, 0, 1), (false, 1, 0)] {
        let mut bench = Bench::new(comes_back);
        let event = bench.send(LoadKind::Topic);
        bench.ledger.answered(event, LoadState::Acked, None, bench.now_us);
        (0..7).for_each(|session| bench.event(session, event));
        assert_eq!(bench.counts().lost, lost);
        assert_eq!(bench.ledger.figures.sessions.missed, missed);
    }
}

#[test]
fn what_comes_behind_the_end_is_neither_lost_nor_doubled_again() {
    let mut bench = Bench::new(false);
    let whole = bench.whole();
    let missed = bench.send(LoadKind::Dm);
    bench.ack(missed);
    assert_eq!(bench.counts().lost, 3);
    [whole, missed].into_iter().for_each(|number| bench.arrive(1, number));
    bench.event(1, whole);
    let counts = bench.ledger.figures.counts.delivered_kinds();
    assert_eq!((counts.lost, counts.repeated, counts.duplicate), (3, 0, 0));
}
