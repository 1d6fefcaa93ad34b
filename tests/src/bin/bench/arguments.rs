//! What to measure, and how much of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;

/// Measures throughput, latency, isolation and cost, beside the ceilings of the same machine.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Arguments {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// A short form that only shows that everything runs: its figures mean little.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Only these parts, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// How often each part is measured; the table shows medians.
    #[arg(long, default_value_t = 1)]
    pub(crate) repetitions: usize,
    /// Task changes in a backlog; a multiple of 4.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) writes: usize,
    /// How long latency is measured at each rate, in seconds.
    #[arg(long, default_value_t = 12)]
    pub(crate) seconds: u32,
    /// Leave out the history rows that the task service writes beside each task.
    #[arg(long)]
    pub(crate) without_rows: bool,
    /// Write the results as BENCHMARKS.md, with plots, into this directory.
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, default_missing_value = "docs")]
    pub(crate) write_docs: Option<PathBuf>,
    /// Where the programs' logs go.
    #[arg(long, default_value = ".cache/bench-logs")]
    pub(crate) logs: PathBuf,
    /// Be the receiver, on this address: how the benchmark starts its own.
    #[arg(long, hide = true)]
    pub(crate) receive: Option<SocketAddr>,
}

/// A part of the benchmark that can be chosen, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
#[value(rename_all = "camelCase")]
pub(crate) enum Part {
    Backlog,
    PerTask,
    FanOut,
    Failures,
    Dispatchers,
    Million,
    Latency,
    Isolation,
    Notice,
    Inbound,
    /// Comes with the backlog.
    #[value(skip)]
    Oplog,
    Ceilings,
}

impl Part {
    /// Its name in the table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::PerTask => "per task",
            Self::FanOut => "fan-out to 20",
            Self::Failures => "10 % failures",
            Self::Dispatchers => "two dispatchers",
            Self::Million => "long queue",
            Self::Latency => "commit to receipt",
            Self::Isolation => "isolation",
            Self::Notice => "notice",
            Self::Inbound => "inbound",
            Self::Oplog => "oplog a change",
            Self::Ceilings => "ceilings",
        }
    }
}

/// How large each scene is.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// Rows in a queue that is delivered.
    pub(crate) queued: u32,
    pub(crate) fan_out_events: usize,
    /// Task changes a second.
    pub(crate) rates: Vec<u32>,
    /// Rows in the long queue and in the short one, and how many of the long one are delivered.
    pub(crate) many: u32,
    pub(crate) few: u32,
    pub(crate) first: u32,
    pub(crate) isolation_seconds: u32,
    pub(crate) notice_seconds: u32,
    pub(crate) notice_rows: u32,
    /// Inbound posts of one task; a fifth as many of a hundred.
    pub(crate) posts: usize,
}

impl Arguments {
    /// The same with what `--smoke` makes of it, checked, and the sizes.
    pub(crate) fn sized(mut self) -> Result<(Self, Sizes)> {
        let mut sizes = Sizes {
            queued: 20_000,
            fan_out_events: 1_000,
            rates: vec![50, 300, 1_000],
            many: 1_000_000,
            few: 10_000,
            first: 100_000,
            isolation_seconds: 25,
            notice_seconds: 10,
            notice_rows: 200_000,
            posts: 1_000,
        };
        if self.smoke {
            (self.writes, self.seconds) = (2_000, 2);
            sizes = Sizes {
                queued: 2_000,
                fan_out_events: 40,
                rates: vec![100],
                many: 10_000,
                few: 1_000,
                first: 2_000,
                isolation_seconds: 2,
                notice_seconds: 1,
                notice_rows: 5_000,
                posts: 40,
            };
        }
        ensure!(self.writes.is_multiple_of(4) && self.writes > 0, "--writes takes a multiple of 4");
        ensure!(self.repetitions > 0, "--repetitions takes a number from 1");
        ensure!(self.seconds > 0, "--seconds takes a number from 1");
        if self.only.is_empty() {
            self.only = Part::value_variants().to_vec();
        }
        Ok((self, sizes))
    }
}
