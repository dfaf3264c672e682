//! For any input, the answer is a configuration or its mistakes.

use proptest::prelude::*;

use super::*;
use crate::config::layers::DEFAULT_TOML;

const KEYS: [&str; 20] = [
    "namespace",
    "workers",
    "node.name",
    "node",
    "listen.clients",
    "listen.origins",
    "listen.trusted",
    "timeouts.lame_duck_ms",
    "layouts",
    "layouts.a",
    "layouts.a.buckets.user",
    "layouts.a.redis",
    "routing.subscribe",
    "store.path",
    "store.nodes",
    "store.retention_days",
    "auth.keys",
    "limits.frame_bytes",
    "timeouts.redis_backoff_min_ms",
    "telemetry.log",
];

const VALUES: [&str; 16] = [
    "0",
    "-9223372036854775808",
    "9223372036854775807",
    "1.5",
    "nan",
    "true",
    "''",
    "'a'",
    "[]",
    "['a']",
    "{}",
    "[{}]",
    "1979-05-27",
    "{ b = { redis = [{ name = 'r', url = 'redis://h' }] } }",
    "[{ kid = 'k', alg = 'HS256', file = '/dev/null' }]",
    "'127.0.0.1:1'",
];

fn lines() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let line = (proptest::sample::select(&KEYS[..]), proptest::sample::select(&VALUES[..]));
    proptest::collection::vec(line, 0..6)
}

proptest! {
    #[test]
    fn on_any_text(text in "(\\PC|\\s){0,200}") {
        let _ = load(&text).map(|config| config.print());
    }

    #[test]
    fn on_any_damage_to_the_default(
        at in 0..DEFAULT_TOML.len(),
        length in 0..200_usize,
        with in "\\PC{0,4}",
    ) {
        let end = (at + length).min(DEFAULT_TOML.len());
        let text = [&DEFAULT_TOML[..at], &with, &DEFAULT_TOML[end..]].concat();
        let _ = load(&text).map(|config| config.print());
    }

    #[test]
    fn on_any_values_for_known_keys(lines in lines()) {
        let lines = lines.iter().map(|(key, value)| format!("{key} = {value}"));
        let text = lines.collect::<Vec<String>>().join("\n");
        if let Ok(config) = load(&text) {
            prop_assert!(load(&config.print().replace("MASKED", &"s".repeat(32))).is_ok());
        }
    }

    #[test]
    fn on_any_variables(
        names in proptest::collection::vec("(NARROWCAST)?(__[A-Za-z_]{0,9}){0,3}", 0..4),
        text in "\\PC{0,40}",
    ) {
        let variables = names.into_iter().map(|name| (name.into(), text.clone().into()));
        let _ = Config::load(None, variables).map(|config| config.print());
    }

    #[test]
    fn on_any_log_directives(text in "[a-z0-9=,:\\[\\]{}\"/*. ]{0,40}") {
        let variable = ("NARROWCAST__TELEMETRY__LOG".into(), text.into());
        let _ = Config::load(None, [variable]).map(|config| config.print());
    }

    #[test]
    fn on_known_variables(lines in lines()) {
        let name = |key: &str| format!("NARROWCAST__{}", key.replace('.', "__").to_uppercase());
        let variables = lines.iter().map(|(key, value)| (name(key).into(), (*value).into()));
        let _ = Config::load(None, variables).map(|config| config.print());
    }
}

#[test]
fn on_depth() {
    const DEEP: usize = 100_000;
    let lists = format!("workers = {}", "[".repeat(DEEP));
    let tables = format!("workers = {}", "{a=".repeat(DEEP));
    let dots = format!("{}workers = 1", "a.".repeat(DEEP));
    let headers = format!("[{}workers]", "a.".repeat(DEEP));
    for text in [lists, tables, dots, headers] {
        assert!(load(&text).is_err());
    }
    let name = format!("NARROWCAST{}", "__A".repeat(DEEP));
    assert!(load_env("", &[(&name, "1")]).is_err());
    assert!(load_env("", &[("NARROWCAST__WORKERS", &"[".repeat(DEEP))]).is_err());
}
