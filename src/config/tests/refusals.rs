//! What is refused, and the text of each mistake.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;

/// Loads `text` and checks that its one mistake begins with `start`.
fn assert_one(text: &str, start: &str) {
    let all = mistakes(load(text));
    assert!(all.len() == 1 && all[0].starts_with(start), "{text}\nwanted {start}\ngiven {all:#?}");
}

#[test]
fn five_mistakes_are_five() {
    let text = r#"
        namespace = "Main"
        wrokers = 2
        [listen]
        clients = "localhost"
        [limits]
        patterns = "many"
        json_depth = 1000
    "#;
    assert_eq!(
        mistakes(load_env(text, &[("NARROWCAST__POLICY__DIRECT", "none")])),
        [
            r#"namespace = "Main": 1 to 32 of a-z, 0-9, _ and - are allowed (from the file)"#,
            r#"listen.clients = "localhost": an IP address and port such as "127.0.0.1:8080" is required (from the file)"#,
            r#"policy.direct = "none": "anyone" or "service" is required (from NARROWCAST__POLICY__DIRECT)"#,
            r#"limits.patterns = "many": an integer, 1 to 10000, is required (from the file)"#,
            "limits.json_depth = 1000: an integer, 2 to 64, is required (from the file)",
            "wrokers: unknown key; did you mean workers? (from the file)",
        ]
    );
    let printed = load(text).unwrap_err().to_string();
    assert!(printed.starts_with("5 mistakes in the configuration\n  namespace = "), "{printed}");
}

#[test]
fn unknown_keys_are_refused_wherever_they_are() {
    for (text, start) in [
        ("colour = 1", "colour: unknown key (from the file)"),
        ("[colours]\nred = 1", "colours: unknown key (from the file)"),
        ("[limits]\npaterns = 1", "limits.paterns: unknown key; did you mean patterns?"),
        ("[layouts.a]\nshards = []", "layouts.a.shards: unknown key"),
        (
            "[layouts.a.buckets]\nusers = 1",
            "layouts.a.buckets.users: unknown key; did you mean user?",
        ),
        ("\"a.b\" = 1", "\"a.b\": unknown key (from the file)"),
        (
            "[layouts.a]\nredis = [{ name = \"r\", url = \"redis://h\", db = 1 }]",
            "layouts.a.redis[0].db: unknown key (from the file)",
        ),
    ] {
        assert_one(text, start);
    }
    let env = mistakes(load_env("", &[("NARROWCAST__BUS__BACTH", "1")]));
    assert_eq!(env, ["bus.bacth: unknown key; did you mean batch? (from NARROWCAST__BUS__BACTH)"]);
}

#[test]
fn what_is_no_toml_is_one_mistake_with_its_line() {
    for (text, start) in [
        ("workers = 1\nworkers = 2", "line 2, column 1: duplicate key"),
        ("workers = 1\n\n[limits", "line 3, column 8: "),
        ("workers = ", "line 1, column 11: "),
        ("[auth]\nkeys = [{ secret = \"hunter2 }]", "line 2, column 31: "),
    ] {
        assert_one(text, start);
        assert!(!load(text).unwrap_err().to_string().contains("hunter2"));
    }
}

#[test]
fn wrong_types_are_refused_once() {
    for (text, start) in [
        ("workers = 1.5", "workers = 1.5: an integer, 1 to 64, is required"),
        ("workers = {}", "workers = a table: an integer, 1 to 64, is required"),
        ("node = 5", "node: a table is required, an integer was given"),
        ("layouts = 5", "layouts: a table is required, an integer was given"),
        ("layouts.a = []", "layouts.a: a table is required, a list was given"),
        ("layouts.a.buckets = 5", "layouts.a.buckets: a table is required, an integer was given"),
        ("layouts.a.redis = {}", "layouts.a.redis: a list is required, a table was given"),
        ("layouts.a.redis = [1]", "layouts.a.redis[0]: a table is required, an integer was given"),
        ("auth.keys = 5", "auth.keys: a list is required, an integer was given"),
        ("listen.origins = \"*\"", "listen.origins: a list is required, a string was given"),
        ("listen.origins = [5]", "listen.origins[0] = 5: "),
        ("listen.trusted = \"::1/128\"", "listen.trusted: a list is required, a string was given"),
        ("auth.issuer = 5", "auth.issuer = 5: a string of 0 to 256 bytes is required"),
    ] {
        assert_one(text, start);
    }
}

