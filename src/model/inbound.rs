//! What stands behind the inbound endpoint: a group's integration, receipts of calls, and the partner's ids.

use bson::{DateTime, oid::ObjectId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{DocId, SealedField, SecretState};

/// What an integration may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[schema(as = InboundScope)]
pub enum Scope {
    /// Create and change tasks, and read them.
    #[serde(rename = "tasks:write")]
    TasksWrite,
    /// Set a status that approves or rejects.
    #[serde(rename = "tasks:approve")]
    TasksApprove,
    /// Create and change categories.
    #[serde(rename = "categories:write")]
    CategoriesWrite,
}

impl Scope {
    /// The stored and shown name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TasksWrite => "tasks:write",
            Self::TasksApprove => "tasks:approve",
            Self::CategoriesWrite => "categories:write",
        }
    }
}

/// One document of `inboundIntegrations`: what a group's admins allow a partner. Written whole, guarded by `revision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboundIntegration {
    /// Its id: what events name as `integration:<id>`.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// The group; at most one integration each.
    pub group_id: DocId,
    /// Whether calls are taken.
    pub enabled: bool,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// From where; empty: from everywhere.
    #[serde(with = "as_texts")]
    pub ip_allowlist: Vec<IpNet>,
    /// At most so many calls a minute in each API process.
    pub rate_limit_per_minute: i32,
    /// The admin in whose name is written.
    pub user_id: DocId,
    /// The signing secret.
    pub secret: SecretState,
    /// Counts writes of this document, from 1; the `ETag`.
    pub revision: i64,
    /// When it was set up.
    pub created_at: DateTime,
    /// Who set it up.
    pub created_by: DocId,
    /// When an admin last changed it. Server time.
    pub updated_at: DateTime,
}

impl InboundIntegration {
    /// Associated data that binds a sealed field to the document `id`.
    #[must_use]
    pub fn sealing_context(id: ObjectId, field: SealedField) -> String {
        format!("inboundIntegrations/{id}/{}", field.name())
    }
}

/// Networks in their text form, whatever a format's own would be.
mod as_texts {
    use ipnet::IpNet;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(networks: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(networks.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum InboundKind {
    /// `…/tasks`
    Tasks,
    /// `…/categories`
    Categories,
}

impl InboundKind {
    /// The key of a batch in a body, the last part of the path, and the stored name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Categories => "categories",
        }
    }
}

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboundOutcome)]
pub enum ItemOutcome {
    /// It was not there.
    Created,
    /// Fields of it were changed.
    Updated,
    /// It was as wanted already.
    Unchanged,
}

/// One item of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboundResult)]
pub struct ItemResult {
    /// The partner's id; null for a task named by the service's.
    #[schema(required = true, example = "order-4711")]
    pub external_id: Option<String>,
    /// The service's id.
    #[schema(example = "65a0000000000000000000f6")]
    pub id: String,
    /// What became of it.
    pub outcome: ItemOutcome,
    /// True where the service had deleted what `externalId` named: it was created anew, under this new `id`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, example = true)]
    pub recreated: bool,
}

/// The id of a receipt: a function of integration, timestamp and body, whichever secret signed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReceiptId(String);

impl ReceiptId {
    /// The id for a body signed with this `X-Timestamp`.
    #[must_use]
    pub fn derive(integration: ObjectId, timestamp: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(integration.bytes());
        hash.update(timestamp.as_bytes());
        hash.update(b".");
        hash.update(body);
        Self(format!("rcp_{}", data_encoding::HEXLOWER.encode(&hash.finalize()[..20])))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One document of `inboundReceipts`: an accepted call and its answer. Inserted in the transaction of its writes, so that
/// the same signed request has one effect, and so that the watcher knows whose writes they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ReceiptId,
    /// The integration.
    pub integration_id: ObjectId,
    /// Its group.
    pub group_id: DocId,
    /// What the call was about.
    pub kind: InboundKind,
    /// The answer's HTTP status.
    pub status: i32,
    /// The answer's items.
    pub results: Vec<ItemResult>,
    /// When it was taken. Server time.
    pub at: DateTime,
    /// When it may be removed: long after its signature is too old.
    pub expire_at: DateTime,
}

/// What a partner's id names: the key of `externalRefs`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RefKey {
    /// The group.
    #[serde(rename = "g")]
    pub group: DocId,
    /// Tasks and categories have ids of their own.
    #[serde(rename = "k")]
    pub kind: InboundKind,
    /// The partner's id.
    #[serde(rename = "x")]
    pub external_id: String,
}

/// One document of `externalRefs`: a partner's id, and the service's document that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRef {
    /// The partner's id.
    #[serde(rename = "_id")]
    pub key: RefKey,
    /// The service's.
    pub target_id: ObjectId,
    /// When this target was made.
    pub at: DateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipts_id_depends_on_integration_time_and_body() {
        let integration = ObjectId::from_bytes([1; 12]);
        let id = ReceiptId::derive(integration, "1000", b"{}");
        assert_eq!(id, ReceiptId::derive(integration, "1000", b"{}"));
        for other in [
            ReceiptId::derive(ObjectId::from_bytes([2; 12]), "1000", b"{}"),
            ReceiptId::derive(integration, "1001", b"{}"),
            ReceiptId::derive(integration, "1000", b"{ }"),
            ReceiptId::derive(integration, "100", b"0.{}"),
        ] {
            assert_ne!(id, other);
        }
    }
}
