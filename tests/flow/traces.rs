//! One trace from the change to the partner, told by whoever took part, to a collector of OpenTelemetry.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::collector::Span;
use taskwire_tests::process::Launch;
use taskwire_tests::service::NewTask;
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Collector, Profile, Program, Stack, free_port};

use crate::common::SOON;

const PRIVATE: &str = "zqmark-private";
const KEY: (&str, &str) = ("x-collector-key", "zq key");

fn traced(stack: &Stack, program: Program, collector: &Collector) -> Launch {
    let launch = stack.launch(program).set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint());
    launch.set("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=zq%20key").set("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    spans.iter().find(|span| span.name == name).with_context(|| format!("no span {name}: {spans:?}"))
}

#[tokio::test]
async fn one_trace_leads_from_the_change_to_each_attempt_and_the_partner_gets_its_id() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    // The first requests find it closed.
    let collector = Collector::start(KEY, 1).await?;
    let mut api = traced(&stack, Program::Api, &collector).start().await?;
    let launch = traced(&stack, Program::Indexer, &collector).set("TASKWIRE_TRACE_TO_PARTNERS", "true");
    let mut indexer = launch.start().await?;
    let target = format!("{}?token={PRIVATE}", stack.receiver.url(HOOK));
    let mut wanted = webhook_for_all_events(stack.service.group().id, &target);
    wanted["retryPolicy"] = json!({"maxAttempts": 3, "backoffSeconds": 1});
    let webhook = stack.admin(&api.url())?.create_webhook(&wanted).await?;
    stack.receiver.set_secret(HOOK, webhook["secret"].as_str().context("no secret")?);
    stack.receiver.fail_first(HOOK, 1, 500);
    stack.service.create(NewTask::named(PRIVATE)).await?;
    stack.receiver.wait_for_events(HOOK, 1, SOON).await?;

    let received = stack.receiver.received_at(HOOK);
    let event = received[0].headers["webhook-id"].to_str()?;
    let trace = hex(&Sha256::digest(event)[..16]);
    let spans = collector.wait_for_trace(&trace, 6, SOON).await?;
    ensure!(spans.len() == 6, "{spans:?}");
    let root = named(&spans, "task.created")?;
    assert_eq!((root.parent.as_ref(), root.service.as_str()), (None, "taskwire-indexer"));
    assert_eq!(root.attributes["taskwire.event.id"], event);
    ensure!(spans.iter().all(|span| *span == *root || span.parent.as_ref() == Some(&root.id)), "{spans:?}");
    let [read, derive, record] = ["read", "derive", "record"].map(|name| named(&spans, name));
    let (read, derive, record) = (read?, derive?, record?);
    assert_eq!((root.began, read.ended, derive.ended), (read.began, derive.began, record.began));
    assert_eq!(record.ended, root.ended);

    // The partner's header names the very span of each attempt.
    assert_eq!(received.len(), 2);
    for (request, number) in received.iter().zip(["1", "2"]) {
        let attempt = spans
            .iter()
            .find(|span| span.attributes.get("taskwire.delivery.attempt").is_some_and(|attempt| attempt == number));
        let attempt = attempt.context("no such attempt")?;
        assert_eq!(request.headers["traceparent"].to_str()?, format!("00-{trace}-{}-01", attempt.id));
        assert_eq!(attempt.attributes["taskwire.webhook.id"], webhook["id"].as_str().unwrap_or_default());
        let (status, failure) = if number == "1" { ("500", Some("HTTP 500")) } else { ("204", None) };
        assert_eq!(
            (attempt.attributes["http.response.status_code"].as_str(), attempt.failure.as_deref()),
            (status, failure)
        );
        ensure!(attempt.kind == 3 && attempt.began >= root.began, "{attempt:?}");
    }
    calls_belong_to_their_callers_trace(&api.url(), &collector).await?;
    assert_eq!((indexer.stop(SOON).await?, api.stop(SOON).await?), (Some(0), Some(0)));
    assert_eq!(collector.complaints(), Vec::<String>::new());
    let said = collector.bodies().join("\n");
    ensure!(!said.contains(PRIVATE) && !said.contains("127.0.0.1"), "{said}");
    Ok(())
}

/// A caller's trace is gone on with, and one that is not sent is left alone.
async fn calls_belong_to_their_callers_trace(api: &str, collector: &Collector) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let traces = ["4bf92f3577b34da6a3ce929d0e0e4736", "5bf92f3577b34da6a3ce929d0e0e4736"];
    for (trace, flags) in [(traces[1], "00"), (traces[0], "01")] {
        let url = format!("{api}/api/integrations/webhooks/{PRIVATE}?token={PRIVATE}");
        let parent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
        let answer = client.get(url).header("traceparent", parent).header("x-request-id", "r-1").send().await?;
        ensure!(answer.status() == 401, "{}", answer.status());
    }
    let spans = collector.wait_for_trace(traces[0], 1, SOON).await?;
    let [span] = spans.as_slice() else { anyhow::bail!("{spans:?}") };
    assert_eq!(
        (span.service.as_str(), span.kind, span.parent.as_deref()),
        ("taskwire-api", 2, Some("00f067aa0ba902b7"))
    );
    let attribute = |key: &str| span.attributes.get(key).map(String::as_str);
    assert_eq!(attribute("http.route"), Some("/api/integrations/webhooks/{id}"));
    assert_eq!((attribute("http.response.status_code"), attribute("taskwire.request.id")), (Some("401"), Some("r-1")));
    ensure!(collector.trace(traces[1]).is_empty(), "it was not to be sent");
    Ok(())
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up_and_is_told_once_and_partners_get_no_header_unasked() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    let nowhere = format!("http://{PRIVATE}:{PRIVATE}@127.0.0.1:{}", free_port()?);
    let mut indexer = stack.launch(Program::Indexer).set("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere).start().await?;
    stack.webhook(&stack.admin(&api.url())?).await?;
    for _ in 0..3 {
        stack.service.create(NewTask::named("task")).await?;
    }
    stack.receiver.wait_for_events(HOOK, 3, SOON).await?;
    indexer.wait_for_log("traces cannot be sent", SOON).await?;
    ensure!(stack.receiver.received().iter().all(|one| !one.headers.contains_key("traceparent")));
    stack.service.create(NewTask::named("task")).await?;
    stack.receiver.wait_for_events(HOOK, 4, SOON).await?;
    // The last ones are tried once more at the end, which takes no longer for it.
    assert_eq!(indexer.stop(SOON).await?, Some(0));
    let log = indexer.log();
    assert_eq!(log.matches("traces cannot be sent").count(), 1, "{log}");
    ensure!(!log.contains(PRIVATE), "{log}");
    assert_eq!(api.stop(SOON).await?, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_protocol_that_is_not_spoken_stops_the_program_with_a_line_that_names_it() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let launch = stack.launch(Program::Indexer).set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    let ran = launch.set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").run().await?.expect(2)?;
    let line: Vec<&str> = ran.err.lines().collect();
    ensure!(
        line.len() == 1 && line[0].contains("OTEL_EXPORTER_OTLP_PROTOCOL") && line[0].contains("http/json"),
        "{line:?}"
    );
    Ok(())
}
