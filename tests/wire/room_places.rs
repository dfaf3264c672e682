//! Who may fill the places that a user has for rooms.

use serde_json::{Value, json};

use super::http::{ask, bearing, refused};
use super::tokens::token;
use super::{WORKERS, node_with, url};
use crate::cluster::rooms::{backend, room};

/// Makes a room as a user: its id.
async fn made_by(node: &str, user: &str) -> String {
    let answer = ask(node, &bearing(&token(user), "POST", "/v1/rooms", "{}")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made: Value = serde_json::from_str(&answer.body).expect("an object");
    made["id"].as_str().expect("an id").to_owned()
}

/// Adds or removes bob as a user.
fn about_bob(method: &str, room: &str, by: &str) -> String {
    let body = if method == "PUT" { "{}" } else { "" };
    bearing(&token(by), method, &format!("/v1/rooms/{room}/members/bob"), body)
}

#[tokio::test]
async fn a_user_fills_so_many_places_of_another_and_those_left_count() {
    for workers in WORKERS {
        let settings = [("POLICY__CREATE", "anyone"), ("LIMITS__PLACES_BY_ADDER", "2")];
        let demo = node_with(workers, &settings);
        let node = url(&demo);
        let mut eves = Vec::new();
        for _ in 0..3 {
            eves.push(made_by(node, "eve").await);
        }
        for room in &eves[..2] {
            assert_eq!(ask(node, &about_bob("PUT", room, "eve")).await.status, 200);
        }
        let too_many =
            "you added the user to 2 rooms, at most 2 are allowed (`limits.places_by_adder`)";
        let third = about_bob("PUT", &eves[2], "eve");
        refused(node, &third, 409, "limit_reached", too_many).await;
        let many = format!("/v1/rooms/{}/members", eves[2]);
        let members = json!({"members": [{"user": "bob"}, {"user": "zoe"}]}).to_string();
        let answer = ask(node, &bearing(&token("eve"), "PUT", &many, &members)).await;
        let outcomes: Value = serde_json::from_str(&answer.body).expect("an object");
        assert_eq!(outcomes["members"][0]["code"], "limit_reached", "{outcomes}");
        assert_eq!(outcomes["members"][1]["role"], "member", "{outcomes}");

        assert_eq!(ask(node, &about_bob("DELETE", &eves[0], "bob")).await.status, 204);
        refused(node, &third, 409, "limit_reached", "counts for 35 days").await;
        let again = about_bob("PUT", &eves[0], "eve");
        assert_eq!(ask(node, &again).await.status, 200, "the place is there already");

        let zoes = made_by(node, "zoe").await;
        assert_eq!(ask(node, &about_bob("PUT", &zoes, "zoe")).await.status, 200);
        for number in 0..3 {
            made_by(node, "bob").await;
            room(node, &format!("service-{number}"), "all", &["bob"]).await;
        }
        let (status, inbox) = backend(node, "GET", "/v1/users/bob/inbox", &Value::Null).await;
        let rooms = inbox["conversations"].as_array().map(Vec::len);
        assert_eq!((status, rooms), (200, Some(9)), "{inbox}");
    }
}
