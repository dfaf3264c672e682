//! The commands that need no node: what they print, and their exit codes.

use std::ffi::OsStr;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use narrowcast::client::Client;
use serde_json::Value;

use super::{node_with, url};
use crate::harness::{Demo, Finished, Process};

fn narrowcast(arguments: &[&str]) -> Finished {
    Process::run(Process::narrowcast().args(arguments))
}

/// A configuration file that lives as long as the test.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("it is written");
    file
}

fn with_config(command: &str, text: &str) -> Finished {
    let file = file(text);
    narrowcast(&[command, "--config", file.path().to_str().expect("UTF-8")])
}

const FIVE_MISTAKES: &str = r#"
    workers = 0
    [listen]
    clients = "localhost"
    [limits]
    frame_bytes = 5
    [timeouts]
    pings_ms = 25000
    [auth]
    keys = [{ kid = "k", alg = "none", secret = "a secret of at least thirty-two bytes!" }]
"#;

#[test]
fn check_config_tells_all_mistakes_at_once() {
    let checked = with_config("check-config", FIVE_MISTAKES);
    assert_eq!(checked.code, Some(2), "{}", checked.errors);
    let lines: Vec<&str> = checked.errors.lines().collect();
    assert_eq!(lines[0], "narrowcast: 5 mistakes in the configuration", "{}", checked.errors);
    let keys = [
        ("workers", "= 0"),
        ("listen.clients", "= \"localhost\""),
        ("limits.frame_bytes", "= 5"),
        ("timeouts.pings_ms", "did you mean ping_ms?"),
        ("auth.keys[0].alg", "= \"none\""),
    ];
    for (key, part) in keys {
        let told = |line: &&&str| line.trim_start().starts_with(key) && line.contains(part);
        assert_eq!(lines.iter().filter(told).count(), 1, "{key}: {}", checked.errors);
    }
    assert!(!checked.errors.contains("thirty-two"), "no secret is told: {}", checked.errors);
}

#[test]
fn check_config_is_content_with_the_defaults_and_refuses_what_serve_would() {
    let fine = narrowcast(&["check-config"]);
    assert_eq!((fine.code, fine.output.as_str()), (Some(0), "the configuration is fine\n"));
    let open = with_config("check-config", "[listen]\nclients = \"0.0.0.0:0\"");
    assert_eq!(open.code, Some(2));
    assert!(open.errors.contains("auth.keys[0]"), "{}", open.errors);
}

