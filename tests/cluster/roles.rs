//! Roles of members who are added on several nodes at once.

use serde_json::{Value, json};

use super::rooms::{backend, room};
use crate::harness::Demo;

/// How often two nodes add a user at the same time.
const ROUNDS: usize = 40;

/// The role of a user, as the list of the room's members tells.
async fn role_of(url: &str, user: &str) -> Value {
    let (status, page) = backend(url, "GET", "/v1/rooms/r/members?limit=1000", &Value::Null).await;
    assert_eq!(status, 200, "{page}");
    let members = page["members"].as_array().expect("a list");
    let member = members.iter().find(|member| member["user"] == user);
    member.unwrap_or_else(|| panic!("{user} is not in {page}"))["role"].clone()
}

/// One node adds an owner, and another the same user without a role; or the user was there before,
/// as an owner, and left.
#[tokio::test]
async fn of_two_adds_at_once_the_role_that_one_names_stays() {
    let demo = Demo::start(2, &[], &[]);
    let [here, there] = [0, 1].map(|node| demo.nodes[node].url.as_str());
    room(here, "r", "all", &[]).await;
    let (named, unnamed) = (json!({"role": "owner"}), json!({}));
    for round in 0..ROUNDS {
        let user = format!("u{}", round / 2);
        let path = format!("/v1/rooms/r/members/{user}");
        let (one, other) = tokio::join!(
            backend(here, "PUT", &path, &named),
            backend(there, "PUT", &path, &unnamed),
        );
        assert_eq!((one.0, other.0), (200, 200), "{} {}", one.1, other.1);
        assert_eq!(role_of(here, &user).await, "owner", "round {round}");
        assert_eq!(backend(there, "DELETE", &path, &Value::Null).await.0, 204);
        let alone = backend(here, "PUT", &path, &unnamed).await;
        assert_eq!(alone.1["role"], "member", "who left was an owner once: {}", alone.1);
        assert_eq!(backend(there, "DELETE", &path, &Value::Null).await.0, 204);
    }
}
