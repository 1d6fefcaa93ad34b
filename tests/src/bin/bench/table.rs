//! The report as a table that reads well in a terminal and is Markdown too.

use std::fmt::Write as _;

use crate::report::{Asked, Figure, Report, Unit};

const HEAD: [&str; 6] = ["", "", "median", "least – most", "of the ceilings", "asked"];

/// Columns of numbers are flush right.
const RIGHT: [bool; 6] = [false, false, true, true, false, false];

/// All figures, in the order of the parts.
pub(crate) fn table(report: &Report) -> String {
    let mut figures: Vec<&Figure> = report.figures.iter().collect();
    figures.sort_by_key(|figure| figure.part);
    let mut rows = vec![HEAD.map(str::to_owned)];
    let mut last = None;
    for figure in figures {
        let title = if last == Some(figure.part) { "" } else { figure.part.title() };
        last = Some(figure.part);
        rows.push(row(report, figure, title));
    }
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (at, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[at] - cell.chars().count());
            let cell = if RIGHT[at] { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
            // Writing into a string does not fail.
            let _ = write!(text, "| {cell} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for (at, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ = write!(text, "|{}", if RIGHT[at] { format!("{dashes}:") } else { format!("{dashes}-") });
            }
            text.push_str("|\n");
        }
    }
    text
}

fn row(report: &Report, figure: &Figure, title: &str) -> [String; 6] {
    let unit = figure.unit;
    let spread = match figure.values.len() {
        0 | 1 => String::new(),
        _ => format!("{} – {}", plain(unit, figure.least()), plain(unit, figure.most())),
    };
    let shares: Vec<String> = report
        .shares(figure)
        .into_iter()
        .map(|(ceiling, share)| format!("{:.0} % {}", share * 100.0, ceiling.word()))
        .collect();
    let asked = figure.asked.map_or_else(String::new, |asked| {
        let verdict = if asked.is_met_by(figure.median()) { "reached" } else { "missed" };
        let bound = match asked {
            Asked::AtLeast(least) => format!("at least {}", plain(unit, least)),
            Asked::AtMost(most) => format!("at most {}", plain(unit, most)),
        };
        format!("{bound}: {verdict}")
    });
    [title.to_owned(), figure.name.clone(), with_unit(unit, figure.median()), spread, shares.join(", "), asked]
}

/// The shares of the ceilings, one line each: what a short run says at its end.
pub(crate) fn shares(report: &Report) -> String {
    let mut text = String::new();
    for figure in &report.figures {
        for (ceiling, share) in report.shares(figure) {
            let (part, name, ceiling) = (figure.part.title(), &figure.name, ceiling.name());
            let _ = writeln!(text, "{part}, {name}: {:.0} % of the ceiling ({ceiling})", share * 100.0);
        }
    }
    text
}

/// A value with its unit.
pub(crate) fn with_unit(unit: Unit, value: f64) -> String {
    let plain = plain(unit, value);
    match unit {
        Unit::PerSecond => format!("{plain} /s"),
        Unit::Millis => format!("{plain} ms"),
        Unit::Micros => format!("{plain} µs"),
        Unit::Megabytes => format!("{plain} MB"),
        Unit::Bytes => format!("{plain} B"),
        Unit::Times => format!("{plain} ×"),
        Unit::Count | Unit::Number => plain,
    }
}

fn plain(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond | Unit::Bytes | Unit::Count => thousands(value),
        Unit::Millis | Unit::Megabytes => format!("{value:.1}"),
        Unit::Micros => format!("{value:.0}"),
        Unit::Times | Unit::Number => format!("{value:.2}"),
    }
}

/// A whole number in groups of three digits.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn whole_numbers_stand_in_groups_of_three() {
        assert_eq!([0.0, 999.0, 1_000.0, 1_234_567.4].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_row_has_the_median_the_spread_the_share_of_the_ceiling_and_what_was_asked() {
        let table = table(&sample());
        let row = table.lines().find(|line| line.starts_with("| backlog")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let wanted = [
            "",
            "backlog",
            "drained",
            "9,000 /s",
            "8,000 – 12,000",
            "30 % records, 15 % posts",
            "at least 10,000: missed",
            "",
        ];
        assert_eq!(cells, wanted);
        assert!(shares(&sample()).contains("backlog, drained: 30 % of the ceiling (events recorded"));
        let widths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    }
}
