//! What processes have used, by the system's and the database's own counters.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use bson::{Document, doc};
use mongodb::Database;

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that this runs on.
const TICKS: f64 = 100.0;

/// The processor time that a process has used, in seconds, in user and system mode.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = read(process, "stat")?;
    ticks(&stat).map(|ticks| ticks / TICKS).with_context(|| format!("/proc/{process}/stat has another form: {stat}"))
}

/// Fields 14 and 15, counted behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let mut behind = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(behind.next()?.parse::<f64>().ok()? + behind.next()?.parse::<f64>().ok()?)
}

/// Which memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resident {
    Now,
    Peak,
}

/// A process's resident memory in megabytes (2^20).
pub(crate) fn resident_mb(process: u32, which: Resident) -> Result<f64> {
    let name = match which {
        Resident::Now => "VmRSS:",
        Resident::Peak => "VmHWM:",
    };
    let status = read(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kilobytes.ok_or_else(|| anyhow!("/proc/{process}/status has no {name}"))? / 1024.0)
}

fn read(process: u32, file: &str) -> Result<String> {
    let path = Path::new("/proc").join(process.to_string()).join(file);
    std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

/// What a MongoDB server has done since it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Commands that read or write, whatever they hold.
    pub(crate) commands: f64,
    /// Documents inserted, updated and deleted.
    pub(crate) documents: f64,
}

/// The commands that count: what asks for the server's state does not.
const COMMANDS: [&str; 10] = [
    "aggregate",
    "commitTransaction",
    "count",
    "delete",
    "distinct",
    "find",
    "findAndModify",
    "getMore",
    "insert",
    "update",
];

impl Work {
    pub(crate) async fn so_far(database: &Database) -> Result<Self> {
        let status = database.client().database("admin").run_command(doc! { "serverStatus": 1 }).await?;
        let metrics = status.get_document("metrics")?;
        let commands = metrics.get_document("commands")?;
        let total = |name: &&str| commands.get_document(name).map_or(0.0, |counts| number(counts, "total"));
        let documents = metrics.get_document("document")?;
        Ok(Self {
            commands: COMMANDS.iter().map(total).sum(),
            documents: ["inserted", "updated", "deleted"].map(|name| number(documents, name)).iter().sum(),
        })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self { commands: self.commands - before.commands, documents: self.documents - before.documents }
    }
}

/// A count, of whichever number type the server took; 0 if it is not there.
pub(crate) fn number(document: &Document, name: &str) -> f64 {
    match document.get(name) {
        Some(bson::Bson::Int32(count)) => f64::from(*count),
        Some(bson::Bson::Int64(count)) => *count as f64,
        Some(bson::Bson::Double(count)) => *count,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_time_and_memory() {
        let me = std::process::id();
        let mut sum = 0u64;
        while cpu_seconds(me).unwrap() < 0.02 {
            sum = std::hint::black_box(sum + 1);
        }
        // In this order: what is resident may grow between the two.
        let now = resident_mb(me, Resident::Now).unwrap();
        assert!(now > 1.0 && resident_mb(me, Resident::Peak).unwrap() >= now);
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_hides_no_field() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5";
        assert_eq!(ticks(stat), Some(300.0));
    }
}
