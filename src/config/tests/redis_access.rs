//! What connections to Redis need beyond the URLs: for all shards, or for one.

use super::*;
use crate::redis::ShardAddress;

/// A file with a password.
fn secret() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    file
}

fn shards(items: &str) -> String {
    format!("layouts.a.redis = [{items}]\n")
}

/// A layout whose one shard has this URL and these keys.
fn one(url: &str, keys: &str) -> String {
    shards(&format!("{{ name = \"r\", url = {url:?}{keys} }}"))
}

#[test]
fn an_item_is_as_all_shards_unless_it_says_otherwise() {
    let (shared, own) = (secret(), secret());
    let text = shards(&format!(
        "{{ name = \"r1\", url = \"redis://h1\" }}, \
         {{ name = \"r2\", url = \"rediss://h2\", password_file = {:?}, server_name = \"b\" }}, \
         {{ name = \"r3\", url = \"redis://:pw@h3\", username = \"\", password_file = \"\" }}",
        own.path()
    )) + &format!("[redis]\nusername = \"u\"\npassword_file = {:?}\n", shared.path());
    let config = load(&text).unwrap();
    let access = |place: usize| match &config.published().shards[place].address {
        ShardAddress::Server(address) => address.access().clone(),
        other @ ShardAddress::Sentinels(_) => panic!("{other} is no server"),
    };
    let all = access(0);
    assert_eq!(all, config.layouts.access);
    assert_eq!(all.username.as_deref(), Some("u"));
    assert_eq!(all.password(), Ok(Some("hunter2".to_owned())), "the line break is none of it");
    assert_eq!(access(1).username.as_deref(), Some("u"));
    assert_eq!(access(1).password_file.as_deref(), Some(own.path()));
    assert_eq!(access(1).server_name.as_deref(), Some("b"));
    assert_eq!((access(2).username, access(2).password_file), (None, None));
    let printed = config.print();
    let unmasked = printed.replace(":MASKED@", ":pw@").replace("MASKED", &"k".repeat(32));
    let again = load(&unmasked).unwrap();
    assert_eq!(again.print(), printed);
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let file = secret();
    let path = format!("{:?}", file.path());
    let both = "layouts.a.redis[0].url: a URL without user and password is required, since \
                password_file is given";
    let tls = "a URL with rediss:// is required beside it";
    for (text, start) in [
        (one("redis://:pw@h", &format!(", password_file = {path}")), both.to_owned()),
        (one("redis://:pw@h", "") + &format!("redis.password_file = {path}"), both.to_owned()),
        (
            "redis.username = \"u\"".to_owned(),
            "redis.password_file: missing, since username is given".to_owned(),
        ),
        (
            one("redis://h", ", username = \"u\""),
            "layouts.a.redis[0].password_file: missing, since username is given".to_owned(),
        ),
        (
            format!("redis.cert_file = {path}"),
            "redis.key_file: missing, since cert_file is given".to_owned(),
        ),
        (
            format!("redis.key_file = {path}"),
            "redis.cert_file: missing, since key_file is given".to_owned(),
        ),
        (
            one("redis://h", ", server_name = \"b\""),
            format!("layouts.a.redis[0].server_name: {tls}"),
        ),
        (
            "redis.server_name = \"a b\"".to_owned(),
            "redis.server_name = \"a b\": a DNS name or an IP address is required".to_owned(),
        ),
        (
            one("redis://h", "") + &format!("redis.ca_file = {path}"),
            format!("redis.ca_file = {path}: no shard has TLS"),
        ),
        (
            one("redis://h", "") + "redis.server_name = \"h\"",
            "redis.server_name = \"h\": no shard has TLS".to_owned(),
        ),
        (
            one("redis://h", ", pasword_file = \"\""),
            "layouts.a.redis[0].pasword_file: unknown key; did you mean password_file?".to_owned(),
        ),
    ] {
        let all = mistakes(load(&text));
        assert!(
            all.len() == 1 && all[0].starts_with(&start),
            "{text}\nwanted {start}\ngiven {all:#?}"
        );
        assert!(!all[0].contains("hunter2"), "{all:#?}");
    }
}

#[test]
fn layouts_with_one_shard_give_it_the_same_keys() {
    let file = secret();
    let text = format!(
        "[routing]\nsubscribe = [\"a\", \"b\"]\n\
         [layouts.a]\nredis = [{{ name = \"r\", url = \"redis://h\" }}]\n\
         [layouts.b]\nredis = [{{ name = \"r\", url = \"redis://h\", password_file = {:?} }}]\n",
        file.path()
    );
    let all = mistakes(load(&text));
    assert!(
        all.len() == 1 && all[0].contains("with the same keys beside it is required"),
        "{all:#?}"
    );
}
