//! What the sessions of a user share in reads of the store.

use super::*;
use crate::watermark::WatermarkState;

fn reading() -> CatchUpRead {
    CatchUpRead::begin(Micros(7), WatermarkState::default().look(), true)
}

fn leads(share: Option<LoadShare>) -> LoadGuard {
    match share {
        Some(LoadShare::Leads(guard)) => guard,
        other => panic!("{other:?}"),
    }
}

fn follows(share: Option<LoadShare>) -> Rc<RoomLoad> {
    match share {
        Some(LoadShare::Follows(load)) => load,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sessions_of_a_user_share_a_load_until_it_ends() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let [one, other] = [peers.session("a").await, peers.session("b").await];
        assert!(hub.share_load(&one.user).is_none(), "there are no sessions");
        hub.join(&one);
        hub.join(&other);
        let guard = leads(hub.share_load(&one.user));
        let shared = follows(hub.share_load(&one.user));
        drop(leads(hub.share_load(&other.user)));
        assert!(hub.is_loading(&one.user, &guard));
        hub.finish_load(&one.user, guard, LoadEnd::Read(reading()));
        assert!(matches!(shared.end().await, LoadEnd::Read(_)));
        let guard = leads(hub.share_load(&one.user));
        hub.finish_load(&one.user, guard, LoadEnd::Failed);
        let guard = leads(hub.share_load(&one.user));
        let shared = follows(hub.share_load(&one.user));
        drop(guard);
        assert!(matches!(shared.end().await, LoadEnd::Abandoned), "the reading session may leave");
        leads(hub.share_load(&one.user));
    });
}

/// Without sessions here no notices were received, so an earlier read may lack them.
#[test]
fn a_load_ends_with_the_last_session_of_its_user() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let [first, second] = [peers.session("a").await, peers.session("a").await];
        hub.join(&first);
        let early = leads(hub.share_load(&first.user));
        hub.leave(&first);
        assert!(!hub.is_loading(&first.user, &early));
        hub.join(&second);
        let guard = leads(hub.share_load(&second.user));
        assert!(hub.is_loading(&second.user, &guard) && !hub.is_loading(&second.user, &early));
    });
}

#[test]
fn a_user_has_so_many_reads_whatever_his_sessions() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let mut places = Vec::new();
        for _ in 0..USER_READS_MAX {
            let session = peers.session("a").await;
            hub.join(&session);
            assert_eq!(hub.op_limit(&session, Lane::Reads), None);
            places.push(hub.begin_op(&session, Lane::Reads));
            assert_eq!(hub.op_limit(&session, Lane::Reads), Some(OpLimit::Session));
        }
        let [more, other] = [peers.session("a").await, peers.session("b").await];
        hub.join(&more);
        hub.join(&other);
        let by_user = Some(OpLimit::User(USER_READS_MAX));
        assert_eq!(hub.op_limit(&more, Lane::Reads), by_user);
        assert_eq!(hub.op_limit(&other, Lane::Reads), None, "another user has a separate bound");
        places.pop();
        assert_eq!(hub.op_limit(&more, Lane::Reads), None, "a permit was given back");
    });
}
