//! The real programs as child processes: started with settings, waited for, signalled, killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::{SOON, eventually, free_port};

/// A program of this workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `taskwire-api`
    Api,
    /// `taskwire-indexer`
    Indexer,
}

impl Program {
    /// Its file's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "taskwire-api",
            Self::Indexer => "taskwire-indexer",
        }
    }

    const fn listen_variable(self) -> &'static str {
        match self {
            Self::Api => "TASKWIRE_API_LISTEN",
            Self::Indexer => "TASKWIRE_INDEXER_LISTEN",
        }
    }

    /// Where it is: in `TASKWIRE_BIN_DIR`, or beside the running program (a test stands one directory deeper).
    ///
    /// # Errors
    /// When it is not there, with the command that builds it.
    pub fn path(self) -> Result<PathBuf> {
        let directories: Vec<PathBuf> = match std::env::var_os("TASKWIRE_BIN_DIR") {
            Some(directory) => vec![directory.into()],
            None => std::env::current_exe()?.ancestors().skip(1).take(2).map(Path::to_owned).collect(),
        };
        let found = directories.iter().map(|directory| directory.join(self.name())).find(|path| path.is_file());
        found.with_context(|| {
            let name = self.name();
            format!("{name} is not built (looked in {directories:?}): cargo build -p taskwire -p taskwire-indexer")
        })
    }
}

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Launch {
    program: Program,
    arguments: Vec<String>,
    settings: Vec<(String, String)>,
    log_directory: PathBuf,
    own_process_group: bool,
}

impl Launch {
    /// This program, on a free port, with no settings of the surroundings: every `TASKWIRE_` and `OTEL_` variable must be given.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let log_directory = std::env::temp_dir().join("taskwire-test-logs");
        Self { program, arguments: Vec::new(), settings: Vec::new(), log_directory, own_process_group: false }
    }

    /// With this environment variable.
    #[must_use]
    pub fn set(mut self, variable: &str, value: &str) -> Self {
        self.settings.retain(|(name, _)| name != variable);
        self.settings.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// With these arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With its log in this directory.
    #[must_use]
    pub fn log_to(mut self, directory: &Path) -> Self {
        directory.clone_into(&mut self.log_directory);
        self
    }

    /// In a process group of its own, so that a Ctrl-C at the terminal does not reach it.
    #[must_use]
    pub fn in_own_process_group(mut self) -> Self {
        self.own_process_group = true;
        self
    }

    /// Starts it; it may not be ready yet.
    ///
    /// # Errors
    /// When it is not built or does not start.
    pub fn spawn(self) -> Result<Process> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        std::fs::create_dir_all(&self.log_directory)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}.log", self.program.name(), std::process::id());
        let log = self.log_directory.join(name);
        let file = std::fs::File::create(&log)?;
        let given = self.settings.iter().find(|(name, _)| name == self.program.listen_variable());
        let address = match given {
            Some((_, address)) => address.clone(),
            None => format!("127.0.0.1:{}", free_port()?),
        };
        let mut command = self.command()?;
        command.env(self.program.listen_variable(), &address).stdout(file.try_clone()?).stderr(file);
        if self.own_process_group {
            command.process_group(0);
        }
        let child = command.spawn().with_context(|| format!("{} does not start", self.program.name()))?;
        Ok(Process { program: self.program, child, log, address })
    }

    /// Runs a command of it to its end.
    ///
    /// # Errors
    /// When it does not start, or does not end within a minute.
    pub async fn run(self) -> Result<Ran> {
        std::fs::create_dir_all(&self.log_directory)?;
        let output = tokio::time::timeout(Duration::from_secs(60), self.command()?.output());
        let output = output.await.with_context(|| format!("{:?} does not end", self.arguments))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(self.program.path()?);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TASKWIRE_") || name.starts_with("OTEL_"))
        {
            command.env_remove(name);
        }
        command
            .args(&self.arguments)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            // A taskwire.toml where the tests are started must not change what is tested.
            .current_dir(&self.log_directory)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Starts it and waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When it ends or is not ready within [`SOON`]; with the end of its log.
    pub async fn start(self) -> Result<Process> {
        let mut process = self.spawn()?;
        process.wait_until_ready(SOON).await?;
        Ok(process)
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it logged.
    pub err: String,
}

impl Ran {
    /// The same, if it ended with this exit code.
    ///
    /// # Errors
    /// With everything it said.
    pub fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "expected exit code {code}: {self:?}");
        Ok(self)
    }

    /// What it printed, as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {}", self.out))
    }
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Child,
    log: PathBuf,
    address: String,
}

impl Process {
    /// The base URL of its HTTP surface.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that it printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where its log is.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended; then the end of its log, else `None`.
    ///
    /// # Errors
    /// The system's.
    pub fn ended(&mut self) -> Result<Option<String>> {
        let ended = self.child.try_wait()?;
        Ok(ended.map(|status| format!("{} ended with {status}: {}", self.program.name(), self.log_end())))
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When it ends or the deadline passes; with the end of its log.
    pub async fn wait_until_ready(&mut self, deadline: Duration) -> Result<()> {
        crate::init();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let url = format!("{}/readyz", self.url());
        let start = std::time::Instant::now();
        let mut last = String::from("nothing");
        while start.elapsed() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} instead of being ready: {}", self.program.name(), self.log_end());
            }
            last = match client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
                Err(error) => error.to_string(),
            };
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{} is not ready after {deadline:?} (/readyz: {last}): {}", self.program.name(), self.log_end())
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Waits until its log holds this text.
    ///
    /// # Errors
    /// When the deadline passes; with the end of its log.
    pub async fn wait_for_log(&self, text: &str, deadline: Duration) -> Result<()> {
        eventually(&format!("{text:?} in the log of {}", self.program.name()), deadline, async || {
            if self.log().contains(text) { Ok(()) } else { Err(self.log_end()) }
        })
        .await
    }

    /// The sum of a metric over its labels, from `/metrics`; 0 if it is not there yet.
    ///
    /// # Errors
    /// When the program does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        crate::init();
        let text = reqwest::get(format!("{}/metrics", self.url())).await?.error_for_status()?.text().await?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let series = series.split('{').next()?;
            if series == name { value.parse::<f64>().ok() } else { None }
        });
        Ok(values.sum())
    }

    /// SIGTERM, and waits until it has ended; its exit code (`None` if a signal ended it).
    ///
    /// # Errors
    /// When it does not end before the deadline.
    pub async fn stop(&mut self, deadline: Duration) -> Result<Option<i32>> {
        self.signal(Signal::SIGTERM)?;
        self.wait_for_end(deadline).await
    }

    /// Waits until it has ended by itself; its exit code (`None` if a signal ended it).
    ///
    /// # Errors
    /// When it does not end before the deadline, or a part of it panicked.
    pub async fn wait_for_end(&mut self, deadline: Duration) -> Result<Option<i32>> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(_) if self.log().contains(" panicked at ") => bail!("{} panicked: {}", self.program.name(), self.log()),
            Ok(status) => Ok(status?.code()),
            Err(_) => bail!("{} has not ended after {deadline:?}: {}", self.program.name(), self.log_end()),
        }
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// SIGSTOP: it stands still and keeps its connections.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.id();
        ensure!(id.is_some(), "{} has ended: {}", self.program.name(), self.log_end());
        kill(Pid::from_raw(i32::try_from(id.unwrap_or_default())?), signal)?;
        Ok(())
    }
}
