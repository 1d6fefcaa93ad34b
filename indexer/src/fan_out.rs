//! Fanning out: which webhooks, as of that point of the stream, want an event. Pure.
//!
//! Configurations are folded from the same stream as the tasks and kept by version (`webhookVersions`), so that a watcher
//! with a backlog does not apply today's webhooks to yesterday's changes.

use std::collections::HashMap;

use bson::{Timestamp, oid::ObjectId};
use taskwire::model::{DocId, EventKind, Ordering, StreamTime, Version};

/// A webhook that gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    /// The webhook.
    pub webhook: ObjectId,
    /// Whether events of one task go in order to it.
    pub ordering: Ordering,
}

/// All webhooks' versions that a change still to be read may need.
#[derive(Debug, Default)]
pub struct Versions {
    /// Group → webhook → versions, oldest first.
    groups: HashMap<DocId, HashMap<ObjectId, Vec<Version>>>,
}

impl Versions {
    /// Takes a version; an older or known one changes nothing that is newer. False if it was known.
    pub fn add(&mut self, version: Version) -> bool {
        let versions = self.groups.entry(version.group_id.clone()).or_default().entry(version.webhook_id).or_default();
        match versions.binary_search_by_key(&version.at, |known| known.at) {
            Ok(_) => false,
            Err(place) => {
                versions.insert(place, version);
                true
            }
        }
    }

    /// The newest version of a webhook.
    #[must_use]
    pub fn newest(&self, webhook: ObjectId) -> Option<&Version> {
        self.groups.values().find_map(|webhooks| webhooks.get(&webhook)).and_then(|versions| versions.last())
    }

    /// The newest version of each webhook.
    pub fn newest_of_all(&self) -> impl Iterator<Item = &Version> {
        self.groups.values().flat_map(HashMap::values).filter_map(|versions| versions.last())
    }

    /// Forgets what no change after `position` can need: all but the last version up to it.
    pub fn prune(&mut self, position: Timestamp) {
        let position = StreamTime::new(position, StreamTime::END);
        for webhooks in self.groups.values_mut() {
            webhooks.retain(|_, versions| {
                let past = versions.partition_point(|version| version.at <= position);
                versions.drain(..past.saturating_sub(1));
                versions.iter().any(|version| version.live || version.mute_until.is_some() || version.at > position)
            });
        }
        self.groups.retain(|_, webhooks| !webhooks.is_empty());
    }

    /// Who gets an event of `kind` in `group` at `at`, in the order of webhook ids.
    #[must_use]
    pub fn subscribers(&self, group: &DocId, at: StreamTime, kind: EventKind, echo: bool) -> Vec<Subscriber> {
        let at = StreamTime { n: StreamTime::END, ..at };
        let Some(webhooks) = self.groups.get(group) else { return Vec::new() };
        let as_of = |versions: &Vec<Version>| {
            let past = versions.partition_point(|version| version.at <= at);
            let version = versions[..past].last()?;
            version
                .refuses(kind, echo)
                .is_none()
                .then_some(Subscriber { webhook: version.webhook_id, ordering: version.ordering })
        };
        let mut subscribers: Vec<_> = webhooks.values().filter_map(as_of).collect();
        subscribers.sort_by_key(|subscriber| subscriber.webhook);
        subscribers
    }

    /// Whether the group was muted, as of `at`, for a change of the time `ms`, in milliseconds.
    #[must_use]
    pub fn muted(&self, group: &DocId, at: StreamTime, ms: i64) -> bool {
        let Some(versions) = self.groups.get(group).and_then(|webhooks| webhooks.get(&Version::mute_id(group))) else {
            return false;
        };
        let at = StreamTime { n: StreamTime::END, ..at };
        let past = versions.partition_point(|version| version.at <= at);
        let until = versions[..past].last().and_then(|version| version.mute_until);
        until.is_some_and(|until| ms < until.timestamp_millis())
    }

    /// Whether a webhook of `group` wants an event of `kind` by its version as of `at`, or by a later one: what is queued
    /// afterwards is queued by a later one.
    #[must_use]
    pub fn wants_from(&self, webhook: ObjectId, group: &DocId, at: StreamTime, kind: EventKind, echo: bool) -> bool {
        let Some(versions) = self.groups.get(group).and_then(|webhooks| webhooks.get(&webhook)) else { return false };
        let past = versions.partition_point(|version| version.at <= at);
        versions[past.saturating_sub(1)..].iter().any(|version| version.refuses(kind, echo).is_none())
    }
}

#[cfg(test)]
mod tests {
    use bson::DateTime;
    use taskwire::model::EventFilter;

    use super::*;

    fn at(time: u32) -> StreamTime {
        StreamTime::new(Timestamp { time, increment: 1 }, 0)
    }

    fn version(webhook: ObjectId, time: u32, live: bool) -> Version {
        Version {
            webhook_id: webhook,
            group_id: DocId::parse("g"),
            at: at(time),
            live,
            reason: None,
            events: EventFilter { task_created: true, ..EventFilter::default() },
            ordering: Ordering::None,
            skip_inbound_echoes: true,
            mute_until: None,
        }
    }

    fn count(versions: &Versions, time: u32, kind: EventKind, echo: bool) -> usize {
        versions.subscribers(&DocId::parse("g"), at(time), kind, echo).len()
    }