#[test]
fn bounds_are_held() {
    let nine = (0..9).map(|i| format!("[layouts.l{i}]")).collect::<Vec<_>>().join("\n");
    for (text, start) in [
        ("workers = -1", "workers = -1: "),
        ("layouts.a.buckets.user = 3", "layouts.a.buckets.user = 3: a power of two is required"),
        (
            "layouts.a.buckets.room = 33554432",
            "layouts.a.buckets.room = 33554432: an integer, 1 to 16777216,",
        ),
        ("auth.keys = []", "auth.keys: 1 to 16 are required, 0 were given"),
        ("store.path = \"\"", "store.path = \"\": a string of 1 to 4096 bytes"),
        ("store.backend = \"sql\"", "store.backend = \"sql\": \"embedded\" or \"cql\" is required"),
        ("store.nodes = []", "store.nodes: 1 to 64 are required, 0"),
        ("store.nodes = [\"h:0\"]", "store.nodes[0] = \"h:0\": host or host:port is required"),
        ("store.nodes = [\"h\", \"h\"]", "store.nodes: node \"h\" is given twice"),
        ("store.keyspace = \"K\"", "store.keyspace = \"K\": 1 to 48 of a-z, 0-9 and _"),
        (
            "timeouts.cql_write_timeout_ms = 2000",
            "timeouts.cql_write_timeout_ms = 2000: an integer, 2100 to 4900,",
        ),
        (
            "timeouts.cql_write_timeout_ms = 5000",
            "timeouts.cql_write_timeout_ms = 5000: an integer, 2100 to 4900,",
        ),
        (
            "timeouts.cql_read_timeout_ms = 5000",
            "timeouts.cql_read_timeout_ms = 5000: an integer, 5100 to 60000,",
        ),
        ("store.username = \"u\"", "store.password: missing, since username is given"),
        ("store.password = \"p\"", "store.username: missing, since password is given"),
        ("store.tls = true", "store.tls_ca: missing, since tls is true"),
        ("rates.limit_users = \"on\"", "rates.limit_users = \"on\": true or false is required"),
        ("rates.connections_per_address = -1", "rates.connections_per_address = -1: an integer"),
        ("node.name = \"a b\"", "node.name = \"a b\": 1 to 63 of a-z, A-Z, 0-9, _, - and . are"),
        ("telemetry.log = \"a=b=c\"", "telemetry.log = \"a=b=c\": a level or tracing directives"),
        ("layouts.a = {}\n[layouts.\"A B\"]", "layouts.\"A B\": as a name, 1 to 32"),
        (
            &format!("{nine}\n[routing]\npublish = \"l0\"\nsubscribe = [\"l0\"]"),
            "layouts: 1 to 8 are required, 9",
        ),
        (
            "listen.trusted = [\"10.0.0.1/8\"]",
            "listen.trusted[0] = \"10.0.0.1/8\": a network such as",
        ),
        (
            "listen.trusted = [\"0.0.0.0/0\"]",
            "listen.trusted[0] = \"0.0.0.0/0\": a network such as",
        ),
        (
            &format!("listen.trusted = [{}]", "\"::1/128\",".repeat(65)),
            "listen.trusted: 0 to 64 are required, 65 were given",
        ),
        (
            "timeouts.lame_duck_ms = 600001",
            "timeouts.lame_duck_ms = 600001: an integer, 0 to 600000",
        ),
        ("listen.origins = [\"https://a/\"]", "listen.origins[0] = \"https://a/\": "),
    ] {
        assert_one(text, start);
    }
}

