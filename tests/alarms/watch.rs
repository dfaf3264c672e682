//! Who looks at the alerts, and notes when each fires by a fault and when it has passed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::rules::{self, NOT_FIRED};
use crate::harness::{PATIENCE, Prometheus};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// How long an alert may take to pass: the longest range of a rule, an hour, and what a node takes
/// to be well again.
const PASSES: Duration = Duration::from_mins(6);

pub struct Watch {
    prometheus: Prometheus,
    faults: Vec<Fault>,
}

struct Fault {
    name: &'static str,
    struck: Instant,
    healed: Option<Instant>,
    rows: Vec<Row>,
    /// Alerts that were there before, and those that came besides.
    before: BTreeSet<String>,
    besides: BTreeSet<String>,
}

/// An alert that a fault must fire.
struct Row {
    alert: &'static str,
    fired: Option<Duration>,
    passed: Option<Duration>,
}

impl Watch {
    /// Watches these operators' listeners, `host:port`, by the rules in faster time. All are
    /// scraped when this returns, and nothing fires for want of a first scrape.
    pub async fn start(targets: &[String]) -> Self {
        let prometheus = Prometheus::start(targets, &rules::faster()).await;
        let all_up = format!("sum(up) == {}", targets.len());
        let until = Instant::now() + PATIENCE;
        while prometheus.query(&all_up).await.is_empty() || !prometheus.firing().await.is_empty() {
            assert!(Instant::now() < until, "all are scraped, and nothing fires");
            tokio::time::sleep(LOOK).await;
        }
        Self { prometheus, faults: Vec::new() }
    }

    /// Nothing fires for so long, and nothing is pending through all of the second half. So alerts
    /// are covered whose `for` is longer than that as well; a moment of pending is what it is for.
    pub async fn is_calm(&mut self, bound: Duration) {
        let began = Instant::now();
        let mut pending = rules::names();
        while began.elapsed() < bound {
            let firing = self.look().await;
            assert!(firing.is_empty(), "while all is well: {firing:?}");
            if began.elapsed() > bound / 2 {
                let now = self.prometheus.pending().await;
                pending.retain(|alert| now.contains(alert));
            }
            tokio::time::sleep(LOOK).await;
        }
        assert!(pending.is_empty(), "pending while all is well: {pending:?}");
    }

    /// Begins a fault that must fire these alerts, none of which fires yet. It strikes when this
    /// returns.
    pub async fn expect(&mut self, name: &'static str, alerts: &[&'static str]) {
        let is_no_rule = |alert: &&&str| !rules::names().contains(**alert);
        assert_eq!(alerts.iter().find(is_no_rule), None, "an alert of the rules");
        let until = Instant::now() + PASSES;
        let mut before = self.look().await;
        while alerts.iter().any(|alert| before.contains(*alert)) {
            assert!(Instant::now() < until, "before {name}: {before:?}");
            tokio::time::sleep(LOOK).await;
            before = self.look().await;
        }
        let rows = alerts.iter().map(|&alert| Row { alert, fired: None, passed: None }).collect();
        let (struck, besides) = (Instant::now(), BTreeSet::new());
        self.faults.push(Fault { name, struck, healed: None, rows, before, besides });
        println!("{name}: {alerts:?}");
    }

    /// Waits until all alerts of the fault have fired.
    pub async fn fire(&mut self, bound: Duration) {
        let until = Instant::now() + bound;
        while !self.have_fired().await {
            let fault = self.faults.last().expect("one was begun");
            let missing: Vec<&str> =
                fault.rows.iter().filter(|row| row.fired.is_none()).map(|row| row.alert).collect();
            if Instant::now() >= until {
                self.print();
                panic!("{}: {missing:?} did not fire", fault.name);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether all alerts of the fault have fired.
    pub async fn have_fired(&mut self) -> bool {
        self.look().await;
        let fault = self.faults.last().expect("one was begun");
        fault.rows.iter().all(|row| row.fired.is_some())
    }

    /// The fault is over.
    pub fn heal(&mut self) {
        self.faults.last_mut().expect("one was begun").healed = Some(Instant::now());
    }

    /// Waits until all has passed, and prints what was seen.
    pub async fn end(mut self) {
        let until = Instant::now() + PASSES;
        let mut firing = self.look().await;
        while !firing.is_empty() {
            if Instant::now() >= until {
                self.print();
                panic!("does not pass: {firing:?}");
            }
            tokio::time::sleep(LOOK).await;
            firing = self.look().await;
        }
        self.print();
    }

    async fn look(&mut self) -> BTreeSet<String> {
        let firing = self.prometheus.firing().await;
        for fault in &mut self.faults {
            fault.note(&firing);
        }
        firing
    }

    /// Prints what was seen so far.
    pub fn print(&self) {
        println!("| alert | fault | fires after | passes after |");
        println!("| --- | --- | --: | --: |");
        for alert in NOT_FIRED {
            println!("| {alert} | none here: three servers with a clock each are needed | | |");
        }
        for fault in &self.faults {
            for row in &fault.rows {
                let seconds = |time: Option<Duration>| {
                    time.map_or("never".to_owned(), |time| format!("{:.0} s", time.as_secs_f64()))
                };
                let (fired, passed) = (seconds(row.fired), seconds(row.passed));
                println!("| {} | {} | {fired} | {passed} |", row.alert, fault.name);
            }
            for besides in &fault.besides {
                println!("| {besides} | {}, besides | | |", fault.name);
            }
        }
    }
}

impl Fault {
    fn note(&mut self, firing: &BTreeSet<String>) {
        for row in &mut self.rows {
            let fires = firing.contains(row.alert);
            match (row.fired, self.healed) {
                (None, _) if fires => row.fired = Some(self.struck.elapsed()),
                (Some(_), Some(healed)) if !fires && row.passed.is_none() => {
                    row.passed = Some(healed.elapsed());
                }
                _ => {}
            }
        }
        if self.healed.is_none() {
            let is_own = |alert: &String| self.rows.iter().any(|row| row.alert == alert);
            let others = firing.iter().filter(|alert| !is_own(alert));
            let new = others.filter(|alert| !self.before.contains(*alert));
            self.besides.extend(new.cloned());
        }
    }
}
