//! `/metrics` of both programs: what alerts and dashboard ask for is there, and what is not known is not.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use taskwire_tests::{Mongo, Process, Profile, Program, Stack, eventually};

use crate::common::{SOON, start_indexer};

const LAGS: [&str; 4] = [
    "taskwire_resume_token_lag_seconds",
    "taskwire_read_lag_seconds",
    "taskwire_committed_lag_seconds",
    "taskwire_oplog_window_remaining_seconds",
];

async fn scrape(process: &Process) -> Result<String, String> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
    let answer = async { client?.get(format!("{}/metrics", process.url())).send().await?.text().await };
    answer.await.map_err(|error| error.to_string())
}

/// A gauge's value; `None` while it is absent.
fn gauge(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The metrics that a file asks for.
fn asked(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("taskwire_") || word.starts_with("process_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

/// The names of the samples that are there.
fn names(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let names = samples.filter_map(|line| line.split(['{', ' ']).next());
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned()).collect()
}

#[tokio::test]
async fn every_metric_that_an_alert_or_the_dashboard_asks_for_is_there_before_anything_has_happened() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let api = stack.launch(Program::Api).start().await?;
    let indexer = start_indexer(&stack).await?;
    let mut wanted = asked("prometheus/alerts.yml");
    wanted.append(&mut asked("grafana/dashboards/taskwire.json"));
    assert!(wanted.len() > 20 && wanted.contains("taskwire_gaps_recovered_total"), "{wanted:?}");
    // A counter that first appears as 1 shows no increase, and an alert on its increase never fires.
    eventually("each of them is there", SOON, async || {
        let there: BTreeSet<String> =
            [scrape(&api).await?, scrape(&indexer).await?].iter().flat_map(|text| names(text)).collect();
        let missing: Vec<_> = wanted.difference(&there).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
    })
    .await
}

#[tokio::test]
async fn both_programs_tell_of_themselves_and_of_their_connections() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let api = stack.launch(Program::Api).start().await?;
    let indexer = start_indexer(&stack).await?;
    for (process, program) in [(&api, "taskwire-api"), (&indexer, "taskwire-indexer")] {
        let text = scrape(process).await.map_err(anyhow::Error::msg)?;
        let build = format!("taskwire_build_info{{program=\"{program}\",version=\"{}\"}} 1", taskwire::VERSION);
        assert!(text.lines().any(|line| line == build), "{text}");
        let value = |name| gauge(&text, name).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_open_fds") >= 3.0);
        let (open, in_use) = (value("taskwire_mongodb_connections"), value("taskwire_mongodb_connections_in_use"));
        assert!(open >= 1.0 && (0.0..=open).contains(&in_use), "{in_use} of {open}");
        assert!(value("taskwire_mongodb_checkout_seconds_count") >= 1.0);
        for le in ["0.001", "60", "+Inf"] {
            let bucket = format!("taskwire_mongodb_checkout_seconds_bucket{{le=\"{le}\"}} ");
            assert!(text.lines().any(|line| line.starts_with(&bucket)), "no {bucket}in {text}");
        }
    }
    // The stream is asked for more all along, and nothing else is done.
    eventually("the stream holds a connection", SOON, async || {
        let in_use = gauge(&scrape(&indexer).await?, "taskwire_mongodb_connections_in_use");
        if in_use >= Some(1.0) { Ok(()) } else { Err(format!("{in_use:?}")) }
    })
    .await
}

#[tokio::test]
async fn only_who_leads_knows_a_lag_and_who_no_longer_leads_forgets_it() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let launch = || stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "500");
    let first = launch().start().await?;
    let knows = async |process: &Process| {
        eventually("it leads and knows all its lags", SOON, async || {
            let text = scrape(process).await?;
            let missing: Vec<_> = LAGS.into_iter().filter(|name| gauge(&text, name).is_none()).collect();
            if missing.is_empty() { Ok(text) } else { Err(format!("missing: {missing:?}")) }
        })
        .await
    };
    let knows_none = async |process: &Process| {
        eventually("it does not lead and knows no lag", SOON, async || {
            let text = scrape(process).await?;
            let known: Vec<_> = LAGS.into_iter().filter(|name| gauge(&text, name).is_some()).collect();
            let leads = gauge(&text, "taskwire_watcher_leader");
            if known.is_empty() && leads == Some(0.0) { Ok(()) } else { Err(format!("known: {known:?}, {leads:?}")) }
        })
        .await
    };
    let text = knows(&first).await?;
    assert!(gauge(&text, LAGS[0]).is_some_and(|lag| lag < 30.0), "idle and caught up: {text}");
    let second = launch().start().await?;
    knows_none(&second).await?;

    first.pause()?;
    knows(&second).await?;
    first.resume()?;
    knows_none(&first).await
}

#[tokio::test]
async fn a_lag_grows_while_the_primary_stands_still() -> Result<()> {
    let mut mongo = Mongo::single().await?;
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let lag = async |what: &str, fits: fn(f64) -> bool| {
        eventually(what, SOON, async || {
            let lag = gauge(&scrape(&indexer).await?, LAGS[0]);
            if lag.is_some_and(fits) { Ok(()) } else { Err(format!("{lag:?}")) }
        })
        .await
    };
    lag("it is known", |lag| lag < 3.0).await?;
    mongo.node(0).pause()?;
    let grown = lag("it grows although nobody tells the time", |lag| lag > 4.0).await;
    mongo.node(0).resume()?;
    grown?;
    lag("it is small again", |lag| lag < 3.0).await?;
    indexer.kill().await
}