#[test]
fn relations_are_held() {
    for (text, start) in [
        (
            "timeouts.lame_duck_ms = 14991",
            "timeouts.drain_timeout_ms = 15000: at least 15001 is required, timeouts.lame_duck_ms + 10",
        ),
        (
            "listen.proxy_protocol = true",
            "listen.proxy_protocol = true: a PROXY header is taken from listen.trusted alone",
        ),
        (
            "timeouts.subscribe_timeout_ms = 999",
            "timeouts.subscribe_timeout_ms = 999: at least 1000 is required, timeouts.bucket_subscribe_timeout_ms",
        ),
        (
            "limits.body_bytes = 14337",
            "limits.frame_bytes = 16384: at least 16385 is required, limits.body_bytes + 2048",
        ),
        (
            "limits.data_bytes = 14337",
            "limits.frame_bytes = 16384: at least 16385 is required, limits.data_bytes + 2048",
        ),
        (
            "limits.frame_bytes = 262145",
            "limits.outbox_bytes = 524288: at least 524290 is required, 2 * limits.frame_",
        ),
        (
            "limits.history_bytes = 260097",
            "limits.outbox_bytes = 524288: at least 524290 is required, reads_in_flight (2) * \
             (limits.history_bytes + 2048)",
        ),
        (
            "limits.reads_in_flight = 4",
            "limits.outbox_bytes = 524288: at least 532480 is required, reads_in_flight (4) * (lim",
        ),
        (
            "limits.body_bytes = 262144\nlimits.frame_bytes = 264192\nlimits.outbox_bytes = 530000",
            "limits.outbox_bytes = 530000: at least 539648 is required, reads_in_flight (2) * \
             (limits.body_bytes + 7680)",
        ),
        (
            "timeouts.redis_backoff_max_ms = 49",
            "timeouts.redis_backoff_max_ms = 49: at least 50 is required, timeouts.redis_backoff_min_ms",
        ),
        (
            "listen.operator = \"127.0.0.1:8080\"",
            "listen.operator = 127.0.0.1:8080: an address other than",
        ),
        ("listen.origins = [\"*\", \"https://a\"]", "listen.origins: \"*\" allows every origin"),
        (
            "rates.dm_burst = 8601",
            "rates.dm_burst = 8601: dm_burst + 86400 * dm_per_s of at most 95000 is required, the \
             rows of a partition; dm_per_s = 1 makes 95001",
        ),
        ("rates.dm_per_s = 2", "rates.dm_burst = 8600: dm_burst + 86400 * dm_per_s of at most"),
        ("rates.room_burst = 5001", "rates.room_burst = 5001: room_burst + 3600 * room_per_s of"),
        (
            "rates.byte_burst = 16383",
            "rates.byte_burst = 16383: at least 16384 is required, limits.frame_bytes",
        ),
        (
            "rates.item_burst = 100\nlimits.patterns = 101",
            "rates.item_burst = 100: at least 101 is required, limits.patterns: one frame may name",
        ),
        (
            "limits.node_pattern_bytes = 32767999",
            "limits.node_pattern_bytes = 32767999: at least 32768000 is required, 1000 * \
             limits.pattern_bytes",
        ),
    ] {
        assert_one(text, start);
    }
}

#[test]
fn relations_hold_at_their_edge() {
    for text in [
        "timeouts.subscribe_timeout_ms = 1000",
        "limits.body_bytes = 14336",
        "limits.data_bytes = 14336",
        "limits.frame_bytes = 262144",
        "limits.history_bytes = 260096",
        "limits.reads_in_flight = 3",
        "timeouts.redis_backoff_max_ms = 50",
        "rates.byte_burst = 16384",
        "rates.item_burst = 100",
        "limits.node_pattern_bytes = 32768000",
        "rates.room_burst = 77000\nrates.room_per_s = 5",
        "rates.dm_burst = 1\nrates.dm_per_s = 1",
        "rates.read_burst = 1",
        "listen.clients = \"127.0.0.1:0\"\nlisten.operator = \"127.0.0.1:0\"",
    ] {
        assert_eq!(mistakes(load(text)), [""; 0], "{text}");
    }
}

#[test]
fn relations_of_mistaken_keys_are_not_judged() {
    assert_one("limits.frame_bytes = 1", "limits.frame_bytes = 1: an integer, 1024 to");
    assert_one("limits.body_bytes = -1", "limits.body_bytes = -1: ");
    assert_one("rates.dm_per_s = 0", "rates.dm_per_s = 0: an integer, 1 to 10000, is required");
    assert_one("rates.dm_burst = 0", "rates.dm_burst = 0: an integer, 1 to 100000, is required");
    assert_one("routing.subscribe = [5]", "routing.subscribe[0] = 5: ");
}

