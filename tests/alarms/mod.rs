//! What operators trust: a real Prometheus scrapes real nodes under load. Each alert fires by its
//! fault, none fires while all is well, and each panel of the dashboard draws something.

mod calm;
mod dashboard;
mod faults;
mod rules;
mod talkers;
mod watch;

use std::collections::BTreeSet;

#[test]
fn each_alert_has_a_fault_that_fires_it_or_a_reason() {
    let fired: BTreeSet<String> = [&faults::ALERTS.concat(), &rules::NOT_FIRED[..]]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(fired, rules::names());
}
