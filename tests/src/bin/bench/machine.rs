//! The machine that was measured.

use std::process::Command;

use anyhow::Result;
use bson::doc;
use chrono::Utc;
use mongodb::Client;
use serde::Serialize;

/// What a reader needs to know of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cpus: usize,
    pub(crate) memory_gb: f64,
    pub(crate) kernel: String,
    pub(crate) mongodb: String,
    pub(crate) rust: String,
    pub(crate) date: String,
}

impl Machine {
    /// This one. What the system does not tell is `unknown`.
    pub(crate) async fn this(client: &Client) -> Result<Self> {
        let build = client.database("admin").run_command(doc! { "buildInfo": 1 }).await?;
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kilobytes = field(&file("/proc/meminfo"), "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok());
        let rustc = Command::new("rustc").arg("--version").output().ok();
        let rust = rustc.and_then(|output| String::from_utf8(output.stdout).ok());
        Ok(Self {
            processor: field(&file("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gb: kilobytes.unwrap_or(0.0) / 1024.0 / 1024.0,
            kernel: non_empty(&file("/proc/sys/kernel/osrelease")),
            mongodb: build.get_str("version")?.to_owned(),
            rust: non_empty(rust.as_deref().and_then(|text| text.split(' ').nth(1)).unwrap_or_default()),
            date: Utc::now().format("%Y-%m-%d").to_string(),
        })
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn non_empty(text: &str) -> String {
    if text.trim().is_empty() { unknown() } else { text.trim().to_owned() }
}

/// The first value of `name : value` lines.
fn field(text: &str, name: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| line.split_once(':')).filter(|(known, _)| known.trim() == name);
    values.map(|(_, value)| value.trim().to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "MemTotalX: 1 kB\nMemTotal:  24 kB\nMemFree: 3 kB";
        assert_eq!(field(text, "MemTotal").as_deref(), Some("24 kB"));
        assert_eq!(field(text, "Mem"), None);
    }
}
