//! A task as the service's code holds it, whatever the profile writes it as.

use anyhow::{Context, Result};
use bson::DateTime;
use bson::oid::ObjectId;
use chrono::SecondsFormat;

/// How the service writes: the two built-in profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// PascalCase, int enums, whole-document replaces, history rows.
    TasksTracker,
    /// camelCase, text enums, partial updates, embedded history.
    CamelCase,
}

impl Profile {
    /// The value of `TASKWIRE_MAPPING`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TasksTracker => "tasks-tracker",
            Self::CamelCase => "camel-case",
        }
    }
}

/// Where a task stands. The first five are `tasks-tracker`'s, by number; `camel-case` knows `Pending`, `InProgress`,
/// `Completed`, `Approved` and `Rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Status {
    Pending,
    InProgress,
    Completed,
    Overdue,
    WaitingForApproval,
    Approved,
    Rejected,
}

impl Status {
    /// All of them, `tasks-tracker`'s first and in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::InProgress,
        Self::Completed,
        Self::Overdue,
        Self::WaitingForApproval,
        Self::Approved,
        Self::Rejected,
    ];

    /// The name in payloads and history rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Overdue => "Overdue",
            Self::WaitingForApproval => "WaitingForApproval",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
        }
    }
}

/// `tasks-tracker`'s names of frequencies, by number.
pub const FREQUENCIES: [&str; 7] = ["OneTime", "Daily", "Weekly", "BiWeekly", "Monthly", "Quarterly", "Yearly"];

/// A frequency's name; that of no number is `Unknown`.
#[must_use]
pub fn frequency_name(number: i32) -> &'static str {
    usize::try_from(number).ok().and_then(|number| FREQUENCIES.get(number)).copied().unwrap_or("Unknown")
}

/// A frequency's number.
///
/// # Errors
/// When there is no frequency of this name.
pub fn frequency_number(name: &str) -> Result<i32> {
    let number = FREQUENCIES.iter().position(|known| *known == name);
    Ok(i32::try_from(number.with_context(|| format!("there is no frequency {name}"))?)?)
}

/// `camel-case`'s embedded review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Review {
    /// Pending, Approved or Rejected.
    pub status: Status,
    /// Who reviewed.
    pub reviewed_by: Option<ObjectId>,
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the service's own names")]
pub struct Task {
    pub id: ObjectId,
    pub group: ObjectId,
    pub template: Option<ObjectId>,
    /// All zeros: nobody.
    pub assignee: ObjectId,
    pub name: String,
    pub description: Option<String>,
    /// 1–10.
    pub difficulty: i32,
    pub status: Status,
    pub requires_approval: bool,
    pub due_at: DateTime,
    /// An index into [`FREQUENCIES`].
    pub frequency: i32,
    pub created_at: DateTime,
    pub created_by: ObjectId,
    /// `camel-case` only.
    pub review: Option<Review>,
}

/// The id that stands for nobody.
pub const NOBODY: ObjectId = ObjectId::from_bytes([0; 12]);

/// A time as payloads show it: UTC, milliseconds, `Z`.
#[must_use]
pub fn payload_time(time: DateTime) -> String {
    time.to_chrono().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time as .NET's round-trip format (`O`) shows it, which history rows use.
#[must_use]
pub fn round_trip_time(time: DateTime) -> String {
    time.to_chrono().format("%Y-%m-%dT%H:%M:%S%.3f0000Z").to_string()
}

/// What an edit changes; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the task's own names")]
pub struct Edit {
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub difficulty: Option<i32>,
    pub due_at: Option<DateTime>,
    pub frequency: Option<i32>,
    pub requires_approval: Option<bool>,
}

impl Edit {
    /// Another name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// Another difficulty.
    #[must_use]
    pub fn difficulty(difficulty: i32) -> Self {
        Self { difficulty: Some(difficulty), ..Self::default() }
    }

    /// The task after the edit.
    #[must_use]
    pub fn applied_to(&self, task: &Task) -> Task {
        let mut after = task.clone();
        if let Some(name) = &self.name {
            after.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            after.description.clone_from(description);
        }
        after.difficulty = self.difficulty.unwrap_or(task.difficulty);
        after.due_at = self.due_at.unwrap_or(task.due_at);
        after.frequency = self.frequency.unwrap_or(task.frequency);
        after.requires_approval = self.requires_approval.unwrap_or(task.requires_approval);
        after
    }
}