#[test]
fn layouts_in_use_exist_and_the_published_one_is_heard() {
    for (text, start) in [
        ("routing.publish = \"b\"", "routing.publish = \"b\": one of [layouts] is required: a"),
        (
            "routing.subscribe = [\"b\"]",
            "routing.subscribe = \"b\": one of [layouts] is required: a",
        ),
        ("routing.subscribe = []", "routing.subscribe: 1 to 4 are required, 0 were given"),
        (
            "[routing]\nsubscribe = [\"b\"]\n[layouts.a]\n[layouts.b]",
            "routing.publish = \"a\": one of routing.subscribe is required: b",
        ),
        (
            "[routing]\npublish = \"c\"\nsubscribe = [\"a\", \"b\"]\n[layouts.a]\n[layouts.b]\n[layouts.c]",
            "routing.publish = \"c\": one of routing.subscribe is required: a, b",
        ),
        ("routing.subscribe = [\"a\", \"a\"]", "routing.subscribe: layout \"a\" is given twice"),
        (
            "routing.subscribe = [\"a\", \"b\", \"c\", \"d\", \"e\"]",
            "routing.subscribe: 1 to 4 are required, 5 were given",
        ),
    ] {
        assert_one(text, start);
    }
    let replaced = mistakes(load("[layouts.b]"));
    assert_eq!(replaced.len(), 2, "both uses of the default layout are gone: {replaced:?}");
}

/// Two layouts in use with these shards, and one that is not.
fn two(a: &str, b: &str) -> String {
    format!(
        "[routing]\nsubscribe = [\"a\", \"b\"]\n[layouts.a]\nredis = [{a}]\n[layouts.b]\nredis = [{b}]\n\
         [layouts.unused]\nredis = [{{ name = \"r1\", url = \"redis://unused\" }}]"
    )
}

fn shard(name: &str, url: &str) -> String {
    format!("{{ name = {name:?}, url = {url:?} }}")
}

#[test]
fn layouts_in_use_agree_on_their_shards() {
    let (r1, r2) = (shard("r1", "redis://h1"), shard("r2", "redis://:hunter2@h2"));
    let (moved, twin) = (shard("r2", "redis://:hunter3@h3"), shard("r3", "redis://:hunter4@h1/4"));
    for (text, start) in [
        (
            two(&r1, ""),
            "routing.subscribe = [\"a\", \"b\"]: shards in all of them or in none are required, \
             layouts.a.redis has some, layouts.b.redis has none",
        ),
        (
            two(&format!("{r1}, {r2}"), &moved),
            "layouts.b.redis[0].url = \"redis://:MASKED@h3\": shard \"r2\" has one address, \
             layouts.a.redis[1].url = \"redis://:MASKED@h2\" is required",
        ),
        (
            two(&r1, &format!("{r2}, {twin}")),
            "layouts.b.redis[1].url = \"redis://:MASKED@h1/4\": a server other than that of \
             layouts.a.redis[0], \"r1\", is required",
        ),
        (two(&format!("{r1}, {twin}"), &r2), "layouts.a.redis[1].url = "),
    ] {
        assert_one(&text, start);
    }
    for fine in [two("", ""), two(&r1, &format!("{r2}, {r1}"))] {
        assert_eq!(mistakes(load(&fine)), [""; 0], "{fine}");
    }
}

#[test]
fn shards_of_mistaken_layouts_are_not_judged() {
    let (r1, bad) = (shard("r1", "redis://h1"), shard("r1", "redix://h"));
    assert_one(&two(&r1, &bad), "layouts.b.redis[0].url: redis:// or rediss:// is required");
    assert_one(&two(&r1, "5"), "layouts.b.redis[0]: a table is required");
    let unknown = two(&r1, &shard("r1", "redis://h2")).replace("[\"a\", \"b\"]", "[\"a\", \"x\"]");
    assert_one(&unknown, "routing.subscribe = \"x\": one of [layouts] is required: a, b, unused");
}

