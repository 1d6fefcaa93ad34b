//! The bodies and parameters of calls as the API's document describes them; what reads them is in `json.rs` and its like.
#![allow(dead_code, reason = "described, not made")]

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::model::ItemResult;

/// The group in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path, rename_all = "camelCase")]
pub(super) struct GroupPath {
    /// The group.
    #[param(example = "65a0000000000000000000a1")]
    group_id: String,
}

/// The task in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path, rename_all = "camelCase")]
pub(super) struct TaskPath {
    /// The group.
    #[param(example = "65a0000000000000000000a1")]
    group_id: String,
    /// The partner's id.
    #[param(min_length = 1, max_length = 128, example = "order-4711")]
    external_id: String,
}

/// What signs a call.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Signed {
    /// Unix seconds, within 300 of the present.
    #[param(rename = "X-Timestamp", example = "1765802096")]
    timestamp: String,
}

/// A task. The first call with an `externalId` needs `name`, `assignedUserId` and `dueAt`; later ones change only the fields that they carry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InboundTask {
    /// The partner's id.
    #[schema(nullable = false, min_length = 1, max_length = 128, example = "order-4711")]
    external_id: Option<String>,
    /// Instead of `externalId`: the service's own id of a task of this group, to change it.
    #[schema(nullable = false, pattern = "^[0-9a-fA-F]{24}$")]
    id: Option<String>,
    /// Kept as text, whatever it holds.
    #[schema(nullable = false, min_length = 1, max_length = 200, example = "Wash up")]
    name: Option<String>,
    #[schema(example = "Twice, not too much.")]
    description: Option<String>,
    /// 1 unless said.
    #[schema(nullable = false, minimum = 1, maximum = 10, example = 3)]
    difficulty: Option<i32>,
    /// One of the service's names; `Pending` unless said. One that approves or rejects needs `tasks:approve`.
    #[schema(nullable = false, example = "Pending")]
    status: Option<String>,
    /// A member of the group.
    #[schema(nullable = false, example = "65a0000000000000000000d4")]
    assigned_user_id: Option<String>,
    /// Cut to milliseconds.
    #[schema(nullable = false, format = DateTime, example = "2026-01-31T12:00:00+01:00")]
    due_at: Option<String>,
    /// `OneTime` unless said.
    #[schema(nullable = false)]
    frequency: Option<Frequency>,
    /// `false` unless said.
    #[schema(nullable = false, example = false)]
    requires_approval: Option<bool>,
    /// A template of the system or the group.
    #[schema(example = json!(null))]
    template_id: Option<String>,
}

/// How often a task comes back.
#[derive(Serialize, ToSchema)]
pub(super) enum Frequency {
    OneTime,
    Daily,
    Weekly,
    BiWeekly,
    Monthly,
    Quarterly,
    Yearly,
}

/// Tasks that are applied all or none.
#[derive(Serialize, ToSchema)]
pub(super) struct InboundTasks {
    #[schema(min_items = 1, max_items = 100)]
    tasks: Vec<InboundTask>,
}

/// One task, or a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum TasksBody {
    Batch(InboundTasks),
    One(InboundTask),
}

/// A category. The first call with an `externalId` needs `name`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InboundCategory {
    /// The partner's id.
    #[schema(min_length = 1, max_length = 128, example = "garden")]
    external_id: String,
    /// Unique in the group without regard to case.
    #[schema(nullable = false, min_length = 2, max_length = 50, example = "Garden")]
    name: Option<String>,
    #[schema(nullable = false, min_length = 1, max_length = 50, example = "leaf")]
    icon: Option<String>,
    #[schema(nullable = false, pattern = "^[a-z]+-[0-9]{3}$", example = "green-500")]
    color: Option<String>,
}

/// Categories that are applied all or none.
#[derive(Serialize, ToSchema)]
pub(super) struct InboundCategories {
    #[schema(min_items = 1, max_items = 100)]
    categories: Vec<InboundCategory>,
}

/// One category, or a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum CategoriesBody {
    Batch(InboundCategories),
    One(InboundCategory),
}

/// What became of each item, in the order of the call.
#[derive(Serialize, ToSchema)]
pub(super) struct InboundResults {
    results: Vec<ItemResult>,
}

/// A task as the service has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InboundTaskShown {
    #[schema(example = "order-4711")]
    external_id: String,
    #[schema(example = "65a0000000000000000000f6")]
    id: String,
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    #[schema(required = true, example = "Wash up")]
    name: Option<String>,
    #[schema(required = true, example = "Twice, not too much.")]
    description: Option<String>,
    #[schema(required = true, example = 3)]
    difficulty: Option<i64>,
    #[schema(example = "Pending")]
    status: String,
    #[schema(required = true, example = "65a0000000000000000000d4")]
    assigned_user_id: Option<String>,
    #[schema(required = true, format = DateTime)]
    due_at: Option<String>,
    #[schema(required = true, example = "OneTime")]
    frequency: Option<String>,
    #[schema(required = true, example = false)]
    requires_approval: Option<bool>,
    #[schema(required = true, example = json!(null))]
    template_id: Option<String>,
}
