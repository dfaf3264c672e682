//! The resources of Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::containerfile::user;
use super::document::{Environment, end_ms, environment, path, port, variable, yaml};
use super::together::{Servers, check, end, jail, start, texts};
use crate::harness::{Finished, Process};

const FILE: &str = "deploy/kubernetes.yaml";

/// What machines of Kubernetes give containers, at least.
const OPEN_FILES: u32 = 65_536;

/// One resource of this kind.
fn resource(kind: &str) -> Value {
    let all = yaml(FILE);
    all.into_iter().find(|resource| resource["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn pod() -> Value {
    resource("StatefulSet")["spec"]["template"]["spec"].take()
}

fn node() -> Value {
    pod()["containers"][0].take()
}

fn node_environment() -> Environment {
    let pod = pod();
    for container in [&pod["containers"][0], &pod["initContainers"][0]] {
        assert_eq!(container["envFrom"], json!([{"configMapRef": {"name": "narrowcast"}}]));
        assert!(container["env"].is_null());
    }
    environment(&resource("ConfigMap")["data"])
}

/// Where the secret is mounted, and the mode of its files.
fn secrets() -> (String, u32) {
    let (pod, node) = (pod(), node());
    let mount = node["volumeMounts"][0]["mountPath"].as_str().expect("a path").to_owned();
    let mode = pod["volumes"][0]["secret"]["defaultMode"].as_u64().expect("a number");
    (mount, mode as u32)
}

fn grace_ms() -> u64 {
    pod()["terminationGracePeriodSeconds"].as_u64().expect("seconds") * 1000
}

fn validator() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/kubernetes/bin/kubernetes-validate");
    assert!(program.is_file(), "scripts/test installs it");
    program
}

fn validated(file: &Path) -> Finished {
    Process::run(Command::new(validator()).args(["--strict", "--quiet"]).arg(file))
}

#[test]
#[ignore = "needs kubernetes-validate"]
fn the_schema_of_kubernetes_takes_every_resource() {
    let taken = validated(&path(FILE));
    assert_eq!(taken.code, Some(0), "{}{}", taken.output, taken.errors);
    // Control: a key that there is not.
    let wrong = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    let text = fs::read_to_string(path(FILE)).expect("it is there");
    fs::write(wrong.path(), text.replace("readinessProbe", "readynessProbe")).expect("it is ours");
    assert_ne!(validated(wrong.path()).code, Some(0));
}

/// Labels and names by which one resource finds another.
#[test]
fn the_resources_find_each_other() {
    let labels = json!({"app": "narrowcast"});
    let set = resource("StatefulSet");
    assert_eq!(set["spec"]["template"]["metadata"]["labels"], labels);
    for kind in ["StatefulSet", "PodDisruptionBudget"] {
        assert_eq!(resource(kind)["spec"]["selector"]["matchLabels"], labels, "{kind}");
    }
    assert_eq!(resource("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels);
    let services: Vec<Value> =
        yaml(FILE).into_iter().filter(|resource| resource["kind"] == "Service").collect();
    assert!(
        services.iter().any(|service| service["metadata"]["name"] == set["spec"]["serviceName"])
    );
    let ports = node()["ports"].take();
    for service in &services {
        assert_eq!(service["spec"]["selector"], labels);
        for port in service["spec"]["ports"].as_array().expect("ports") {
            let named = ports.as_array().expect("ports").iter();
            let found = named.clone().find(|known| known["name"] == port["targetPort"]);
            assert_eq!(found.expect("a port of the node")["containerPort"], port["port"]);
        }
    }
    let target = &resource("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"];
    assert_eq!((&target["kind"], &target["name"]), (&set["kind"], &set["metadata"]["name"]));
}

#[test]
fn the_pod_is_locked_in_and_has_the_time_it_needs() {
    let (pod, own) = (pod(), node_environment());
    let context = &pod["securityContext"];
    assert_eq!(context["runAsUser"], user());
    assert_eq!(context["fsGroup"], user(), "the group of the secrets");
    for container in [&pod["containers"][0], &pod["initContainers"][0]] {
        let context = &container["securityContext"];
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    }
    assert!(grace_ms() > end_ms(&own));
    for (port_name, key) in [("clients", "CLIENTS"), ("operator", "OPERATOR")] {
        let address = variable(&own, &format!("NARROWCAST__LISTEN__{key}"));
        let ports = node()["ports"].take();
        let named = ports.as_array().expect("ports").iter().find(|port| port["name"] == port_name);
        assert_eq!(named.expect("a port")["containerPort"], port(&address));
    }
}

#[test]
fn the_environment_is_a_configuration_without_mistakes() {
    let (mount, mode) = secrets();
    check(&jail(&node_environment(), OPEN_FILES, &mount, mode));
}

/// The probes and the metric that the number of nodes goes by are of the operator's listener.
#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_node_runs_as_the_pod_says_answers_its_probes_and_ends_in_time() {
    let (mount, mode) = secrets();
    let servers = Servers::start();
    let own = servers.here(&node_environment());
    let jail = jail(&own, OPEN_FILES, &mount, mode);
    let pod = pod();
    let [schema, serve] = ["initContainers", "containers"].map(|key| texts(&pod[key][0]["args"]));
    let node = start(&jail, &schema, &serve).await;
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let get = &pod["containers"][0][probe]["httpGet"];
        assert_eq!(get["port"], "operator", "{probe}");
        assert_eq!(node.operator().get(get["path"].as_str().expect("a path")).0, 200, "{probe}");
    }
    let metrics = resource("HorizontalPodAutoscaler")["spec"]["metrics"].take();
    let metric = metrics[0]["pods"]["metric"]["name"].as_str().expect("a name").to_owned();
    assert!(node.operator().sample(&metric) >= 0.0);
    end(node, grace_ms());
}
