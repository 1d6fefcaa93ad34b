//! The report as `BENCHMARKS.md` with plots: written anew by each run that is asked to.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::arguments::Part;
use crate::plot::{Bar, Curve, bars, curves};
use crate::report::Report;
use crate::table::{table, with_unit};

const SCENES: &str = "\
Everything runs on one machine and shares its processors: MongoDB (a replica set of one), the indexer, the receiver, and the
writer that stands in for the task service. The receiver is a process of its own with one thread; it counts, and verifies the
first request of each webhook and every 32nd after it. Each value is from a fresh database; only the long queue is filled once,
and what was taken from it put back.

- **backlog**: task changes (each task is created, edited, begun and completed; every change has its history row) are written
  while no indexer runs. Then one starts; deliveries a second from its start to the last receipt. *Watched only* is the half up
  to the recorded delivery, *delivered only* the other half: rows that are queued beforehand, from the first receipt to the last.
  Processor time is that of the whole drain by process, for each delivery.
- **per task**: the same backlog for a webhook with `\"ordering\": \"perTask\"`.
- **fan-out**: each event goes to 20 webhooks.
- **10 % failures**: every tenth answer is a 500, `backoffSeconds` 1; until 95 % are delivered.
- **two dispatchers**: two processes share one queue. On a machine with few processors they share those too.
- **long queue**: rows that are queued beforehand; resident memory of the dispatcher, and its rate over the first rows.
- **commit to receipt**: from the change's own time (by the database's clock, rounded down to the millisecond: half a millisecond
  too much on average) to the request's arrival. The actor wait is 0, except where it says that it waits for actors (the default).
  The first tenth is left out. *A change read and one document written* is the least that the database leaves, with nothing else
  running: what is told must be on a majority of members twice, first as the change, then as the event.
- **isolation**: 100 changes a second for four webhooks: one never answers, one answers after ten seconds, one refuses
  connections, one is healthy; 25 s, so that requests run into their deadline. Latencies of the healthy one, beside those that it
  has alone.
- **notice**: how long the service's own writes of tasks take at 100 a second until a majority has acknowledged them.
- **inbound**: partners' posts of one new task and of a hundred, from eight connections, into one group and into eight; beside
  them the same transaction alone, one after the other, as the store makes it.
- **oplog**: bytes of oplog entries for each task change, the service's (task and history row) and Taskwire's.
- **ceilings**: what the machine does at most of one step, alone: reading the raw change stream; transactions of 500 events with
  their deliveries and snapshots; update commands that end 500 deliveries; signed posts over connections that stay open.
";

/// One line that describes machine and build.
pub(crate) fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let rows = if report.history_rows { "each with its history row" } else { "without history rows" };
    let mut text = format!(
        "Taskwire {} ({} build, Rust {}), {}. {} × {}, {:.0} GB, Linux {}, MongoDB {}. Backlogs of {} task changes, {rows}; \
         {} repetitions.\n",
        report.version,
        report.build,
        machine.rust,
        machine.date,
        machine.cpus,
        machine.processor,
        machine.memory_gb,
        machine.kernel,
        machine.mongodb,
        report.writes,
        report.repetitions,
    );
    for note in &report.notes {
        let _ = writeln!(text, "Note: {note}.");
    }
    for failure in &report.failures {
        let _ = writeln!(text, "Broken off: {failure}.");
    }
    text
}

/// Writes `BENCHMARKS.md` and the plots beside it.
pub(crate) fn write(report: &Report, directory: &Path) -> Result<()> {
    let plots = directory.join("benchmarks");
    std::fs::create_dir_all(&plots).with_context(|| format!("{} cannot be made", plots.display()))?;
    let mut text = format!("# Benchmarks\n\nMade by `scripts/bench --write-docs`.\n\n{}\n", machine(report));
    let _ = write!(text, "{}\n{}", asked(report), table(report));
    for (name, alt, svg) in drawn(report) {
        let path = plots.join(format!("{name}.svg"));
        std::fs::write(&path, svg).with_context(|| format!("{} cannot be written", path.display()))?;
        let _ = write!(text, "\n![{alt}](benchmarks/{name}.svg)\n");
    }
    let _ = write!(text, "\n## What is measured\n\n{SCENES}");
    let page = directory.join("BENCHMARKS.md");
    std::fs::write(&page, text).with_context(|| format!("{} cannot be written", page.display()))
}