    #[test]
    fn an_event_goes_to_the_webhooks_as_they_were_at_its_point_of_the_stream() {
        let webhook = ObjectId::new();
        let mut versions = Versions::default();
        assert!(versions.add(version(webhook, 20, false)));
        assert!(versions.add(version(webhook, 10, true)));
        assert!(!versions.add(version(webhook, 10, true)));
        let counts: Vec<_> = [9, 10, 19, 20, 99].map(|t| count(&versions, t, EventKind::Created, false)).to_vec();
        assert_eq!(counts, [0, 1, 1, 0, 0]);
    }

    #[test]
    fn what_was_configured_and_changed_at_one_time_goes_by_the_configuration() {
        let webhook = ObjectId::new();
        let later_in_it = StreamTime { n: 3, ..at(10) };
        let mut versions = Versions::default();
        versions.add(Version { at: later_in_it, ..version(webhook, 10, true) });
        versions.add(Version {
            at: later_in_it,
            ..Version::mute(&DocId::parse("h"), at(10), DateTime::from_millis(50_000))
        });
        assert_eq!([9, 10].map(|time| count(&versions, time, EventKind::Created, false)), [0, 1]);
        assert_eq!([9, 10].map(|time| versions.muted(&DocId::parse("h"), at(time), 10_000)), [false, true]);
    }

    #[test]
    fn the_filter_and_the_echo_switch_are_obeyed() {
        let mut versions = Versions::default();
        versions.add(version(ObjectId::new(), 1, true));
        assert_eq!(count(&versions, 5, EventKind::Updated, false), 0);
        assert_eq!(count(&versions, 5, EventKind::Created, true), 0);
        assert!(versions.subscribers(&DocId::parse("h"), at(5), EventKind::Created, false).is_empty());
    }

    #[test]
    fn what_a_webhook_wants_from_a_point_on_includes_its_version_as_of_then_and_all_later_ones() {
        let webhook = ObjectId::new();
        let mut versions = Versions::default();
        versions.add(version(webhook, 10, true));
        versions.add(version(webhook, 20, false));
        let wants = |time| versions.wants_from(webhook, &DocId::parse("g"), at(time), EventKind::Created, false);
        assert_eq!([5, 10, 15, 20, 25].map(wants), [true, true, true, false, false]);
        assert!(!versions.wants_from(webhook, &DocId::parse("h"), at(5), EventKind::Created, false));
    }

    #[test]
    fn a_group_is_muted_from_the_point_of_the_stream_on_for_changes_before_the_end_until_another_mute_says_otherwise() {
        let group = DocId::parse("g");
        let mut versions = Versions::default();
        versions.add(Version::mute(&group, at(10), DateTime::from_millis(50_000)));
        let muted = |versions: &Versions, time: u32| versions.muted(&group, at(time), i64::from(time) * 1000);
        assert_eq!([9, 10, 49, 50].map(|time| muted(&versions, time)), [false, true, true, false]);
        // As `unmute` ends it.
        versions.add(Version::mute(&group, at(20), DateTime::from_millis(20_000)));
        assert_eq!([19, 20, 49].map(|time| muted(&versions, time)), [true, false, false]);
        versions.prune(at(15).timestamp());
        assert!(muted(&versions, 19));
        assert!(!versions.muted(&DocId::parse("h"), at(12), 12_000));
    }

    #[test]
    fn the_newest_version_is_the_last_of_the_stream_whatever_order_they_came_in() {
        let (webhook, other) = (ObjectId::new(), ObjectId::new());
        let mut versions = Versions::default();
        for (webhook, time) in [(webhook, 20), (webhook, 10), (other, 5)] {
            versions.add(version(webhook, time, true));
        }
        let newest = |webhook| versions.newest(webhook).map(|version| version.at);
        assert_eq!([webhook, other, ObjectId::new()].map(newest), [Some(at(20)), Some(at(5)), None]);
        let mut all: Vec<_> = versions.newest_of_all().map(|version| version.at).collect();
        all.sort();
        assert_eq!(all, [at(5), at(20)]);
    }

    #[test]
    fn pruning_keeps_a_webhook_that_is_live_or_ends_later_and_a_mute() {
        let group = DocId::parse("g");
        let (live, ended, ends_later) = (ObjectId::new(), ObjectId::new(), ObjectId::new());
        let mut versions = Versions::default();
        versions.add(version(live, 10, true));
        versions.add(version(ended, 10, false));
        versions.add(version(ends_later, 30, false));
        versions.add(Version::mute(&group, at(10), DateTime::from_millis(50_000)));
        versions.prune(at(20).timestamp());
        let kept = |webhook| versions.newest(webhook).is_some();
        assert_eq!([live, ended, ends_later, Version::mute_id(&group)].map(kept), [true, false, true, true]);
    }

    #[test]
    fn pruning_keeps_what_a_change_after_the_position_needs() {
        let webhook = ObjectId::new();
        let mut versions = Versions::default();
        for (time, live) in [(1, true), (5, false), (10, true)] {
            versions.add(version(webhook, time, live));
        }
        versions.prune(at(7).timestamp());
        assert_eq!(count(&versions, 8, EventKind::Created, false), 0);
        assert_eq!(count(&versions, 11, EventKind::Created, false), 1);
        versions.add(version(webhook, 20, false));
        versions.prune(at(30).timestamp());
        assert!(versions.groups.is_empty());
    }
}
