//! What a session counts until it is given back.

use super::*;

#[test]
fn a_send_gives_its_permit_back() {
    on_event_loop(async {
        let (hub, session) = (Hub::new(16), Peers::new().await.session("a").await);
        let permit = hub.begin_op(&session, Lane::Writes);
        assert!(session.is_sending());
        assert_eq!(hub.op_limit(&session, Lane::Writes), Some(OpLimit::Session), "the bound");
        assert_eq!(hub.op_limit(&session, Lane::Marks), None, "marks have a bound of their own");
        drop(permit);
        assert!(!session.is_sending());
        assert_eq!(hub.op_limit(&session, Lane::Writes), None);
    });
}

#[test]
fn patterns_wait_until_their_subscribe_is_over() {
    on_event_loop(async {
        let session = Peers::new().await.session("a").await;
        let (two, three) = (session.begin_wait(2), session.begin_wait(3));
        assert_eq!(session.awaited(), 5);
        drop(two);
        assert_eq!(session.awaited(), 3);
        drop(three);
        assert_eq!(session.awaited(), 0);
    });
}
