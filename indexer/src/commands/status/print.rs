//! The report for people.

use std::fmt::Write;

use super::events::Produced;
use super::leader::Leader;
use super::moment::span;
use super::queue::{Aside, Queue};
use super::stream::{FirstStart, Gap, Gaps, Oplog, Position};
use super::webhooks::Troubled;
use super::{Known, Muted, Paused, Report};
use crate::commands::grouped;

/// Characters of a progress bar.
const BAR: i64 = 30;

/// The whole report.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a text cannot fail.
        let _written = writeln!(text, "{name:<13}{value}");
    };
    line("database", format!("{}, {}", report.database, report.at));
    line("leader", told(&report.leader, leader));
    line("position", told(&report.position, position));
    line("oplog", told(&report.oplog, oplog));
    line("first start", told(&report.first_start, first_start));
    line("gaps", told(&report.gaps, gaps));
    line("queue", told(&report.queue, queue));
    line("webhooks", told(&report.webhooks, webhooks));
    line("paused", told(&report.paused, |pauses| paused(pauses)));
    line("muted", told(&report.muted, |mutes| muted(mutes)));
    line("quarantine", told(&report.quarantine, quarantine));
    line("events", told(&report.events, events));
    for problem in &report.problems {
        line("PROBLEM", problem.clone());
    }
    text
}

fn told<T>(part: &Known<T>, tell: impl Fn(&T) -> String) -> String {
    match part {
        Known::Known(part) => tell(part),
        Known::Unknown { unknown } => format!("not known: {unknown}"),
    }
}

fn leader(leader: &Leader) -> String {
    match leader {
        Leader::None => "none yet".to_owned(),
        Leader::Released { owner, epoch } => format!("none; the last was {owner} (epoch {epoch}), which was stopped"),
        Leader::Alive { owner, epoch } => format!("{owner} (epoch {epoch}), alive"),
        Leader::Silent { owner, epoch } => format!("{owner} (epoch {epoch}), shows no life"),
    }
}

fn position(position: &Option<Position>) -> String {
    let Some(position) = position else { return "none yet".to_owned() };
    let behind = position.lag_seconds.map_or_else(String::new, |lag| format!(", {} behind", span(u64::from(lag))));
    let gap = position.gap.as_ref().map_or_else(String::new, |gap| format!("; recovery of a gap: {gap}"));
    format!("{} (cluster time {}){behind}{gap}", position.time, position.cluster_time)
}

fn oplog(oplog: &Oplog) -> String {
    let size = oplog.size_bytes.map_or_else(String::new, |bytes| format!(", {} MB", grouped(bytes >> 20)));
    let left = match oplog.headroom_seconds {
        None => String::new(),
        Some(left) if left < 0 => ": the position is no longer in it".to_owned(),
        Some(left) if oplog.is_filling() => {
            format!(
                ", not full yet: more than {} until changes are lost, if reading stops now",
                span(left.unsigned_abs())
            )
        }
        Some(left) => format!(": {} until changes are lost, if reading stops now", span(left.unsigned_abs())),
    };
    format!("from {}{size}{left}", oplog.begins)
}

fn first_start(start: &FirstStart) -> String {
    match start {
        FirstStart::Pending => "not begun".to_owned(),
        FirstStart::Complete => "complete".to_owned(),
        FirstStart::Running { done, total, per_second, seconds_left, .. } => {
            let of = total.map_or_else(String::new, |total| format!(" of about {}", grouped(total)));
            let bar = total.map_or_else(String::new, |total| format!("{} ", bar(*done, total)));
            let rate = per_second.map_or_else(String::new, |rate| format!(", {} a second", grouped(rate)));
            let left = seconds_left.map_or_else(String::new, |left| format!(", {} left", span(left.unsigned_abs())));
            format!("{bar}{}{of} tasks taken in{rate}{left}", grouped(*done))
        }
    }
}

fn bar(done: i64, total: i64) -> String {
    let part = |whole: i64| (done.saturating_mul(whole) / total.max(1)).clamp(0, whole);
    let full = usize::try_from(part(BAR)).unwrap_or(0);
    let empty = usize::try_from(BAR).unwrap_or(0) - full;
    format!("[{}{}] {} %", "#".repeat(full), "-".repeat(empty), part(100))
}

fn gaps(gaps: &Gaps) -> String {
    if gaps.latest.is_empty() {
        return "none".to_owned();
    }
    let mut text = format!("{} open, {} recovering, {} recovered", gaps.open, gaps.recovering, gaps.recovered);
    for gap in &gaps.latest {
        let _written = write!(text, "\n  {}", one_gap(gap));
    }
    text
}

