//! The result: figures, each with a value for each repetition.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::arguments::{Arguments, Part};
use crate::machine::Machine;
use crate::statistics::median;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Unit {
    PerSecond,
    Millis,
    Micros,
    Megabytes,
    Bytes,
    /// A ratio.
    Times,
    /// Whole things.
    Count,
    Number,
}

/// What was asked of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Asked {
    AtLeast(f64),
    AtMost(f64),
}

impl Asked {
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// What the machine does at most of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ceiling {
    StreamReads,
    Records,
    Updates,
    Posts,
}

impl Ceiling {
    /// What it counts, in a word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::StreamReads => "reads",
            Self::Records => "records",
            Self::Updates => "updates",
            Self::Posts => "posts",
        }
    }

    /// Its name among the figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::StreamReads => "raw changes read from the stream",
            Self::Records => "events recorded, 500 a transaction",
            Self::Updates => "rows updated, 500 a command",
            Self::Posts => "signed posts to the receiver",
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    pub(crate) part: Part,
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) asked: Option<Asked>,
    /// The steps whose ceilings bound it.
    pub(crate) ceilings: Vec<Ceiling>,
    /// One for each repetition.
    pub(crate) values: Vec<f64>,
}

impl Figure {
    /// What was asked of it.
    pub(crate) const fn asked(&mut self, asked: Asked) -> &mut Self {
        self.asked = Some(asked);
        self
    }

    /// Which ceilings bound it.
    pub(crate) fn of(&mut self, ceilings: &[Ceiling]) -> &mut Self {
        self.ceilings = ceilings.to_vec();
        self
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.values).unwrap_or(0.0)
    }

    pub(crate) fn least(&self) -> f64 {
        self.values.iter().copied().reduce(f64::min).unwrap_or(0.0)
    }

    pub(crate) fn most(&self) -> f64 {
        self.values.iter().copied().reduce(f64::max).unwrap_or(0.0)
    }
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    /// `release` or `debug`: figures of the latter mean nothing.
    pub(crate) build: &'static str,
    pub(crate) machine: Machine,
    pub(crate) repetitions: usize,
    pub(crate) writes: usize,
    pub(crate) history_rows: bool,
    pub(crate) figures: Vec<Figure>,
    /// Curves for the plots, of the last repetition.
    pub(crate) series: BTreeMap<&'static str, Vec<[f64; 2]>>,
    /// What a reader must know of this run.
    pub(crate) notes: Vec<String>,
    /// Parts that broke off, and why.
    pub(crate) failures: Vec<String>,
    #[serde(skip)]
    repetition: usize,
}

impl Report {
    pub(crate) fn new(arguments: &Arguments, machine: Machine) -> Self {
        Self {
            version: taskwire::VERSION,
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            machine,
            repetitions: arguments.repetitions,
            writes: arguments.writes,
            history_rows: !arguments.without_rows,
            figures: Vec::new(),
            series: BTreeMap::new(),
            notes: Vec::new(),
            failures: Vec::new(),
            repetition: 0,
        }
    }

    /// From here on figures belong to this repetition, counted from 0.
    pub(crate) const fn begin(&mut self, repetition: usize) {
        self.repetition = repetition;
    }

    /// Adds a repetition's value.
    pub(crate) fn add(&mut self, part: Part, name: &str, unit: Unit, value: f64) -> &mut Figure {
        let known = self.figures.iter().position(|figure| figure.part == part && figure.name == name);
        let at = known.unwrap_or_else(|| {
            let values = Vec::new();
            self.figures.push(Figure { part, name: name.to_owned(), unit, asked: None, ceilings: Vec::new(), values });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[at];
        figure.values.push(value);
        figure
    }

    pub(crate) fn ceiling(&mut self, ceiling: Ceiling, rate: f64) {
        self.add(Part::Ceilings, ceiling.name(), Unit::PerSecond, rate);
    }

    /// A figure by its name.
    pub(crate) fn figure(&self, part: Part, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.part == part && figure.name == name)
    }

    /// A figure's value in this repetition.
    pub(crate) fn this_time(&self, part: Part, name: &str) -> Option<f64> {
        self.figure(part, name)?.values.get(self.repetition).copied()
    }

    /// A figure's median to that of each of its ceilings, where they were measured.
    pub(crate) fn shares(&self, figure: &Figure) -> Vec<(Ceiling, f64)> {
        let share = |ceiling: &Ceiling| {
            let most = self.figure(Part::Ceilings, ceiling.name())?.median();
            (most > 0.0).then(|| (*ceiling, figure.median() / most))
        };
        figure.ceilings.iter().filter_map(share).collect()
    }

    /// The lowest of its ceilings, where one was measured.
    pub(crate) fn lowest_ceiling(&self, figure: &Figure) -> Option<f64> {
        let rates = figure.ceilings.iter().filter_map(|ceiling| self.figure(Part::Ceilings, ceiling.name()));
        rates.map(Figure::median).reduce(f64::min)
    }

    pub(crate) fn series(&mut self, name: &'static str, points: Vec<[f64; 2]>) {
        self.series.insert(name, points);
    }

    /// Something that a reader must know of this run, once.
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Three repetitions of one figure and its ceiling.
    pub(crate) fn sample() -> Report {
        use clap::Parser;
        let machine = Machine {
            processor: "A processor".to_owned(),
            cpus: 2,
            memory_gb: 24.0,
            kernel: "6.1".to_owned(),
            mongodb: "6.0.5".to_owned(),
            rust: "1.88.0".to_owned(),
            date: "2026-01-01".to_owned(),
        };
        let mut report = Report::new(&Arguments::parse_from(["bench", "--repetitions", "3"]), machine);
        for (repetition, rate) in [8_000.0, 12_000.0, 9_000.0].into_iter().enumerate() {
            report.begin(repetition);
            let figure = report.add(Part::Backlog, "drained", Unit::PerSecond, rate);
            figure.asked(Asked::AtLeast(10_000.0)).of(&[Ceiling::Records, Ceiling::Posts]);
            report.ceiling(Ceiling::Records, 30_000.0);
            report.ceiling(Ceiling::Posts, 60_000.0);
        }
        report
    }

    #[test]
    fn a_figure_has_a_value_for_each_repetition() {
        let mut report = sample();
        assert_eq!(report.this_time(Part::Backlog, "drained"), Some(9_000.0));
        report.begin(3);
        assert_eq!(report.this_time(Part::Backlog, "drained"), None);
        let figure = report.figure(Part::Backlog, "drained").unwrap();
        assert_eq!((figure.least(), figure.median(), figure.most()), (8_000.0, 9_000.0, 12_000.0));
    }
}
