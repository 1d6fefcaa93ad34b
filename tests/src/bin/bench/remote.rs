//! The receiver in a process of its own, so that its work is the operating system's to share out and not this program's.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use taskwire_tests::{eventually, free_port};
use tokio::process::{Child, Command};

use crate::tally::{Counts, Receipt};

/// Signs every delivery of the benchmark.
pub(crate) const SECRET: &str = "whsec_dGFza3dpcmUtYmVuY2htYXJrLXNpZ25pbmcta2V5LTMy";

/// How long nothing may come before a scene has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running receiver; killed when dropped.
pub(crate) struct RemoteReceiver {
    child: Child,
    address: String,
    client: reqwest::Client,
}

impl RemoteReceiver {
    pub(crate) async fn start(logs: &Path) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let log = std::fs::File::create(logs.join("receiver.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["--receive", &address])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the receiver does not start")?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let receiver = Self { child, address, client };
        eventually("the receiver", Duration::from_secs(20), async || {
            receiver.counts("/").await.map_err(|error| error.to_string())
        })
        .await?;
        Ok(receiver)
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its process, while it runs.
    pub(crate) fn process(&self) -> Result<u32> {
        self.child.id().context("the receiver has ended: see receiver.log")
    }

    /// What came to the paths that begin so.
    pub(crate) async fn counts(&self, beginning: &str) -> Result<Counts> {
        let page = self.client.get(self.url(beginning)).send().await?.error_for_status()?.bytes().await?;
        Ok(serde_json::from_slice(&page)?)
    }

    /// When the deliveries to the paths that begin so came, in that order.
    pub(crate) async fn receipts(&self, beginning: &str) -> Result<Vec<Receipt>> {
        let url = format!("{}?receipts", self.url(beginning));
        let page = self.client.get(url).send().await?.error_for_status()?.bytes().await?;
        Ok(serde_json::from_slice(&page)?)
    }

    /// Forgets the paths that begin so.
    pub(crate) async fn forget(&self, beginning: &str) -> Result<()> {
        self.client.delete(self.url(beginning)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Waits until so many different deliveries have come; fails when none came for a minute, or one did not verify.
    pub(crate) async fn wait_for(&self, beginning: &str, deliveries: u64) -> Result<Counts> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.counts(beginning).await?;
            ensure!(now.refused == 0, "{} requests did not verify: {:?}", now.refused, now.complaint);
            if now.deliveries >= deliveries {
                return Ok(now);
            }
            if now.deliveries > last {
                (last, since) = (now.deliveries, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                bail!(
                    "{} of {deliveries} deliveries came, and none for {PATIENCE:?}; {} requests in all",
                    now.deliveries,
                    now.requests
                );
            }
            // Asking takes time from what is measured.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
