//! Shards whose primary sentinels name.

use super::*;
use crate::redis::ShardAddress;

const WHOLE: &str = r#"{ name = "r1", username = "bob", password = "hunter2 @:/#%", database = 3,
    sentinel = { master = "mymaster", nodes = ["10.0.0.1", "s2.example:5000", "[::1]:26379"],
        username = "eve", password = "hunter3" } }"#;

fn shards(list: &str) -> String {
    format!("layouts.a.redis = [{}]", list.replace('\n', ""))
}

fn sentinel(keys: &str) -> String {
    shards(&format!(r#"{{ name = "r1", sentinel = {{ master = "m", nodes = ["h"] }}, {keys} }}"#))
}

/// An item with these keys of its sentinels.
fn of_sentinels(keys: &str) -> String {
    shards(&format!(r#"{{ name = "r1", sentinel = {{ {keys} }} }}"#))
}

#[test]
fn an_item_gives_the_sentinels_and_how_to_get_into_them_and_the_primary() {
    let config = load(&shards(WHOLE)).unwrap();
    let address = &config.layouts.all[0].shards[0].address;
    assert_eq!(address.to_string(), "mymaster at 10.0.0.1:26379, s2.example:5000, [::1]:26379");
    let ShardAddress::Sentinels(group) = address else { panic!("{address:?}") };
    let secret = |address: &crate::redis::RedisAddress| {
        String::from_utf8(address.secret().expect("a password").to_vec()).unwrap()
    };
    let (primary, own) = (secret(&group.options().primary), secret(&group.options().sentinel));
    assert_eq!(primary, "redis://bob:hunter2%20%40%3A%2F%23%25@sentinel.invalid:26379/3");
    assert_eq!(own, "redis://eve:hunter3@sentinel.invalid:26379/0");
}

#[test]
fn an_item_prints_as_it_was_given_and_masked() {
    let printed = load(&shards(WHOLE)).unwrap().print();
    assert!(!printed.contains("hunter"), "{printed}");
    let again = load(&printed.replace("\"MASKED\"", "\"x\"").replace(KEY_MASK, KEY)).unwrap();
    assert_eq!(again.print(), printed);
    let debugged = format!("{:?}", load(&shards(WHOLE)).unwrap());
    assert!(!debugged.contains("hunter"), "{debugged}");
}

/// The key that signs tokens prints masked too, and has to be long.
const KEY_MASK: &str = "secret = \"x\"";
const KEY: &str = "secret = \"long-long-long-long-long-long-long\"";

#[test]
fn mistakes_name_the_key_and_its_bound() {
    let many: Vec<String> = (0..17).map(|number| format!("\"h{number}\"")).collect();
    let many = format!("master = \"m\", nodes = [{}]", many.join(", "));
    let long = format!("password = \"{}\"", "x".repeat(4097));
    for (text, mistake) in [
        (of_sentinels(r#"nodes = ["h"]"#), "sentinel.master: missing"),
        (of_sentinels(r#"master = "m""#), "sentinel.nodes: missing"),
        (of_sentinels(r#"master = "m", nodes = []"#), "sentinel.nodes: 1 to 16 are required, 0"),
        (of_sentinels(&many), "sentinel.nodes: 1 to 16 are required, 17"),
        (
            of_sentinels(r#"master = "a b", nodes = ["h"]"#),
            "sentinel.master = \"a b\": 1 to 128 of",
        ),
        (
            of_sentinels(r#"master = "m", nodes = ["redis://h"]"#),
            "sentinel.nodes[0] = \"redis://h\": host or host:port is required",
        ),
        (
            of_sentinels(r#"master = "m", nodes = ["h", "h:26379"]"#),
            "sentinel.nodes: node \"h:26379\" is given twice",
        ),
        (
            of_sentinels(r#"master = "m", nodes = ["h"], ca_file = "/dev/null""#),
            "sentinel.ca_file: tls = true is required",
        ),
        (
            of_sentinels(r#"master = "m", nodes = ["h"], mster = "m""#),
            "sentinel.mster: unknown key; did you mean master?",
        ),
        (sentinel("tls = true"), "sentinel.tls: missing, since the servers have tls = true"),
        (sentinel(r#"url = "redis://h""#), "url: the sentinels name the server"),
        (sentinel(r#"password = """#), "password: 1 to 4096 bytes are required, not 0"),
        (sentinel(&long), "password: 1 to 4096 bytes are required, not 4097"),
        (sentinel("database = 65536"), "database = 65536: an integer, 0 to 65535"),
        (sentinel("tls = 1"), "tls = 1: true or false"),
        (sentinel(r#"username = "bob""#), "password_file: missing, since username is given"),
    ] {
        let all = mistakes(load(&text));
        let start = format!("layouts.a.redis[0].{mistake}");
        assert!(all.iter().any(|one| one.starts_with(&start)), "{text}: {all:#?}");
    }
}

#[test]
fn sentinels_without_tls_beside_servers_with_it_are_said_so() {
    for (servers, sentinels) in [("true", "false"), ("true", "true"), ("false", "true")] {
        let item = format!(
            r#"{{ name = "r", tls = {servers}, sentinel = {{ master = "m", nodes = ["h"], tls = {sentinels} }} }}"#
        );
        assert_eq!(mistakes(load(&shards(&item))), [""; 0], "{item}");
    }
}

#[test]
fn one_master_is_one_shard() {
    let item = |name: &str, master: &str, nodes: &str| {
        format!("{{ name = {name:?}, sentinel = {{ master = {master:?}, nodes = [{nodes}] }} }}")
    };
    let first = item("r1", "m", r#""h1", "h2""#);
    let twin = item("r2", "m", r#""h2:26379", "h3""#);
    let all = mistakes(load(&shards(&format!("{first}, {twin}"))));
    let wanted = "layouts.a.redis[1].sentinel = \"m at h2:26379, h3:26379\": a server other than \
                  that of layouts.a.redis[0], \"r1\", is required";
    assert!(all.len() == 1 && all[0].starts_with(wanted), "{all:#?}");
    for other in [item("r2", "n", r#""h1""#), item("r2", "m", r#""h3""#)] {
        assert_eq!(mistakes(load(&shards(&format!("{first}, {other}")))), [""; 0], "{other}");
    }
}
