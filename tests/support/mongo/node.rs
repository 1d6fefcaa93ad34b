//! One mongod.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bson::{Document, doc};
use mongodb::Client;
use mongodb::options::{ClientOptions, ServerAddress};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::MongoOptions;
use crate::{SOON, eventually, free_port};

/// A mongod process that can be stopped, killed, paused and started again on the same port and data.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    port: u16,
    own_process_group: bool,
    child: Option<Child>,
}

impl Node {
    pub(super) async fn start(program: &Path, data: &Path, options: &MongoOptions) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let mut last = None;
        // Another process may take a free port before mongod does.
        for _ in 0..3 {
            let mut node = Self::on_port(program, data, options, free_port()?);
            match node.restart().await {
                Ok(()) => return Ok(node),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("three tries")?)
    }

    fn on_port(program: &Path, data: &Path, options: &MongoOptions, port: u16) -> Self {
        let log = data.join("mongod.log");
        let mut arguments: Vec<String> =
            ["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--logappend"].map(str::to_owned).to_vec();
        // A stop would otherwise wait 15 s for clients to go elsewhere.
        arguments.extend(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"].map(str::to_owned));
        if options.test_commands {
            arguments.extend(["--setParameter", "enableTestCommands=1"].map(str::to_owned));
        }
        for (name, value) in [
            ("--port", port.to_string()),
            ("--dbpath", data.display().to_string()),
            ("--logpath", log.display().to_string()),
            ("--oplogSize", options.oplog_mb.to_string()),
            ("--wiredTigerCacheSizeGB", options.cache_gb.to_string()),
        ] {
            arguments.extend([name.to_owned(), value]);
        }
        arguments.extend(options.arguments.iter().cloned());
        let own_process_group = options.own_process_group;
        Self { program: program.to_owned(), arguments, log, port, own_process_group, child: None }
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// A connection string to this node alone.
    #[must_use]
    pub fn direct_uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }

    /// Starts it (again) and waits until it answers; it may not be primary yet.
    ///
    /// # Errors
    /// When it ends or does not answer within a minute; with the last lines of its log.
    pub async fn restart(&mut self) -> Result<()> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if self.own_process_group {
            command.process_group(0);
        }
        let child = command.spawn().with_context(|| format!("{} does not start", self.program.display()))?;
        self.child = Some(child);
        let start = std::time::Instant::now();
        loop {
            if self.hello().await.is_ok() {
                return Ok(());
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || start.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(3).collect();
                bail!("mongod on port {} does not come up ({ended:?}): {}", self.port, lines.join(" | "));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGTERM, and waits until it has ended.
    ///
    /// # Errors
    /// When it does not end within 30 s.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        eventually("mongod to end", SOON, async || match child.try_wait() {
            Ok(Some(_)) => Ok(()),
            _ => Err("it runs".to_owned()),
        })
        .await
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().with_context(|| format!("the node on port {} does not run", self.port))?;
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        Ok(())
    }

    /// A client of this node alone.
    ///
    /// # Errors
    /// The driver's.
    pub async fn client(&self) -> Result<Client> {
        let address = ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(self.port) };
        let options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_millis(500))
            .connect_timeout(Duration::from_millis(500))
            .build();
        Ok(Client::with_options(options)?)
    }

    /// The node's own view of itself.
    ///
    /// # Errors
    /// When it does not answer within a second.
    pub async fn hello(&self) -> Result<Document> {
        let client = self.client().await?;
        let admin = client.database("admin");
        let answer = admin.run_command(doc! { "hello": 1 });
        Ok(tokio::time::timeout(Duration::from_secs(1), answer).await??)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its data goes too: nothing is worth a slow end.
        let _ = self.kill();
    }
}
