//! The alerting rules and the dashboard: what they ask for is what a node shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::document::{path, text, yaml};
use crate::harness::{Demo, Finished, Process};

const RULES: &str = "alerts.yml";
const TESTS: &str = "tests/deploy/alerts_test.yml";

/// The expressions of all rules.
fn rules() -> Vec<(String, String)> {
    let file = yaml(RULES).remove(0);
    let groups = file["groups"].as_array().expect("groups").clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone());
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    rules.map(|rule| (text(&rule["alert"]), text(&rule["expr"]))).collect()
}

/// The expressions of all panels.
fn panels() -> Vec<(String, String)> {
    let file: Value = serde_json::from_str(&text("grafana.json")).expect("JSON");
    let panels = file["panels"].as_array().expect("panels").clone();
    let mut all = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title").to_owned();
        for target in panel["targets"].as_array().into_iter().flatten() {
            all.push((title.clone(), target["expr"].as_str().expect("a query").to_owned()));
        }
    }
    all
}

/// The samples that an expression asks for, each with its matchers.
fn asked(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = ["narrowcast_", "process_"].iter().filter_map(|it| rest.find(it)).min() {
        let word = &rest[at..];
        let end = word.find(|c: char| !is_part(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        let matchers = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let pairs = matchers.map_or("", |(inner, _)| inner).split(", ").filter_map(|pair| {
            let (key, value) = pair.split_once(['=', '~'])?;
            Some((key.to_owned(), value.trim_matches(['=', '~', '"']).to_owned()))
        });
        found.push((name.to_owned(), pairs.filter(|(key, _)| key != "job").collect()));
        rest = after;
    }
    found
}

/// What a page of metrics lacks of these expressions.
fn lacking(page: &str, expressions: &[(String, String)]) -> BTreeSet<String> {
    let mut lacking = BTreeSet::new();
    for (place, expression) in expressions {
        let asked = asked(expression);
        assert!(!asked.is_empty() || expression.contains("up{job="), "{place}: {expression}");
        for (name, matchers) in asked {
            let samples: Vec<&str> = page.lines().filter(|line| is_of(line, &name)).collect();
            if samples.is_empty() && !is_family(page, &name) {
                lacking.insert(format!("{place}: {name}"));
            }
            for (key, values) in matchers.iter().filter(|_| !samples.is_empty()) {
                for value in values.split('|') {
                    let label = format!("{key}=\"{value}\"");
                    if !samples.iter().any(|line| line.contains(&label)) {
                        lacking.insert(format!("{place}: {name}{{{label}}}"));
                    }
                }
            }
        }
    }
    lacking
}

/// Whether a line is a sample of this name.
fn is_of(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
}

/// Whether a counter by labels is declared that has no sample before it counts something.
fn is_family(page: &str, name: &str) -> bool {
    let counter = name.strip_suffix("_total");
    counter.is_some_and(|name| page.lines().any(|line| line == format!("# TYPE {name} counter")))
}

/// The metrics of these expressions that a document does not name. A histogram has one name for all
/// its samples.
fn unnamed(document: &str, expressions: &[(String, String)]) -> BTreeSet<String> {
    let names = expressions.iter().flat_map(|(_, expression)| asked(expression));
    let names = names.map(|(name, _)| name.trim_end_matches("_bucket").to_owned());
    names.filter(|name| !document.contains(&format!("`{name}"))).collect()
}

#[test]
fn every_metric_of_the_rules_and_of_the_dashboard_is_on_the_operators_page() {
    let page = text("README.md");
    let all = [rules(), panels()].concat();
    assert_eq!(unnamed(&page, &all), BTreeSet::new());
    let without = page.replace("`narrowcast_fences_total`", "");
    assert_eq!(unnamed(&without, &all), BTreeSet::from(["narrowcast_fences_total".to_owned()]));
}

#[test]
fn every_query_of_the_rules_and_of_the_dashboard_is_of_metrics_that_a_node_shows() {
    let demo = Demo::start(1, &[], &[]);
    let (status, page) = demo.nodes[0].operator.get("/metrics");
    assert_eq!(status, 200);
    let all = [rules(), panels()].concat();
    assert!(all.len() > 40, "queries are found: {}", all.len());
    assert_eq!(lacking(&page, &all), BTreeSet::new());

    // Prometheus computes no quantile of a histogram without this bound.
    let unbounded = page.lines().filter(|line| line.contains("le=\"+Inf\"")).count();
    let histograms = page.lines().filter(|line| line.contains("le=\"0.001\"")).count();
    assert!(histograms > 3 && unbounded == histograms, "{unbounded} of {histograms}");

    // Control: names and labels that there are not, each named with its place.
    let wrong = [
        ("A", "rate(narrowcast_sent_total[5m])"),
        ("B", "narrowcast_shard_connections{state=\"away\"}"),
    ];
    let wrong = wrong.map(|(place, query)| (place.to_owned(), query.to_owned()));
    let told: Vec<String> = lacking(&page, &wrong).into_iter().collect();
    let expected = ["A: narrowcast_sent_total", "B: narrowcast_shard_connections{state=\"away\"}"];
    assert_eq!(told, expected);
}

#[test]
fn every_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let tests = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TESTS));
    let file: Value = serde_saphyr::from_str(&tests.expect("it is there")).expect("YAML");
    let tests = file["tests"].as_array().expect("tests");
    for (alert, _) in rules() {
        let of_alert = tests.iter().map(|test| &test["alert_rule_test"][0]);
        let of_alert = of_alert.filter(|test| test["alertname"] == *alert);
        let fires: Vec<bool> = of_alert.map(|test| test["exp_alerts"] != json!([])).collect();
        assert_eq!(fires, [true, false], "{alert}");
    }
}

fn promtool(directory: &Path, arguments: &[&str]) -> Finished {
    Process::run(Command::new("promtool").args(arguments).current_dir(directory))
}

#[test]
#[ignore = "needs promtool"]
fn prometheus_reads_the_rules_and_they_fire_when_they_should() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = path(RULES);
    let read = promtool(root, &["check", "rules", rules.to_str().expect("UTF-8")]);
    assert_eq!(read.code, Some(0), "{}{}", read.output, read.errors);
    let played = promtool(root, &["test", "rules", TESTS]);
    assert_eq!(played.code, Some(0), "{}{}", played.output, played.errors);

    // Control: a rule that is content with a lag of a minute.
    let copy = tempfile::tempdir().expect("a directory");
    let mild = text(RULES).replace("lag_seconds > 30", "lag_seconds > 60");
    fs::write(copy.path().join("alerts.yml"), mild).expect("a file");
    let tests = fs::read_to_string(root.join(TESTS)).expect("it is there");
    let tests = tests.replace("../../config/alerts.yml", "alerts.yml");
    fs::write(copy.path().join("tests.yml"), tests).expect("a file");
    let played = promtool(copy.path(), &["test", "rules", "tests.yml"]);
    let told = played.output + &played.errors;
    assert_ne!(played.code, Some(0), "{told}");
    assert!(told.contains("alertname: NarrowcastWatermarkLag"), "{told}");
}