#[test]
fn check_config_warns_of_bounds_that_need_more_memory_than_there_is() {
    let large = with_config("check-config", "limits.node_outbox_bytes = 68719476736");
    assert_eq!((large.code, large.output.as_str()), (Some(0), "the configuration is fine\n"));
    let told = ["warning: memory: ", "The largest: outboxes 64.0 GiB (limits.node_outbox_bytes)"];
    assert!(told.iter().all(|part| large.errors.contains(part)), "{}", large.errors);
    assert_eq!(narrowcast(&["check-config"]).errors, "", "the defaults fit");
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let variables = [("NARROWCAST__WORKERS", "many"), ("NARROWCAST__LISTEN__PROT", "1")];
    let checked = Process::run(Process::narrowcast().arg("check-config").envs(variables));
    assert_eq!(checked.code, Some(2));
    for (variable, _) in variables {
        assert!(checked.errors.contains(variable), "{variable}: {}", checked.errors);
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_named() {
    let value = OsStr::from_bytes(b"hunter2\xff");
    for command in ["check-config", "serve", "demo"] {
        let mut program = Process::narrowcast();
        let ended = Process::run(program.arg(command).env("NARROWCAST__NAMESPACE", value));
        assert_eq!(ended.code, Some(2), "{command}: {}", ended.errors);
        assert!(ended.errors.contains("NARROWCAST__NAMESPACE"), "{command}: {}", ended.errors);
        assert!(!ended.errors.contains("hunter2"), "{command}: {}", ended.errors);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for command in ["check-config", "print-config", "serve", "token"] {
        let mut line = vec![command, "--config", "/nonexistent/narrowcast.toml"];
        line.extend((command == "token").then_some("alice"));
        let ended = narrowcast(&line);
        assert_eq!(ended.code, Some(2), "{command}: {}", ended.errors);
        assert!(ended.errors.contains("/nonexistent/narrowcast.toml"), "{}", ended.errors);
    }
}

/// Credentials of systemd exist only while the unit runs.
#[test]
fn commands_that_need_no_redis_need_none_of_its_files() {
    let text = "redis.password_file = \"/nonexistent/redis-password\"\n";
    for command in ["check-config", "serve"] {
        let ended = with_config(command, text);
        assert_eq!(ended.code, Some(2), "{command}: {}", ended.errors);
        let named = "redis.password_file = \"/nonexistent/redis-password\": cannot be read";
        assert!(ended.errors.contains(named), "{command}: {}", ended.errors);
    }
    let file = file(text);
    let path = file.path().to_str().expect("UTF-8");
    let printed = narrowcast(&["schema", "print", "--config", path]);
    assert_eq!(printed.code, Some(0), "{}", printed.errors);
    assert!(printed.output.contains("CREATE TABLE"), "{}", printed.output);
    assert_eq!(with_config("print-config", text).code, Some(0));
}

#[test]
fn print_config_masks_secrets_and_can_be_read_again() {
    let text = r#"
        [auth]
        keys = [{ kid = "k1", alg = "HS256", secret = "swordfish-swordfish-swordfish-1234" }]
        [layouts.a]
        redis = [{ name = "r1", url = "redis://user:hunter2@10.0.0.1:6379" }]
    "#;
    let printed = with_config("print-config", text);
    assert_eq!(printed.code, Some(0), "{}", printed.errors);
    for secret in ["swordfish", "hunter2"] {
        assert!(!printed.output.contains(secret), "{secret}: {}", printed.output);
        assert!(!printed.errors.contains(secret), "{secret}: {}", printed.errors);
    }
    assert!(printed.output.contains("MASKED"), "{}", printed.output);
    assert!(printed.output.contains("10.0.0.1"), "{}", printed.output);
    let table: toml::Table = printed.output.parse().expect("TOML");
    assert_eq!(table["limits"]["frame_bytes"].as_integer(), Some(16_384));
}

#[test]
fn check_config_compares_the_files_of_several_nodes() {
    let node = |name: &str, more: &str| {
        let keys = "keys = [{ kid = \"k\", alg = \"HS256\", secret = \"mine-mine-mine-mine-mine-mine-mine\" }]";
        file(&format!(
            "node.name = \"{name}\"\nstore.backend = \"cql\"\n{more}\n[auth]\n{keys}\n\
             [layouts.a]\nredis = [{{ name = \"r1\", url = \"redis://10.0.0.1\" }}]\n"
        ))
    };
    let check = |nodes: &[&tempfile::NamedTempFile]| {
        let paths = nodes.iter().map(|node| node.path().to_str().expect("UTF-8"));
        narrowcast(&[&["check-config"][..], &paths.collect::<Vec<_>>()].concat())
    };
    let [first, second] = [node("n1", ""), node("n2", "workers = 2")];
    let fine = check(&[&first, &second]);
    assert_eq!(fine.output, "the configurations are fine, and fit each other\n", "{}", fine.errors);
    let third = node("n1", "namespace = \"other\"");
    let misfit = check(&[&first, &second, &third]);
    assert_eq!(misfit.code, Some(2), "{}", misfit.errors);
    for part in ["namespace: \"main\" in ", "node.name: n1 in "] {
        assert!(misfit.errors.contains(part), "{part}: {}", misfit.errors);
    }
    // The variables of this process would make every file the same.
    let paths = [&first, &third].map(|node| node.path().to_owned());
    let mut command = Process::narrowcast();
    command.arg("check-config").args(&paths).env("NARROWCAST__NAMESPACE", "mine");
    let misfit = Process::run(&mut command);
    assert!(misfit.errors.contains("namespace: \"main\" in "), "{}", misfit.errors);
    let bad = check(&[&first, &node("n2", "workers = 0")]);
    assert!(bad.code == Some(2) && bad.errors.contains("workers = 0"), "{}", bad.errors);
}

#[test]
fn print_config_tells_what_changed_and_where() {
    let file = file("[limits]\npatterns = 7");
    let path = file.path().to_str().expect("UTF-8");
    let printed = narrowcast(&["print-config", "--changed", "--config", path]);
    assert_eq!(printed.output, "limits.patterns = 7  # from the file\n", "{}", printed.errors);
}

#[test]
fn a_variable_with_one_underscore_is_a_mistake() {
    let mut command = Process::narrowcast();
    command.arg("check-config").env("NARROWCAST_LISTEN_CLIENTS", "0.0.0.0:1");
    let checked = Process::run(&mut command);
    assert_eq!(checked.code, Some(2), "{}", checked.output);
    assert!(checked.errors.contains("write NARROWCAST__LISTEN__CLIENTS"), "{}", checked.errors);
}

fn serve(clients: &str, operator: &str) -> (Finished, tempfile::TempDir) {
    let store = tempfile::tempdir().expect("a directory");
    let ended = Process::run(
        Process::narrowcast()
            .arg("serve")
            .env("NARROWCAST__LISTEN__CLIENTS", clients)
            .env("NARROWCAST__LISTEN__OPERATOR", operator)
            .env("NARROWCAST__STORE__PATH", store.path()),
    );
    (ended, store)
}

#[test]
fn serve_names_the_key_of_a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let free = "127.0.0.1:0";
    for (clients, operator, key) in
        [(address.as_str(), free, "listen.clients"), (free, address.as_str(), "listen.operator")]
    {
        let (ended, _store) = serve(clients, operator);
        assert_eq!(ended.code, Some(1), "{}", ended.errors);
        let told = ended.errors.lines().last().unwrap_or_default();
        assert!(told.contains(key) && told.contains(&address), "{}", ended.errors);
    }
}

#[test]
fn serve_refuses_a_bad_configuration() {
    let served = with_config("serve", FIVE_MISTAKES);
    assert_eq!(served.code, Some(2), "{}", served.errors);
    assert!(served.errors.contains("5 mistakes"), "{}", served.errors);
    let (open, _store) = serve("0.0.0.0:0", "127.0.0.1:0");
    assert_eq!(open.code, Some(2), "{}", open.errors);
    assert!(open.errors.contains("development key"), "{}", open.errors);
}

#[test]
fn what_is_no_command_is_refused() {
    for arguments in [&["dance"][..], &[], &["demo", "--nodes", "0"], &["sub"]] {
        assert_eq!(narrowcast(arguments).code, Some(2), "{arguments:?}");
    }
    assert_eq!(narrowcast(&["--help"]).code, Some(0));
    assert_eq!(narrowcast(&["--version"]).code, Some(0));
}

/// A command is learnt from its help: what to type, and what its exit code says.
#[test]
fn every_command_has_an_example() {
    let commands = narrowcast(&["--help"]).output;
    let (_, list) = commands.split_once("Commands:\n").expect("it lists them");
    let names = list.lines().take_while(|line| !line.is_empty());
    let names: Vec<_> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 10, "{commands}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let help = narrowcast(&[name, "--help"]).output;
        for part in [&format!("Example:\n  narrowcast {name} "), "Exit codes: 0 done"] {
            assert!(help.replace("demo\n", "demo \n").contains(part), "{part}: {help}");
        }
    }
}

/// The ports of the documents may be those of another program.
#[test]
fn a_demo_passes_over_ports_that_are_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let mut command = Process::narrowcast();
    command.args(["demo", "--json", "--listen", &address.to_string()]);
    let mut process = Process::start(&mut command);
    let told = format!("port {} is taken: the next one is tried", address.port());
    process.error_line(|line| line.starts_with(&told).then_some(()));
    let demo = Demo::of(process);
    assert_ne!(demo.nodes[0].url, format!("ws://{address}/v1/ws"));
    let open = narrowcast(&["demo", "--listen", "0.0.0.0:0"]);
    assert_eq!(open.code, Some(2), "{}", open.errors);
    assert!(open.errors.contains("--listen: 0.0.0.0:0 is not on loopback"), "{}", open.errors);
}

