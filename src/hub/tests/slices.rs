//! Deliveries to many sessions in several steps: changes in between count.

use super::*;

impl Twins {
    /// Returns whether a session is there and is reached by its user's key, or by a pattern that
    /// such a copy serves.
    fn holds(&self, session: &Rc<Session>, subject: &Subject, via: CopyKind) -> bool {
        let held = self.sessions.values().find(|(known, _)| Rc::ptr_eq(known, session));
        held.is_some_and(|(_, held)| {
            let serves = |p: &usize| match (via, pattern(PATTERNS[*p]).scope()) {
                (CopyKind::Here, _) => true,
                (CopyKind::Bucket, scope) => scope != PatternScope::Wide,
                (CopyKind::Tap, scope) => scope == PatternScope::Wide,
            };
            let matches = |p: &usize| pattern(PATTERNS[*p]).matches(subject);
            subject.key() == session.key() || held.keys().any(|p| matches(p) && serves(p))
        })
    }
}

/// Delivers a copy of an event session by session, with steps in between, beside the naive lists.
async fn hand_out(before: &[Step], between: &[Step], about: &str, via: CopyKind) {
    let (hub, peers) = (Hub::new(16), Peers::new().await);
    let mut twins = Twins { hub, peers, sessions: HashMap::new(), wanted: HashSet::new() };
    for step in before {
        twins.take(step).await;
    }
    let subject = Subject::parse(about).unwrap();
    let event = envelope(EnvelopeKind::Event, &[subject.key().as_str()], about);
    let audience = twins.hub.audience(&event, via, None);
    let mut between = between.iter();
    for (number, slice) in audience.chunks(1).enumerate() {
        let waiting = slice[0].link().bytes();
        let delivered = match number {
            0 => twins.hub.deliver_all(slice, &event),
            _ => twins.hub.deliver_rest(slice, &event, via),
        };
        let is_recipient = number == 0 || twins.holds(&slice[0], &subject, via);
        let handed = slice[0].link().bytes() > waiting;
        assert_eq!(
            (delivered.handed, handed),
            (u64::from(is_recipient), is_recipient),
            "number {number}, {via:?}"
        );
        for step in between.by_ref().take(2) {
            twins.take(step).await;
        }
    }
}

#[test]
fn who_left_or_unsubscribed_before_his_turn_gets_nothing() {
    let mut runner = TestRunner::new(Config::with_cases(64));
    let steps = || prop::collection::vec(any_step(), 1..24);
    let copy = (prop::sample::select(&SUBJECTS[..]), any_via());
    runner
        .run(&(steps(), steps(), copy), |(before, between, (about, via))| {
            on_event_loop(hand_out(&before, &between, about, via));
            Ok(())
        })
        .unwrap();
}

fn any_via() -> impl Strategy<Value = CopyKind> {
    prop::sample::select(&[CopyKind::Here, CopyKind::Bucket, CopyKind::Tap][..])
}

#[test]
fn who_left_a_room_before_his_turn_gets_nothing_of_it() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let (ann, bob) = (peers.session("ann").await, peers.session("bob").await);
        for session in [&ann, &bob] {
            hub.join(session);
            hub.apply_membership(
                &membership("r", session.user.as_str(), true, 10, 10),
                KnowledgeSource::First,
            );
        }
        let news = membership("r", "eve", true, 20, 20);
        let event = envelope(EnvelopeKind::Event, &["room.r"], "room.r");
        let told = envelope(EnvelopeKind::Membership, &["room.r"], &format!("{news} ."));
        let all = [room_message(30), event, told];
        let audiences = all.clone().map(|envelope| hub.audience(&envelope, CopyKind::Here, None));
        assert!(audiences.iter().all(|audience| audience.len() == 2));
        hub.apply_membership(&membership("r", "bob", false, 10, 40), KnowledgeSource::News);
        for (envelope, audience) in all.iter().zip(&audiences) {
            assert_eq!(
                hub.deliver_rest(audience, envelope, CopyKind::Here).handed,
                1,
                "{envelope:?}"
            );
        }
        assert_eq!(bob.link().bytes(), 0);
    });
}

#[test]
fn those_who_are_owed_a_cursor_are_looked_at_once_each_time() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let numbers = |due: &[Rc<Session>]| due.iter().map(|it| it.number).collect::<Vec<_>>();
        for user in ["a", "b", "c"] {
            let session = peers.session(user).await;
            hub.join(&session);
            hub.mark_cursor_due(&session);
            hub.mark_cursor_due(&session);
        }
        assert!(hub.take_due(9).is_empty(), "the watermark has not moved");
        hub.call_cursors_due();
        let first = hub.take_due(2);
        assert_eq!(numbers(&first), [1, 2]);
        let late = peers.session("d").await;
        hub.join(&late);
        hub.mark_cursor_due(&late);
        first.into_iter().for_each(|session| hub.requeue(session));
        assert_eq!(numbers(&hub.take_due(2)), [3], "it got no cursor and waits");
        assert!(hub.take_due(2).is_empty());
        hub.call_cursors_due();
        assert_eq!(numbers(&hub.take_due(9)), [4, 1, 2]);
    });
}
