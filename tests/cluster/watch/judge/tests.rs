//! A judge that cannot find anything proves nothing: logs that are good, and the same logs with
//! one thing wrong each.

use narrowcast::domain::Micros;
use serde_json::json;

use super::*;

const PHONE: DeviceId = DeviceId(0);
const TABLET: DeviceId = DeviceId(1);
const BOB: DeviceId = DeviceId(2);
const CAROL: DeviceId = DeviceId(3);

const DM: &str = "dm.alice.bob";

fn id(number: u64) -> MessageId {
    MessageId::new(Micros(1_000_000 + number), 0)
}

fn nonce(number: u64) -> Nonce {
    Nonce::new(&format!("n-{number}"))
}

fn dedup(number: u64) -> Box<str> {
    format!("d-{number}").into()
}

/// A log of Alice's phone and tablet, Bob's one device and Carol's, written by hand: a line a
/// second.
struct Story {
    log: Log,
}

impl Story {
    /// Everybody holds a first cursor.
    fn begin() -> Self {
        let mut log = Log::new();
        for user in ["alice", "alice", "bob", "carol"] {
            log.add_device(user);
        }
        let mut story = Self { log };
        for device in [PHONE, TABLET, BOB, CAROL] {
            story.note(device, Fact::Connected).held(device, "first");
        }
        story
    }

    fn note(&mut self, device: DeviceId, fact: Fact) -> &mut Self {
        self.log.note_at(Duration::from_secs(self.log.lines.len() as u64), device, fact);
        self
    }

    fn told(&mut self, device: DeviceId, cursor: &str, complete: bool, gaps: &[&str]) -> &mut Self {
        let gaps = gaps.iter().map(ToString::to_string).collect();
        let claim = Claim { complete, gaps };
        self.note(device, Fact::Held { cursor: Some(Cursor::new(cursor)), claim })
    }

    fn held(&mut self, device: DeviceId, cursor: &str) -> &mut Self {
        self.told(device, cursor, true, &[])
    }

    fn sends(&mut self, device: DeviceId, number: u64) -> &mut Self {
        let (nonce, body) = (nonce(number), json!(number));
        self.note(device, Fact::Sending { nonce, conversation: DM.into(), body })
    }

    fn acked(&mut self, device: DeviceId, number: u64) -> &mut Self {
        self.note(device, Fact::Acked { nonce: nonce(number), id: id(number) })
    }

    /// A message of Alice's.
    fn saw(&mut self, device: DeviceId, number: u64) -> &mut Self {
        self.saw_as(device, id(number), number, DM)
    }

    fn saw_as(&mut self, device: DeviceId, id: MessageId, number: u64, dm: &str) -> &mut Self {
        let (conversation, from) = (dm.to_owned(), "alice".to_owned());
        let (dedup, body) = (Some(dedup(number)), json!(number));
        self.note(device, Fact::Saw { id, conversation, from, dedup, body })
    }

    /// Alice's phone sends, and everybody who must see it does.
    fn message(&mut self, number: u64) -> &mut Self {
        self.sends(PHONE, number).acked(PHONE, number).saw(TABLET, number).saw(BOB, number)
    }

    /// Somebody came with the newest cursor of a device, and was given these.
    fn returns(&mut self, device: DeviceId, complete: bool, ids: &[u64]) -> &mut Self {
        let held = Judge::new(&self.log).cursors(device).pop().expect("it has one");
        let claim = Claim { complete, gaps: Vec::new() };
        let ids = ids.iter().map(|number| id(*number)).collect();
        self.log.returns.push(Return { device, held, claim, ids });
        self
    }

    fn verdict(&self) -> Verdict {
        Judge::new(&self.log).verdict()
    }

    fn assert_finds(&self, findings: &[Finding]) {
        assert_eq!(self.verdict().findings, findings, "{:#?}", self.log.lines);
    }
}

#[test]
fn finds_nothing_where_all_is_well() {
    let mut story = Story::begin();
    story.message(1).message(2).held(BOB, "second").message(3);
    story.returns(BOB, true, &[3]).returns(TABLET, true, &[1, 2, 3]);
    story.assert_finds(&[]);
    let figures = story.verdict().figures;
    assert_eq!((figures.acked, figures.live, figures.resumed), (3, 6, 0));
    assert_eq!((figures.cursors, figures.returns, figures.excused), (5, 2, 0));
    story.verdict().assert_proven();
}

