//! What the system says of this process, in the names that Prometheus' own client libraries use. Read from `/proc` as it is
//! asked for; where there is none, nothing is said.

use std::fmt::Write;
use std::fs;

/// Ticks a second in `/proc/…/stat`: the same on every architecture, whatever the kernel's own clock.
const TICKS: f64 = 100.0;

/// One metric: its name, its kind, what it says, and its value.
type Metric = (&'static str, &'static str, &'static str, Option<f64>);

/// The process's metrics in Prometheus' text format.
pub(super) fn render() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let metrics: [Metric; 7] = [
        ("process_cpu_seconds_total", "counter", "User and system CPU time spent", cpu_seconds(&stat)),
        ("process_start_time_seconds", "gauge", "When it started, since the Unix epoch", start_time(&stat)),
        ("process_resident_memory_bytes", "gauge", "Resident memory", kilobytes(&status, "VmRSS:")),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory", kilobytes(&status, "VmSize:")),
        ("process_threads", "gauge", "Threads of the system", field(&stat, 20)),
        ("process_open_fds", "gauge", "Open file descriptors", open_files()),
        ("process_max_fds", "gauge", "The most that may be open", open_files_max()),
    ];
    let mut text = String::new();
    for (name, kind, says, value) in metrics {
        if let Some(value) = value {
            // Writing to a text cannot fail.
            let _written = writeln!(text, "# HELP {name} {says}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    }
    text
}

/// A field of `/proc/self/stat`, counted from 1 as in proc(5). The second, the program's name, may hold anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn start_time(stat: &str) -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + field(stat, 22)? / TICKS)
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

fn open_files() -> Option<f64> {
    // One of them is the listing's own.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(open).ok().map(f64::from)
}

fn open_files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    #[test]
    fn each_process_metric_says_something_that_can_be_true_of_this_process() {
        let text = render();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let started = value(&text, "process_start_time_seconds");
        assert!(started > now - 3600.0 && started <= now + 1.0, "started {started}, now {now}");
        let resident = value(&text, "process_resident_memory_bytes");
        assert!(resident > 1e6 && resident <= value(&text, "process_virtual_memory_bytes"), "{text}");
        let open = value(&text, "process_open_fds");
        assert!(open >= 3.0 && open < value(&text, "process_max_fds"), "{text}");
        assert!(value(&text, "process_threads") >= 1.0);
        assert!(text.contains("# TYPE process_cpu_seconds_total counter"), "{text}");
    }

    #[test]
    fn cpu_time_grows_with_work_and_open_files_with_files() {
        let (cpu, open) = (value(&render(), "process_cpu_seconds_total"), value(&render(), "process_open_fds"));
        let _files: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while value(&render(), "process_cpu_seconds_total") < cpu + 0.05 {
            assert!(std::time::Instant::now() < until, "no CPU time is counted");
        }
        // Other tests of this process open and close files too.
        assert!(value(&render(), "process_open_fds") > open + 20.0);
    }

    #[test]
    fn a_programs_name_may_hold_spaces_and_brackets() {
        let stat = "42 (a ) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 150 0 0 20 0 9 0 777 1000 10";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!((field(stat, 20), field(stat, 22), field(stat, 99)), (Some(9.0), Some(777.0), None));
    }
}