#[tokio::test]
async fn tokens_for_load_are_one_object_a_line_and_good() {
    let grants = ["--subscribe", "topic.a", "--publish", "topic.a"];
    let made = narrowcast(&[&["token", "load-{0..9}", "--json"], &grants[..]].concat());
    assert_eq!(made.code, Some(0), "{}", made.errors);
    let lines: Vec<Value> =
        made.output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let users: Vec<String> = (0..10).map(|n| format!("load-{n}")).collect();
    assert_eq!(
        lines.iter().map(|line| &line["user"]).collect::<Vec<_>>(),
        users.iter().collect::<Vec<_>>()
    );
    let demo = node_with("1", &[]);
    for line in [&lines[0], &lines[9]] {
        let token = line["token"].as_str().expect("a text");
        let mut client = Client::login(url(&demo), token).await.expect("it is let in");
        let subscribe = serde_json::json!({"op": "subscribe", "patterns": ["topic.a"]});
        assert_eq!(client.ask(subscribe).await.unwrap()["op"], "ok");
        let publish = serde_json::json!({"op": "publish", "subject": "topic.a", "data": 1});
        assert_eq!(client.ask(publish).await.unwrap()["op"], "ok");
    }
}

#[test]
fn a_token_alone_is_one_line() {
    let made = narrowcast(&["token", "alice", "bob"]);
    assert_eq!(made.code, Some(0));
    let lines: Vec<&str> = made.output.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.matches('.').count() == 2), "{lines:?}");
    let bad = narrowcast(&["token", "load-{9..0}"]);
    assert_eq!((bad.code, bad.output.as_str()), (Some(2), ""));
    assert!(bad.errors.contains("load-{9..0}"), "{}", bad.errors);
}

/// A newcomer reads this first: where the nodes are, two tokens, and what to type.
#[tokio::test]
async fn the_demo_says_what_to_type() {
    let mut command: Command = Demo::command(2, &[], &[]);
    let arguments: Vec<_> =
        command.get_args().filter(|it| *it != "--json").map(ToOwned::to_owned).collect();
    command = Process::narrowcast();
    let mut demo = Process::start(command.args(arguments));
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
        lines.push(demo.line());
    }
    let text = lines.concat();
    for part in [
        "n1: ws://",
        "n2: ws://",
        "operator http://",
        "narrowcast tail user.alice --as bob",
        "narrowcast send user.bob 'Hi!' --as alice --url ws://",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let after = |name: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("{name}: {text}")).trim().to_owned()
    };
    let address = after("n1: ");
    let url = address.split_whitespace().next().expect("an address");
    for name in ["alice: ", "bob: "] {
        Client::login(url, &after(name)).await.expect("the token is good");
    }
}