#[test]
fn i1_a_message_that_a_device_did_not_see() {
    for (blind, seeing) in [(TABLET, BOB), (BOB, TABLET)] {
        let mut story = Story::begin();
        story.sends(PHONE, 1).acked(PHONE, 1).saw(seeing, 1);
        assert!(!Judge::new(&story.log).is_whole());
        story.assert_finds(&[Finding::Missing { device: blind, id: id(1) }]);
        story.saw(blind, 1).assert_finds(&[]);
    }
}

#[test]
fn i1_what_is_unknown_or_was_sent_before_the_first_cursor_is_owed_to_nobody() {
    let mut story = Story::begin();
    story.sends(PHONE, 1).note(PHONE, Fact::Unknown);
    let late = story.log.add_device("bob");
    story.note(late, Fact::Connected).sends(PHONE, 2).held(late, "first");
    story.acked(PHONE, 2).saw(TABLET, 2).saw(BOB, 2).assert_finds(&[]);
    story.message(3).assert_finds(&[Finding::Missing { device: late, id: id(3) }]);
}

#[test]
fn i1_a_device_that_is_sent_away() {
    let mut story = Story::begin();
    story.note(BOB, Fact::Ended { why: "4001".into() });
    story.assert_finds(&[Finding::Ended { device: BOB, why: "4001".into() }]);
}

#[test]
fn an_excuse_is_for_its_conversation_and_for_what_was_before_it() {
    for (complete, gaps, excuses) in [
        (true, &[DM][..], true),
        (false, &[DM][..], true),
        (false, &[][..], true),
        (true, &[][..], false),
        (false, &["dm.alice.carol"][..], false),
    ] {
        let mut story = Story::begin();
        story.sends(PHONE, 1).acked(PHONE, 1).saw(TABLET, 1).told(BOB, "second", complete, gaps);
        let verdict = story.verdict();
        assert_eq!(verdict.findings.is_empty(), excuses, "{complete} {gaps:?}");
        assert_eq!(verdict.figures.excused, usize::from(excuses));
        story.sends(PHONE, 2).acked(PHONE, 2).saw(TABLET, 2);
        let after = Finding::Missing { device: BOB, id: id(2) };
        assert!(story.verdict().findings.contains(&after), "it came after the excuse");
    }
}

#[test]
#[should_panic(expected = "1 messages had to be excused")]
fn an_excuse_is_no_proof() {
    let mut story = Story::begin();
    story.sends(PHONE, 1).acked(PHONE, 1).saw(TABLET, 1).told(BOB, "second", false, &[]);
    story.verdict().assert_proven();
}

#[test]
#[should_panic(expected = "I4: no device ever held a cursor")]
fn nothing_is_proven_without_a_return() {
    Story::begin().message(1).verdict().assert_proven();
}

#[test]
fn i2_a_message_that_is_shown_again() {
    let mut story = Story::begin();
    story.message(1).note(BOB, Fact::Lost).note(BOB, Fact::Connected).saw(BOB, 1);
    story.assert_finds(&[Finding::Twice { device: BOB, id: id(1) }]);
}

#[test]
fn i3_a_later_send_with_a_smaller_id() {
    let mut story = Story::begin();
    story.message(5).message(4);
    let disorder = Finding::Disorder { first: id(5), second: id(4) };
    story.assert_finds(&[disorder, Finding::Early { id: id(4), seen: id(5) }]);
}

#[test]
fn i3_sends_that_overtake_each_other_on_the_way() {
    let mut story = Story::begin();
    story.sends(PHONE, 5).sends(PHONE, 4).acked(PHONE, 4).acked(PHONE, 5);
    story.saw(TABLET, 4).saw(TABLET, 5).saw(BOB, 4).saw(BOB, 5);
    story.assert_finds(&[Finding::Disorder { first: id(5), second: id(4) }]);
}

#[test]
fn i3_a_reply_that_sorts_before_what_it_answers() {
    let mut story = Story::begin();
    story.message(5).sends(TABLET, 4).acked(TABLET, 4).saw(PHONE, 4).saw(BOB, 4);
    story.assert_finds(&[Finding::Early { id: id(4), seen: id(5) }]);
}

