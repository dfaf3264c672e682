//! No secret leaves except by `expose`.

use super::*;

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

const URL: &str = "redis://:hunter2@h";

fn with_secrets() -> Config {
    let text = format!(
        r#"
        auth.keys = [{{ kid = "k", alg = "HS256", secret = "{SECRET}" }}]
        layouts.a.redis = [{{ name = "r", url = "redis://bob:hunter2@h:1/2" }}]
        store.username = "bob"
        store.password = "{SECRET}"
        "#
    );
    load(&text).unwrap()
}

#[test]
fn printing_masks() {
    let config = with_secrets();
    for printed in [config.print(), format!("{config:?}"), format!("{config:#?}")] {
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("redis://bob:MASKED@h:1/2"), "{printed}");
    }
    assert_eq!(config.auth.keys[0].secret.expose(), SECRET.as_bytes());
    let address = &config.layouts.all[0].shards[0].address;
    assert!(address.secret() == Some(&b"redis://bob:hunter2@h:1/2"[..]));
}

#[test]
fn what_is_printed_loads_to_the_same() {
    let printed = with_secrets().print();
    let again = load(&printed.replace("\"MASKED\"", &format!("{SECRET:?}"))).unwrap();
    assert_eq!(again.print(), printed);
}

#[test]
fn mistakes_do_not_repeat_secrets() {
    for text in [
        r#"auth.keys = [{ kid = "k", alg = "HS256", secret = "hunter2" }]"#,
        r#"auth.keys = [{ kid = "k", alg = "HS256", secrets = "hunter2" }]"#,
        r#"auth.keys = [{ kid = "k", alg = "HS256", secret = ["hunter2"] }]"#,
        r#"auth.keys = ["hunter2"]"#,
        r#"auth.keys = "hunter2""#,
        r#"auth.key = "hunter2""#,
        r#"auth = "hunter2""#,
        r#"layouts.a.redis = "redis://:hunter2@h""#,
        r#"layouts.a.redis = ["redis://:hunter2@h"]"#,
        r#"layouts.a.redis = [{ name = "r", url = "redix://:hunter2@h" }]"#,
        r#"layouts.a.redis = [{ name = "r", url = "redis://:hunter2@h:port" }]"#,
        r#"layouts.a.redis = [{ name = "r", url = ["redis://:hunter2@h"] }]"#,
        r#"layouts.a = "redis://:hunter2@h""#,
        r#"store.password = ["hunter2"]"#,
        r#"store.password = "hunter2""#,
        "auth.keys = [{ secret = \"hunter2\" \"hunter2\" }]",
        "auth.keys = [{ secret = hunter2 }]",
    ] {
        let all = load(text).unwrap_err();
        assert!(!all.to_string().contains("hunter2"), "{all}");
        assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
    }
    for place in [
        "namespace",
        "node.name",
        "listen.clients",
        "routing.publish",
        "store.backend",
        "store.keyspace",
        "policy.direct",
        "limits.patterns",
        "telemetry.log",
        "hunter2-hunter2-hunter2-hunter2-hunter2",
    ] {
        for text in [format!("{URL}=debug=x"), format!("={SECRET}={SECRET}={SECRET}")] {
            let all = load(&format!("{place} = {text:?}")).unwrap_err();
            assert!(!all.to_string().contains("hunter2"), "{all}");
        }
    }
    for (lists, text) in [("listen.origins", URL), ("store.nodes", URL), ("routing.subscribe", URL)]
    {
        let all = load(&format!("{lists} = [{text:?}, {text:?}]")).unwrap_err();
        assert!(!all.to_string().contains("hunter2"), "{all}");
    }
    for key in [
        format!("kid = \"{SECRET}{SECRET}\", alg = \"HS256\", secret = \"{SECRET}\""),
        format!("kid = \"{SECRET}\", alg = \"HS256\", secret = \"{SECRET}\""),
        format!("kid = \"k\", alg = \"{SECRET}\", secret = \"{SECRET}\""),
        format!("kid = \"k\", alg = \"HS256\", file = \"{SECRET}\""),
        format!("kid = \"k\", alg = \"HS256\", secret = \"{SECRET}\", \"{URL}\" = 1"),
    ] {
        let all = load(&format!("auth.keys = [{{ {key} }}, {{ {key} }}]")).unwrap_err();
        assert!(!all.to_string().contains("hunter2"), "{all}");
    }
    let named = load(&format!("routing.publish = \"b\"\n[layouts.{URL:?}]")).unwrap_err();
    assert!(!named.to_string().contains("hunter2"), "{named}");
    let long = format!("store.username = \"bob\"\nstore.password = {:?}", "hunter2".repeat(200));
    assert!(!load(&long).unwrap_err().to_string().contains("hunter2"));
    let variable = [("NARROWCAST__AUTH__KEYS", "[{ secret = 'hunter2' }")];
    assert!(!load_env("", &variable).unwrap_err().to_string().contains("hunter2"));
}
