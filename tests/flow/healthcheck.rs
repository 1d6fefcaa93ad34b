//! `healthcheck` of both programs: the exit code is the answer, one line says why.

use anyhow::Result;
use taskwire_tests::process::Ran;
use taskwire_tests::{Process, Profile, Program, Stack};

use crate::common::SOON;

/// Asks the process at this address, knowing nothing but where it listens.
async fn ask(program: Program, address: &str, arguments: &[&str]) -> Result<Ran> {
    let launch = taskwire_tests::process::Launch::new(program);
    let launch = launch.set("TASKWIRE_API_LISTEN", address).set("TASKWIRE_INDEXER_LISTEN", address);
    launch.arguments(&["healthcheck"]).arguments(arguments).run().await
}

fn address(process: &Process) -> String {
    process.url().replace("http://", "")
}

#[tokio::test]
async fn a_health_check_succeeds_while_the_process_serves_and_says_in_a_line_that_it_does_not() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    for program in [Program::Api, Program::Indexer] {
        let mut process = stack.launch(program).start().await?;
        let at = address(&process);
        let well = ask(program, &at, &[]).await?.expect(0)?;
        assert!(well.err.is_empty(), "{well:?}");
        process.stop(SOON).await?;
        let gone = ask(program, &at, &[]).await?.expect(1)?;
        assert_eq!(gone.err.lines().count(), 1, "{gone:?}");
        assert!(gone.err.contains(&format!("nothing serves at {at}")), "{gone:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_indexer_that_waits_for_its_database_serves_but_is_not_ready() -> Result<()> {
    let mut mongo = taskwire_tests::Mongo::single().await?;
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    let mut indexer = stack.launch(Program::Indexer).start().await?;
    let at = address(&indexer);
    assert_eq!(ask(Program::Indexer, &at, &["--ready"]).await?.expect(0)?.out, "ready\n");

    mongo.node(0).stop().await?;
    taskwire_tests::eventually("it is not ready", SOON, async || {
        let asked = ask(Program::Indexer, &at, &["--ready"]).await.map_err(|error| error.to_string())?;
        if asked.code == Some(1) && asked.err.contains("/readyz with 503") { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await?;
    ask(Program::Indexer, &at, &[]).await?.expect(0)?;
    indexer.kill().await
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_a_stop() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    for program in [Program::Api, Program::Indexer] {
        let mut process = stack.launch(program).start().await?;
        let mut stream = tokio::net::TcpStream::connect(address(&process)).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\nX-Half: ").await?;
        // The process has it once it answers another connection.
        ask(program, &address(&process), &[]).await?.expect(0)?;
        assert_eq!(process.stop(SOON).await?, Some(0));
    }
    Ok(())
}