#[test]
fn i4_a_hole_below_a_cursor() {
    let mut story = Story::begin();
    // Bob is given a cursor above a message that he sees only later.
    story.sends(PHONE, 1).acked(PHONE, 1).saw(TABLET, 1).held(BOB, "second").saw(BOB, 1);
    let held = story.log.lines.len() - 2;
    story.returns(BOB, true, &[]).assert_finds(&[Finding::Hole { device: BOB, held, id: id(1) }]);
    story.log.returns.clear();
    story.returns(BOB, true, &[1]).assert_finds(&[]);
    story.log.returns.clear();
    story.returns(BOB, false, &[]).assert_finds(&[]);
    assert_eq!(story.verdict().figures.excused, 1);
}

#[test]
fn i4_a_hole_above_a_cursor() {
    let mut story = Story::begin();
    story.held(BOB, "second").message(1).message(2);
    let held = story.log.lines.len() - 9;
    story.returns(BOB, true, &[2]).assert_finds(&[Finding::Hole { device: BOB, held, id: id(1) }]);
}

#[test]
fn i4_what_was_named_with_a_cursor_or_before_it_is_no_hole() {
    let mut story = Story::begin();
    story.sends(PHONE, 1).acked(PHONE, 1).saw(TABLET, 1).told(BOB, "second", true, &[DM]);
    story.returns(BOB, true, &[]).assert_finds(&[]);
    story.held(BOB, "third").returns(BOB, true, &[]).assert_finds(&[]);
}

#[test]
fn i4_a_device_has_what_it_sent_before_a_cursor_and_gets_what_it_sent_after() {
    let mut story = Story::begin();
    story.sends(PHONE, 1).held(PHONE, "second").acked(PHONE, 1).saw(TABLET, 1).saw(BOB, 1);
    let held = story.log.lines.len() - 4;
    story.returns(PHONE, true, &[]).assert_finds(&[]);
    story.message(2);
    story.assert_finds(&[Finding::Hole { device: PHONE, held, id: id(2) }]);
}

#[test]
fn i5_a_message_that_somebody_else_sees() {
    let mut story = Story::begin();
    story.message(1).saw(CAROL, 1);
    story.assert_finds(&[Finding::Foreign { device: CAROL, id: id(1) }]);
}

#[test]
fn i5_a_message_that_nobody_sent() {
    let mut story = Story::begin();
    story.saw(BOB, 1).assert_finds(&[Finding::Stranger { device: BOB, id: id(1) }]);
}

#[test]
fn i10_a_message_that_is_not_what_was_sent() {
    let altered =
        |story: &Story| story.assert_finds(&[Finding::Altered { device: BOB, body: json!(1) }]);
    let sight = |from: &str, dedup| Fact::Saw {
        id: id(1),
        conversation: DM.into(),
        from: from.into(),
        dedup,
        body: json!(1),
    };
    for wrong in [sight("carol", Some(dedup(1))), sight("alice", None)] {
        let mut story = Story::begin();
        story.sends(PHONE, 1).note(PHONE, Fact::Unknown).note(BOB, wrong);
        altered(&story);
    }
    let mut story = Story::begin();
    story.sends(PHONE, 1).note(PHONE, Fact::Unknown).saw(TABLET, 1);
    story.note(BOB, sight("alice", Some(dedup(2))));
    altered(&story);
    let mut story = Story::begin();
    story.sends(PHONE, 1).note(PHONE, Fact::Unknown).saw_as(BOB, id(1), 1, "dm.bob.carol");
    altered(&story);
}

#[test]
fn i10_a_send_that_is_two_messages() {
    let mut story = Story::begin();
    story.message(1).saw_as(BOB, id(2), 1, DM);
    story.assert_finds(&[Finding::Altered { device: BOB, body: json!(1) }]);
}

/// An earlier try whose outcome was unknown turns up: the later one counts.
#[test]
fn an_earlier_try_that_turns_up_is_no_finding() {
    let mut story = Story::begin();
    story.sends(PHONE, 2).saw_as(BOB, id(1), 2, DM).acked(PHONE, 2);
    story.saw(TABLET, 2).saw(BOB, 2).message(3);
    story.assert_finds(&[]);
}

#[test]
fn i9_is_counted_from_the_end_of_the_fault() {
    let mut story = Story::begin();
    story.message(1).sends(PHONE, 2).acked(PHONE, 2).saw(TABLET, 2);
    story.log.healed = Some(Duration::from_secs(story.log.lines.len() as u64));
    story.message(3).saw(BOB, 2).message(4);
    let figures = story.verdict().figures;
    assert_eq!((figures.late, figures.healing), (1, Duration::from_secs(4)));
}
