//! What a session counts until it is given back.

use super::*;

#[test]
fn a_send_gives_its_permit_back() {
    on_event_loop(async {
        let session = Peers::new().await.session("a").await;
        let permit = session.begin_send().unwrap();
        assert!(session.is_sending());
        assert_eq!(session.begin_send().unwrap_err(), 1, "the bound");
        drop(permit);
        assert!(!session.is_sending());
        assert!(session.begin_send().is_ok());
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
