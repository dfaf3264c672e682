//! No secret leaves but by `expose`.

use super::*;

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

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
    assert_eq!(config.layouts[0].shards[0].url.expose(), "redis://bob:hunter2@h:1/2");
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
        r#"layouts.a.redis = [{ name = "r", url = "rediss://:hunter2@h" }]"#,
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
    let long = format!("store.username = \"bob\"\nstore.password = {:?}", "hunter2".repeat(200));
    assert!(!load(&long).unwrap_err().to_string().contains("hunter2"));
    let variable = [("NARROWCAST__AUTH__KEYS", "[{ secret = 'hunter2' }")];
    assert!(!load_env("", &variable).unwrap_err().to_string().contains("hunter2"));
}
