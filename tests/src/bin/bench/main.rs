//! The benchmark that `scripts/bench` runs: how fast, how late, how isolated, at what cost, beside what the same machine
//! can do at most.
//!
//! Everything runs on one machine: MongoDB, both programs, the receiver (a process of its own), and this writer.

mod arguments;
mod backlog;
mod ceilings;
mod docs;
mod drain;
mod floor;
mod inbound;
mod isolation;
mod latency;
mod machine;
mod million;
mod notice;
mod oplog;
mod plot;
mod queue;
mod remote;
mod report;
mod scene;
mod statistics;
mod table;
mod tally;
mod usage;
mod writer;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use taskwire_tests::Mongo;
use taskwire_tests::mongo::MongoOptions;

use arguments::{Arguments, Part, Sizes};
use machine::Machine;
use remote::RemoteReceiver;
use report::Report;

/// What every part of the benchmark uses.
struct Bench {
    arguments: Arguments,
    sizes: Sizes,
    mongo: Mongo,
    receiver: RemoteReceiver,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(address) = arguments.receive {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(tally::serve(address))?;
        return Ok(ExitCode::SUCCESS);
    }
    taskwire_tests::init();
    let (arguments, sizes) = arguments.sized()?;
    let report = tokio::runtime::Runtime::new()?.block_on(run(arguments.clone(), sizes))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("\n{}\n{}\n{}", docs::machine(&report), table::table(&report), table::shares(&report));
    }
    if let Some(directory) = &arguments.write_docs {
        docs::write(&report, directory)?;
        eprintln!("bench: written: {}", directory.join("BENCHMARKS.md").display());
    }
    for failure in &report.failures {
        eprintln!("bench: broken off: {failure} (logs: {})", arguments.logs.display());
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(arguments: Arguments, sizes: Sizes) -> Result<Report> {
    std::fs::create_dir_all(&arguments.logs)?;
    let options = MongoOptions { test_commands: false, oplog_mb: 4096, cache_gb: 1.0, ..MongoOptions::default() };
    let mongo = Mongo::start(&options).await?;
    let machine = Machine::this(&mongo.client().await?).await?;
    let receiver = RemoteReceiver::start(&arguments.logs).await?;
    let bench = Bench { arguments, sizes, mongo, receiver };
    let mut report = Report::new(&bench.arguments, machine);
    for repetition in 0..bench.arguments.repetitions {
        bench.say(&format!("repetition {} of {}", repetition + 1, bench.arguments.repetitions));
        for part in bench.arguments.only.clone() {
            // The long queue is filled once, and repeated by itself.
            if part == Part::Million && repetition > 0 {
                continue;
            }
            report.begin(repetition);
            if let Err(error) = bench.measure(part, &mut report).await {
                report.failures.push(format!("{}, repetition {}: {error:#}", part.title(), repetition + 1));
            }
        }
    }
    Ok(report)
}

impl Bench {
    async fn measure(&self, part: Part, report: &mut Report) -> Result<()> {
        match part {
            Part::Backlog => self.measure_backlog(report).await,
            Part::PerTask => self.measure_per_task(report).await,
            Part::FanOut => self.measure_fan_out(report).await,
            Part::Failures => self.measure_failures(report).await,
            Part::Dispatchers => self.measure_dispatchers(report).await,
            Part::Million => self.measure_million(report).await,
            Part::Latency => self.measure_latency(report).await,
            Part::Isolation => self.measure_isolation(report).await,
            Part::Notice => self.measure_notice(report).await,
            Part::Inbound => self.measure_inbound(report).await,
            // Measured with the backlog.
            Part::Oplog => Ok(()),
            Part::Ceilings => self.measure_ceilings(report).await,
        }
    }

    /// Progress goes to standard error, so that the result can be piped.
    #[allow(clippy::unused_self, reason = "reads as a step of the benchmark")]
    fn say(&self, what: &str) {
        eprintln!("bench: {what}");
    }
}
