//! Which states of a delivery are lawful: those that the steps of `model::delivery` lead to. Pure.

use bson::{RawBsonRef, RawDocument};
use taskwire::model::DeliveryStatus;

/// A row's state, as it is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "which fields are there")]
pub(super) struct RowState {
    pub(super) status: Option<DeliveryStatus>,
    pub(super) attempts: Option<i32>,
    pub(super) base: Option<i32>,
    pub(super) due: bool,
    pub(super) lease: bool,
    pub(super) ordered: bool,
    pub(super) next: bool,
    pub(super) tried: bool,
    pub(super) delivered: bool,
    pub(super) expires: bool,
}

impl RowState {
    pub(super) fn read(row: &RawDocument) -> Self {
        let mut state = Self::default();
        for element in row.into_iter().flatten() {
            let (name, value) = element;
            let is_date = matches!(value, RawBsonRef::DateTime(_));
            match name.as_str() {
                "status" => state.status = value.as_str().and_then(status),
                "attempts" => state.attempts = value.as_i32(),
                "attemptsBase" => state.base = value.as_i32(),
                "due" => state.due = is_date,
                "lease" => state.lease = value.as_str().is_some(),
                "ordered" => state.ordered = true,
                "nextAttemptAt" => state.next = is_date,
                "lastAttemptAt" => state.tried = is_date,
                "deliveredAt" => state.delivered = is_date,
                "expireAt" => state.expires = true,
                _ => {}
            }
        }
        state
    }

    pub(super) fn is_open(&self) -> bool {
        self.due || self.status.is_none_or(DeliveryStatus::is_open)
    }

    /// What is wrong with it, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let Some(status) = self.status else { return Some("its status is unknown") };
        let (Some(attempts), Some(base)) = (self.attempts, self.base) else {
            return Some("attempts are not counted");
        };
        let since_replay = attempts - base;
        let faults: &[(bool, &'static str)] = if status.is_open() {
            let held = i32::from(self.lease);
            let queued = status == DeliveryStatus::Queued;
            &[
                (!self.due, "it is open and never due"),
                (self.expires, "it is open and expires"),
                (self.delivered, "it is open and has deliveredAt"),
                (queued && since_replay != held, "it is queued, and its attempts do not fit that"),
                (!queued && since_replay < 1, "it has failed without an attempt"),
                (!queued && !self.tried, "it has failed, and lastAttemptAt is missing"),
            ]
        } else {
            let delivered = status == DeliveryStatus::Delivered;
            &[
                (self.due, "it is finished and due"),
                (self.lease, "it is finished and held"),
                (self.ordered, "it is finished and holds back its task"),
                (self.next, "it is finished and has nextAttemptAt"),
                (delivered && !self.delivered, "it is delivered, and deliveredAt is missing"),
                (!delivered && self.delivered, "it is given up and has deliveredAt"),
                (delivered && since_replay < 1, "it is delivered without an attempt"),
            ]
        };
        let counted = [(base < 0 || since_replay < 0, "its attempts are fewer than before its replay")];
        faults.iter().chain(&counted).find(|(is_wrong, _)| *is_wrong).map(|(_, fault)| *fault)
    }
}

fn status(name: &str) -> Option<DeliveryStatus> {
    use DeliveryStatus::{DeadLetter, Delivered, Failed, Queued};
    [Queued, Failed, Delivered, DeadLetter].into_iter().find(|status| status.name() == name)
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, Document, RawDocumentBuf, doc};

    use super::*;

    fn fault(row: &Document) -> Option<&'static str> {
        RowState::read(&RawDocumentBuf::try_from(row).unwrap()).fault()
    }

    fn at() -> DateTime {
        DateTime::from_millis(1)
    }

    fn row(status: &str, attempts: i32, more: Document) -> Document {
        let mut row = doc! { "status": status, "attempts": attempts, "attemptsBase": 2 };
        row.extend(more);
        row
    }

    #[test]
    fn every_state_that_a_step_leads_to_is_lawful() {
        for lawful in [
            row("queued", 2, doc! { "due": at(), "nextAttemptAt": at(), "ordered": true }),
            row("queued", 3, doc! { "due": at(), "nextAttemptAt": at(), "lease": "x" }),
            row("failed", 3, doc! { "due": at(), "nextAttemptAt": at(), "lastAttemptAt": at() }),
            row("failed", 4, doc! { "due": at(), "lastAttemptAt": at(), "lease": "x" }),
            row("delivered", 3, doc! { "deliveredAt": at(), "lastAttemptAt": at(), "expireAt": at() }),
            row("delivered", 3, doc! { "deliveredAt": at(), "lastAttemptAt": at() }),
            row("dead-letter", 2, doc! { "errorMessage": "deleted", "expireAt": at() }),
            row("dead-letter", 5, doc! { "errorMessage": "x", "lastAttemptAt": at() }),
        ] {
            assert_eq!(fault(&lawful), None, "{lawful}");
        }
    }

    #[test]
    fn a_state_that_no_step_leads_to_is_named() {
        for unlawful in [
            row("waiting", 2, doc! { "due": at() }),
            row("queued", 2, doc! {}),
            row("queued", 2, doc! { "due": at(), "expireAt": at() }),
            row("queued", 2, doc! { "due": at(), "deliveredAt": at() }),
            row("queued", 3, doc! { "due": at() }),
            row("failed", 2, doc! { "due": at(), "lastAttemptAt": at() }),
            row("failed", 3, doc! { "due": at() }),
            row("failed", 3, doc! { "lastAttemptAt": at() }),
            row("delivered", 3, doc! {}),
            row("delivered", 2, doc! { "deliveredAt": at() }),
            row("delivered", 3, doc! { "deliveredAt": at(), "due": at() }),
            row("delivered", 3, doc! { "deliveredAt": at(), "lease": "x" }),
            row("dead-letter", 3, doc! { "deliveredAt": at() }),
            row("dead-letter", 3, doc! { "ordered": true }),
            row("dead-letter", 3, doc! { "nextAttemptAt": at() }),
            row("dead-letter", 1, doc! {}),
            doc! { "status": "delivered", "deliveredAt": at() },
        ] {
            assert!(fault(&unlawful).is_some(), "{unlawful}");
        }
    }
}
