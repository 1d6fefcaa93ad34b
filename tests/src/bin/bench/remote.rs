//! The receiver in a process of its own, so that its work is the operating system's to share out and not this program's.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use taskwire_tests::receiver::Totals;
use taskwire_tests::{eventually, free_port};
use tokio::process::{Child, Command};

/// Signs every delivery of the benchmark.
pub(crate) const SECRET: &str = "whsec_dGFza3dpcmUtYmVuY2htYXJrLXNpZ25pbmcta2V5LTMy";

/// The running receiver; killed when dropped. Its counters are never reset: measure differences.
pub(crate) struct RemoteReceiver {
    _child: Child,
    base: String,
    client: reqwest::Client,
}

impl RemoteReceiver {
    pub(crate) async fn start(logs: &Path) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("receiver");
        let address = format!("127.0.0.1:{}", free_port()?);
        let log = std::fs::File::create(logs.join("receiver.log"))?;
        let child = Command::new(&program)
            .args(["--listen", &address, "--quiet"])
            .env("RECEIVER_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start (build all of taskwire-tests' programs)", program.display()))?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?;
        let receiver = Self { _child: child, base: format!("http://{address}"), client };
        eventually("the receiver", Duration::from_secs(20), async || {
            receiver.totals().await.map_err(|error| error.to_string())
        })
        .await?;
        Ok(receiver)
    }

    /// The target of webhooks.
    pub(crate) fn hook_url(&self) -> String {
        format!("{}/hook", self.base)
    }

    pub(crate) async fn totals(&self) -> Result<Totals> {
        let page = self.client.get(&self.base).send().await?.bytes().await?;
        Ok(serde_json::from_slice(&page)?)
    }

    /// Waits until this many different events more than `before` have come; fails when none came for 60 s.
    pub(crate) async fn wait_for(&self, before: &Totals, events: u64) -> Result<Totals> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.totals().await?;
            let came = now.distinct_events - before.distinct_events;
            if came >= events {
                return Ok(now);
            }
            if came > last {
                (last, since) = (came, Instant::now());
            }
            if since.elapsed() > Duration::from_secs(60) {
                bail!(
                    "{came} of {events} events came, and none for 60 s; {} requests in all, complaints: {:?}",
                    now.requests - before.requests,
                    now.complaints
                );
            }
            // Asking takes time from what is measured.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