fn one_gap(gap: &Gap) -> String {
    let unknown = || "?".to_owned();
    let (from, to) = (gap.from.clone().unwrap_or_else(unknown), gap.to.clone().unwrap_or_else(unknown));
    let progress = match (gap.state.as_str(), gap.done, gap.total) {
        ("recovering", Some(done), Some(total)) => format!(" {}", bar(done, total)),
        _ => String::new(),
    };
    let vanished = gap.vanished.filter(|count| *count > 0);
    let lost = vanished.map_or_else(String::new, |count| format!(", {count} tasks born and deleted inside it"));
    format!("{from} to {to}, {} ({}){progress}: {} events told{lost}", gap.state, gap.reason, grouped(gap.events))
}

fn queue(queue: &Queue) -> String {
    let states = &queue.by_state;
    let of = if states.of < queue.open { format!(" of the first {}", grouped(states.of)) } else { String::new() };
    let mut text = format!(
        "{} open, {} of them due ({} queued, {} failed before; {} held{of}); {} dead letters",
        grouped(queue.open),
        grouped(queue.due),
        grouped(states.queued),
        grouped(states.failed),
        grouped(states.held),
        grouped(queue.dead_letters.cast_signed()),
    );
    for webhook in &queue.webhooks {
        let (open, due) = (grouped(webhook.open), grouped(webhook.due));
        let _written = write!(
            text,
            "\n  webhook {}{}: {open} open, {due} due, the first at {}",
            webhook.webhook_id,
            if webhook.live { "" } else { " (disabled)" },
            webhook.first_due
        );
    }
    text
}

fn webhooks(troubled: &Troubled) -> String {
    let (failing, disabled) = (troubled.failing_count, troubled.disabled_count);
    let mut text = format!("{failing} failing, {disabled} disabled by Taskwire");
    for one in &troubled.failing {
        let (webhook, group, since) = (&one.webhook_id, &one.group_id, &one.since);
        let error = one.error.as_deref().unwrap_or("no answer on record");
        let _written = write!(text, "\n  webhook {webhook} of group {group}: failing since {since}, {error}");
    }
    for one in &troubled.disabled {
        let (webhook, group) = (&one.webhook_id, &one.group_id);
        let _written = write!(text, "\n  webhook {webhook} of group {group}: disabled, {}", one.reason);
    }
    let more = (failing - troubled.failing.len()) + (disabled - troubled.disabled.len());
    if more > 0 {
        let _written = write!(text, "\n  and {more} more");
    }
    text
}

fn paused(pauses: &[Paused]) -> String {
    let one = |pause: &Paused| {
        let what = pause.group_id.as_ref().map_or_else(|| "all groups".to_owned(), |group| format!("group {group}"));
        let note = pause.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        format!("{what}, since {}, by {}{note}", pause.since, pause.by)
    };
    if pauses.is_empty() { "nothing".to_owned() } else { pauses.iter().map(one).collect::<Vec<_>>().join("\n  ") }
}

fn muted(mutes: &[Muted]) -> String {
    let one = |mute: &Muted| {
        let note = mute.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        format!("group {}, from {} to {}, by {}{note}", mute.group_id, mute.since, mute.until, mute.by)
    };
    if mutes.is_empty() { "nothing".to_owned() } else { mutes.iter().map(one).collect::<Vec<_>>().join("\n  ") }
}

fn quarantine(entries: &Aside) -> String {
    let mut text = format!("{} aside", entries.aside);
    for (status, count) in &entries.others {
        let _written = write!(text, ", {count} {status}");
    }
    text
}

fn events(events: &Produced) -> String {
    let mut text =
        format!("about {} in the log; of the newest {}:", grouped(events.log.cast_signed()), grouped(events.looked_at));
    for (name, kind) in &events.kinds {
        let can = if kind.told_by.is_empty() { "cannot be told here".to_owned() } else { kind.told_by.join(", ") };
        let last = kind.last.as_ref().map_or_else(String::new, |last| format!(", last {last}"));
        let _written = write!(text, "\n  {name:<15}{:>9}{last}  (by: {can})", grouped(kind.told));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert!(bar(0, 10).ends_with("] 0 %") && !bar(0, 10).contains('#'));
        assert!(bar(5, 10).starts_with("[###############---------------] 50 %"));
        assert!(bar(12, 10).ends_with("100 %") && !bar(12, 10).contains('-'));
    }

    #[test]
    fn headroom_is_told_in_words() {
        let of = |left, used: i64| {
            let (size_bytes, used_bytes) = (Some(990 << 20), Some(used << 20));
            oplog(&Oplog { begins: "t".into(), size_bytes, used_bytes, headroom_seconds: Some(left) })
        };
        let told = |left| of(left, 985);
        assert!(of(60, 100).contains("not full yet: more than 1 min"));
        assert_eq!(told(75_720), "from t, 990 MB: 21 h 2 min until changes are lost, if reading stops now");
        assert!(told(-5).ends_with("no longer in it"));
    }
}
