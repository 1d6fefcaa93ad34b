//! The samples of `docs/INBOUND.md`, run against the real program where their runtime is there.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use taskwire_tests::{Profile, Stack};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::echoes::Partner;

/// A sample, as the command that runs it.
async fn samples(build: &Path) -> Result<Vec<(&'static str, Option<Vec<String>>)>> {
    let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/samples");
    let file = |name: &str| place.join(name).to_string_lossy().into_owned();
    let mut samples = Vec::new();
    for (name, interpreter, needs) in [
        ("inbound.sh", "bash", &["curl", "openssl"][..]),
        ("inbound.mjs", "node", &["node"]),
        ("inbound.py", "python3", &["python3"]),
    ] {
        let there = needs.iter().all(|program| is_there(program));
        samples.push((name, there.then(|| vec![interpreter.to_owned(), file(name)])));
    }
    let mut sharp = None;
    if is_there("mcs") && is_there("mono") {
        let program = build.join("Inbound.exe").to_string_lossy().into_owned();
        let out = format!("-out:{program}");
        let compile = Command::new("mcs").args(["-r:System.Net.Http.dll", &out, &file("Inbound.cs")]).status().await?;
        ensure!(compile.success(), "Inbound.cs does not compile");
        sharp = Some(vec!["mono".to_owned(), program]);
    }
    samples.push(("Inbound.cs", sharp));
    Ok(samples)
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Runs a sample; whether it succeeded, and what it printed.
async fn run(command: &[String], secret: &str, arguments: [&str; 2], body: &str) -> Result<(bool, String)> {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .args(arguments)
        .env("INBOUND_SECRET", secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    // One that reads no body may have gone already.
    input.write_all(body.as_bytes()).await.ok();
    drop(input);
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait_with_output()).await??;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[tokio::test]
async fn the_samples_sign_what_is_taken() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let partner = Partner::new(&stack).await?;
    let build = tempfile::tempdir()?;
    let url = format!("{}/api/integrations/inbound/{}/tasks", partner.api.url(), partner.group);
    let mut ran = 0;
    for (name, command) in samples(build.path()).await? {
        let Some(command) = command else {
            eprintln!("{name}: not run, its runtime is not here");
            continue;
        };
        let task = json!({
            "externalId": name, "name": "Wäsche \"waschen\"", "assignedUserId": stack.service.group().members[0].to_hex(),
            "dueAt": "2026-01-31T12:00:00Z",
        });
        let (done, said) = run(&command, &partner.secret, ["POST", &url], &format!("{task}\n")).await?;
        ensure!(done && said.starts_with("201") && said.contains("\"created\""), "{name}: {said}");
        let (done, said) = run(&command, &partner.secret, ["GET", &format!("{url}/{name}")], "").await?;
        ensure!(done && said.starts_with("200") && said.contains("Wäsche"), "{name}: {said}");
        let (done, said) = run(&command, "another secret", ["POST", &url], &task.to_string()).await?;
        ensure!(!done && said.starts_with("401"), "{name}: {said}");
        ran += 1;
    }
    ensure!(ran > 0, "no runtime of any sample is here");
    Ok(())
}