#[test]
fn shards_are_named_once_and_addressed() {
    let shards = |list: &str| format!("layouts.a.redis = [{list}]");
    let one = r#"{ name = "r", url = "redis://h" }"#;
    assert_one(&shards(&format!("{one}, {one}")), "layouts.a.redis: name \"r\" is given twice");
    assert_one(&shards(r#"{ name = "r" }"#), "layouts.a.redis[0].url: missing");
    assert_one(&shards(r#"{ url = "redis://h" }"#), "layouts.a.redis[0].name: missing");
    assert_one(
        &shards(r#"{ name = "r", url = "redix://h" }"#),
        "layouts.a.redis[0].url: redis:// or rediss:// is required",
    );
    let many: Vec<String> = (0..1025).map(|i| one.replace("\"r\"", &format!("\"r{i}\""))).collect();
    assert_one(
        &shards(&many.join(",")),
        "layouts.a.redis: 0 to 1024 are required, 1025 were given",
    );
}

#[test]
fn keys_are_sound() {
    let key = |fields: &str| format!("auth.keys = [{{ kid = \"k\", alg = \"HS256\", {fields} }}]");
    let secret = format!("secret = {:?}", "s".repeat(32));
    for (fields, start) in [
        (
            r#"secret = "short""#,
            "auth.keys[0].secret: a secret of 32 to 4096 bytes is required, this one has 5",
        ),
        ("secret = 5", "auth.keys[0].secret: a string is required, an integer was given"),
        (
            r#"file = "/nonexistent/key""#,
            "auth.keys[0].file = \"/nonexistent/key\": cannot be read: ",
        ),
        (
            r#"file = "/dev/null""#,
            "auth.keys[0].file: a secret of 32 to 4096 bytes is required, this one has 0",
        ),
        (
            r#"file = "/dev/zero""#,
            "auth.keys[0].file: a secret of 32 to 4096 bytes is required, this one has ",
        ),
        (
            &format!("file = \"f\", {secret}"),
            "auth.keys[0].secret: either secret or file is required, both",
        ),
        ("", "auth.keys[0].secret: either secret or file is required, neither"),
    ] {
        assert_one(&key(fields.trim_end_matches(", ")).replace(",  }", " }"), start);
    }
    let one = format!("{{ kid = \"k\", alg = \"HS256\", {secret} }}");
    assert_one(&format!("auth.keys = [{one}, {one}]"), "auth.keys: kid \"k\" is given twice");
    let rs256 = one.replace("HS256", "RS256");
    assert_one(
        &format!("auth.keys = [{rs256}]"),
        "auth.keys[0].alg = \"RS256\": \"HS256\" is required",
    );
    let nameless = one.replace("\"k\"", "\"\"");
    assert_one(
        &format!("auth.keys = [{nameless}]"),
        "auth.keys[0].kid = \"\": a string of 1 to 64 bytes",
    );
}

#[test]
fn variables_that_are_not_utf_8_are_refused() {
    let broken = |text: &str| OsString::from_vec([text.as_bytes(), b"\xff"].concat());
    for (name, value, told) in [
        (
            "NARROWCAST__NAMESPACE".into(),
            broken("hunter2"),
            "\"NARROWCAST__NAMESPACE\": a value in UTF-8 is required",
        ),
        (
            broken("NARROWCAST__WORKERS"),
            "1".into(),
            "\"NARROWCAST__WORKERS\u{fffd}\": a name in UTF-8 is required",
        ),
    ] {
        assert_eq!(mistakes(Config::load(None, [(name, value)])), [told]);
    }
    let others = [(broken("PATH"), "1".into()), ("PATH".into(), broken("/bin"))];
    assert!(Config::load(None, others).is_ok());
}

#[test]
fn variables_that_make_no_sense_are_refused() {
    for (variables, start) in [
        (vec![("NARROWCAST__", "1")], "NARROWCAST__: NARROWCAST__SECTION__KEY is required"),
        (vec![("NARROWCAST__BUS____BATCH", "1")], "NARROWCAST__BUS____BATCH: "),
        (
            vec![("NARROWCAST__BUS", "1")],
            "bus: a table is required, an integer was given (from NARROWCAST__BUS)",
        ),
        (
            vec![("NARROWCAST__WORKERS__X", "1")],
            "workers = a table: an integer, 1 to 64, is required (from NARROW",
        ),
        (
            vec![("NARROWCAST__WORKERS", "1"), ("NARROWCAST__workers", "2")],
            "NARROWCAST__workers: workers is set twice",
        ),
    ] {
        let all = mistakes(load_env("", &variables));
        assert!(all.len() == 1 && all[0].starts_with(start), "{variables:?} {all:?}");
    }
}
