//! The documents Taskwire keeps, as types. Field names are the stored names.

pub mod audit;
pub mod dates;
pub mod delivery;
pub mod ids;
pub mod inbound;
pub mod notice;
pub mod replay;
pub mod stats;
pub mod stops;
pub mod task_event;
pub mod version;
pub mod webhook;

pub use audit::{AuditAction, AuditEntry};
pub use delivery::{Attempt, AttemptOutcome, Delivery, DeliveryStatus, PayloadSummary};
pub use ids::{DeliveryId, DocId, EventId, StreamTime};
pub use inbound::{
    ExternalRef, InboundIntegration, InboundKind, ItemOutcome, ItemResult, Receipt, ReceiptId, RefKey, Scope,
};
pub use notice::{Alert, Mend, Notice, NoticeKind};
pub use replay::{Last, Replay, ReplayKind, ReplayState, Selection};
pub use stops::{Missed, Stop, Stops};
pub use task_event::{EventKind, TaskEvent};
pub use version::{NotSent, Version};
pub use webhook::{
    DisabledReason, EventFilter, Ordering, RetryPolicy, SealedField, SecretState, Webhook, WebhookHealth,
};
