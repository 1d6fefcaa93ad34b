//! The database: connecting to it, its clock, and one file for each collection of ours.
//!
//! The API and the indexer meet only here.

pub mod audit;
mod clock;
mod connect;
pub mod deliveries;
pub mod external_refs;
mod failure;
pub mod health;
pub mod idempotency;
pub mod inbound;
pub mod inbound_writes;
mod indexes;
pub mod layout;
pub mod mutes;
pub mod notices;
pub mod parcels;
pub mod pauses;
mod pool;
pub mod replays;
pub mod standing;
pub mod stats;
pub mod task_events;
mod transaction;
pub mod versions;
pub mod webhooks;

pub use clock::ServerClock;
pub use connect::{ConnectError, Store, connect};
pub use failure::{describe, describe_document, without_values};
pub use indexes::ensure_indexes;
pub use layout::{LayoutError, prepare};
pub(crate) use transaction::is_conflict;
pub use transaction::{DUPLICATE_KEY, Verdict, in_transaction, is_duplicate};

/// Names of Taskwire's own collections.
pub mod names {
    /// What admins set up.
    pub const WEBHOOKS: &str = "webhookConfigs";
    /// One row for each event and webhook that wants it.
    pub const DELIVERIES: &str = "webhookDeliveries";
    /// Rows that are being sent at once, many in a document, until each has come to its first end.
    pub const PARCELS: &str = "deliveryParcels";
    /// The append-only log of derived events.
    pub const EVENTS: &str = "taskEvents";
    /// The fold: last known tracked fields of each task.
    pub const SNAPSHOTS: &str = "taskSnapshots";
    /// Resume token, lease, fencing epoch.
    pub const CHECKPOINTS: &str = "watcherCheckpoints";
    /// Each configuration as of each point of the stream.
    pub const WEBHOOK_VERSIONS: &str = "webhookVersions";
    /// Delivery health of each webhook.
    pub const WEBHOOK_HEALTH: &str = "webhookHealth";
    /// Which processes send to webhooks with a rate limit.
    pub const RATE_SHARES: &str = "rateShares";
    /// What operators have paused.
    pub const PAUSES: &str = "dispatchPauses";
    /// Groups whose events are told to nobody for a time.
    pub const MUTES: &str = "mutes";
    /// Changes that could not be understood.
    pub const QUARANTINE: &str = "quarantinedChanges";
    /// Intervals of the stream that were lost, and what was recovered.
    pub const GAPS: &str = "gaps";
    /// What a group's admins allow a partner.
    pub const INBOUND: &str = "inboundIntegrations";
    /// Which of the service's documents a partner's id names.
    pub const EXTERNAL_REFS: &str = "externalRefs";
    /// Bulk replays and backfills, under way and over.
    pub const REPLAYS: &str = "replays";
    /// What became of attempts, by webhook and hour.
    pub const STATS: &str = "deliveryStats";
    /// Receipts of inbound calls; their insert tells the watcher which writes came in through the inbound endpoint.
    pub const RECEIPTS: &str = "inboundReceipts";
    /// POSTs made under an `Idempotency-Key`.
    pub const IDEMPOTENCY: &str = "idempotencyKeys";
    /// Who changed what in the group's integrations.
    pub const AUDIT: &str = "integrationAudit";

    /// All of them: what a database user must be allowed to write.
    pub const ALL: [&str; 20] = [
        WEBHOOKS,
        DELIVERIES,
        PARCELS,
        EVENTS,
        SNAPSHOTS,
        CHECKPOINTS,
        WEBHOOK_VERSIONS,
        WEBHOOK_HEALTH,
        RATE_SHARES,
        PAUSES,
        MUTES,
        QUARANTINE,
        GAPS,
        INBOUND,
        EXTERNAL_REFS,
        REPLAYS,
        STATS,
        RECEIPTS,
        IDEMPOTENCY,
        AUDIT,
    ];

    /// Those from which documents are removed.
    pub const REMOVED: [&str; 6] = [EVENTS, DELIVERIES, PARCELS, SNAPSHOTS, PAUSES, IDEMPOTENCY];
}