/// What was asked, in a sentence each.
fn asked(report: &Report) -> String {
    let all: Vec<_> =
        report.figures.iter().filter_map(|figure| Some((figure, figure.asked?.is_met_by(figure.median())))).collect();
    let reached = all.iter().filter(|(_, met)| *met).count();
    let mut text = format!("Of {} targets {reached} are reached", all.len());
    let missed: Vec<String> = all
        .iter()
        .filter(|(_, met)| !met)
        .map(|(figure, _)| {
            format!("{}, {}: {}", figure.part.title(), figure.name.trim(), with_unit(figure.unit, figure.median()))
        })
        .collect();
    text.push_str(if missed.is_empty() { ".\n" } else { "; missed are:\n\n" });
    for one in missed {
        let _ = writeln!(text, "- {one}");
    }
    text
}

/// The plots of what was measured: file name, description, SVG.
fn drawn(report: &Report) -> Vec<(&'static str, &'static str, String)> {
    let mut plots = Vec::new();
    let rates = rates(report);
    if !rates.is_empty() {
        let svg = bars("Throughput (grey: its lowest ceiling)", "/s", &rates);
        plots.push(("throughput", "Throughput beside its ceilings", svg));
    }
    let latencies = latencies(report);
    if !latencies.is_empty() {
        let svg = curves("From commit to receipt", "changes a second", "ms", &latencies);
        plots.push(("latency", "Time from commit to receipt by rate", svg));
    }
    if let Some(points) = report.series.get("memory") {
        let memory = Curve { label: "resident".to_owned(), points: points.clone() };
        let svg = curves("Memory of the dispatcher in a long queue", "deliveries made", "MB", &[memory]);
        plots.push(("memory", "Resident memory while a long queue drains", svg));
    }
    plots
}

/// A bar for each rate that a ceiling bounds.
fn rates(report: &Report) -> Vec<Bar> {
    let bounded = report.figures.iter().filter(|figure| !figure.ceilings.is_empty());
    bounded
        .map(|figure| {
            // What follows the colon is said in the table.
            let name = figure.name.split(':').next().unwrap_or_default();
            let label = format!("{}: {name}", figure.part.title());
            Bar { label, value: figure.median(), ceiling: report.lowest_ceiling(figure) }
        })
        .collect()
}

/// A curve over the rates for each percentile, without the wait for actors.
fn latencies(report: &Report) -> Vec<Curve> {
    let curve = |percentile: &str| {
        let points = report.figures.iter().filter(|figure| figure.part == Part::Latency).filter_map(|figure| {
            let rate = figure.name.strip_suffix(&format!(" changes/s: {percentile}"))?.parse().ok()?;
            Some([rate, figure.median()])
        });
        Curve { label: percentile.to_owned(), points: points.collect() }
    };
    ["p50", "p95", "p99"].into_iter().map(curve).filter(|curve| !curve.points.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Unit;
    use crate::report::tests::sample;

    #[test]
    fn the_page_names_the_machine_what_was_missed_and_its_plots() {
        let directory = tempfile::tempdir().unwrap();
        let mut report = sample();
        for (name, value) in [("50 changes/s: p50", 2.0), ("300 changes/s: p50", 4.0)] {
            report.add(Part::Latency, name, Unit::Millis, value);
        }
        write(&report, directory.path()).unwrap();
        let page = std::fs::read_to_string(directory.path().join("BENCHMARKS.md")).unwrap();
        for part in ["2 × A processor", "- backlog, drained: 9,000 /s", "| backlog", "benchmarks/throughput.svg"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let latency = std::fs::read_to_string(directory.path().join("benchmarks/latency.svg")).unwrap();
        assert!(latency.contains("polyline") && !page.contains("memory.svg"), "{latency}");
    }
}
