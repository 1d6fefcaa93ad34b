//! All lanes of this process: whose turn it is, and that nobody takes the room of the others.
//!
//! Lanes with something to send stand in a ring and take turns. Besides its own limit, a lane may have no more in flight
//! than there are slots free, so any number of greedy lanes leave some free for the next one, and likewise hold no more rows
//! than there is room left for; and troubled lanes together
//! may fill only half of the slots, so any number of targets that never answer leave the other half.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Instant;

use bson::oid::ObjectId;

use super::job::Job;
use super::lane::{Lane, Share, Start, Verdict};
use taskwire::target::Target;

/// What to do next.
#[derive(Debug)]
pub(crate) enum Turn {
    /// This one's turn has come.
    Start(Job),
    /// Nothing may start.
    Nothing,
}

/// What the end of a request calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The lane runs low while more waits in the database.
    pub(crate) wants_more: bool,
}

#[derive(Debug)]
pub(crate) struct Board {
    lanes: HashMap<ObjectId, Lane>,
    ring: VecDeque<ObjectId>,
    in_flight: usize,
    troubled_in_flight: usize,
    /// Over all lanes: in flight, queued and promised.
    held: usize,
    most_in_flight: usize,
    most_per_lane: usize,
    closed: bool,
    alarms: Vec<(ObjectId, Instant)>,
    lacks_share: bool,
}

/// Rows held for each slot, over all lanes: bounds memory.
const HELD_PER_SLOT: usize = 8;

impl Board {
    pub(crate) fn new(most_in_flight: usize, most_per_lane: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            ring: VecDeque::new(),
            in_flight: 0,
            troubled_in_flight: 0,
            held: 0,
            most_in_flight: most_in_flight.max(1),
            most_per_lane: most_per_lane.clamp(1, most_in_flight.max(1)),
            closed: false,
            alarms: Vec::new(),
            lacks_share: false,
        }
    }

    fn lane(&mut self, id: ObjectId) -> &mut Lane {
        let most = self.most_per_lane;
        self.lanes.entry(id).or_insert_with(|| Lane::new(most))
    }

    /// Room for rows of this webhook. What is handed over past the queue may take half of it while older rows wait there.
    pub(crate) fn room(&mut self, target: &Target, past_the_queue: bool) -> usize {
        if self.closed {
            return 0;
        }
        let free = (self.most_in_flight * HELD_PER_SLOT).saturating_sub(self.held);
        let lane = self.lane(target.id);
        lane.set_rate(target.rate);
        if past_the_queue && lane.is_troubled() {
            return 0;
        }
        let room = if past_the_queue && lane.backlog { lane.room() / 2 } else { lane.room() };
        // As with slots: no lane holds more than is left for the others.
        let fair = if lane.held() == 0 { free.div_ceil(2) } else { free.saturating_sub(lane.held()) / 2 };
        room.min(fair)
    }

    /// Whether the lane lacks room for so many rows now, and will have it once its own are worked off, which goes quickly.
    /// Where other lanes take the room, waiting for this one does not help.
    pub(crate) fn will_soon_have_room(&mut self, target: &Target, wanted: usize) -> bool {
        let room = self.room(target, true);
        let (total, held) = (self.most_in_flight * HELD_PER_SLOT, self.held);
        let lane = self.lane(target.id);
        let left_by_others = total.saturating_sub(held - lane.held());
        lane.is_quick() && room < wanted.min(lane.capacity() / 2).min(left_by_others / 2)
    }

    /// Promises slots; each must be filled or given back.
    pub(crate) fn reserve(&mut self, id: ObjectId, count: usize) {
        self.lane(id).reserved += count;
        self.held += count;
    }

    /// Takes promised slots back.
    pub(crate) fn give_back(&mut self, id: ObjectId, count: usize) {
        let lane = self.lane(id);
        let count = count.min(lane.reserved);
        lane.reserved -= count;
        self.held -= count;
    }

    /// Takes what waits for shares that cannot be agreed on, to be released: its leases must not run out here. It is tried again
    /// after `until`.
    pub(crate) fn put_off_shares(&mut self, now: Instant, until: Instant) -> Vec<Job> {
        let lacking = |(id, lane): (&ObjectId, &Lane)| lane.is_without_share(now).then_some(*id);
        let ids: Vec<ObjectId> = self.lanes.iter().filter_map(lacking).collect();
        ids.into_iter().flat_map(|id| self.set_share(id, Share::Taken(until), now)).collect()
    }

    /// Whether the lane is worth a claim: a good part of what it may hold, beside the others, is free. Small claims cost as
    /// much as large ones.
    pub(crate) fn wants(&mut self, target: &Target) -> usize {
        let room = self.room(target, false);
        let held = self.lane(target.id).held();
        if room >= held || room >= 250 { room } else { 0 }
    }

    /// Whether what this webhook's rows wait for is its own target.
    pub(crate) fn is_troubled(&self, id: ObjectId) -> bool {
        self.lanes.get(&id).is_some_and(Lane::is_troubled)
    }

    /// Notes whether more rows are due than were taken.
    pub(crate) fn set_backlog(&mut self, id: ObjectId, backlog: bool) {
        self.lane(id).backlog = backlog;
    }

    /// Puts a held row into its lane, in a slot promised before.
    pub(crate) fn fill(&mut self, job: Job) {
        let id = job.webhook();
        let lane = self.lane(id);
        lane.reserved = lane.reserved.saturating_sub(1);
        lane.queue.push_back(job);
        let lacks_share = lane.lacks_share();
        self.lacks_share |= lacks_share;
        self.enter_ring(id);
    }

    /// Whether a row came, since the last call, for which a share of a rate limit must be agreed first.
    pub(crate) fn take_lacks_share(&mut self) -> bool {
        std::mem::take(&mut self.lacks_share)
    }

    /// The webhooks of whose rate limit this process needs a share, and the limits.
    pub(crate) fn wanted_rates(&mut self, now: Instant) -> Vec<(ObjectId, NonZeroU32)> {
        self.lanes.iter_mut().filter_map(|(id, lane)| Some((*id, lane.wanted_rate(now)?))).collect()
    }

    /// Takes in a share of a rate limit; returns what the lane can no longer hold, to be released.
    pub(crate) fn set_share(&mut self, id: ObjectId, share: Share, now: Instant) -> Vec<Job> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Vec::new() };
        lane.set_share(share, now);
        let surplus = lane.held().saturating_sub(lane.capacity()).min(lane.queue.len());
        let surplus = lane.queue.split_off(lane.queue.len() - surplus);
        self.held -= surplus.len();
        self.enter_ring(id);
        surplus.into()
    }

    fn enter_ring(&mut self, id: ObjectId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if !lane.in_ring && !lane.has_alarm && !lane.queue.is_empty() {
            lane.in_ring = true;
            self.ring.push_back(id);
        }
    }

    /// The next row to send, if one may be sent now.
    pub(crate) fn turn(&mut self, now: Instant) -> Turn {
        if self.closed {
            return Turn::Nothing;
        }
        for _ in 0..self.ring.len() {
            let free = self.most_in_flight - self.in_flight;
            let Some(id) = (if free == 0 { None } else { self.ring.pop_front() }) else { break };
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.in_ring = false;
            if lane.queue.is_empty() {
                continue;
            }
            let crowded = lane.in_flight >= free
                || (lane.is_troubled() && self.troubled_in_flight >= (self.most_in_flight / 2).max(1));
            match if crowded { Start::Later } else { lane.start(now) } {
                Start::Now => {
                    let Some(job) = lane.queue.pop_front() else { continue };
                    lane.in_flight += 1;
                    self.in_flight += 1;
                    self.troubled_in_flight += usize::from(lane.is_troubled());
                    self.enter_ring(id);
                    return Turn::Start(job);
                }
                Start::At(at) => {
                    lane.has_alarm = true;
                    self.alarms.push((id, at));
                }
                // One that waits for its own requests comes back when one of them ends.
                Start::Later if crowded => self.enter_ring(id),
                Start::Later => {}
            }
        }
        Turn::Nothing
    }

    /// Lanes that must be woken at a time, since the last call.
    pub(crate) fn take_alarms(&mut self) -> Vec<(ObjectId, Instant)> {
        std::mem::take(&mut self.alarms)
    }

    /// Brings a lane back whose time has come.
    pub(crate) fn wake(&mut self, id: ObjectId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.has_alarm = false;
        }
        self.enter_ring(id);
    }

    /// Takes in the end of a request that began at `began`.
    pub(crate) fn ended(&mut self, id: ObjectId, verdict: Verdict, began: Instant, now: Instant) -> Ended {
        let Some(lane) = self.lanes.get_mut(&id) else { return Ended { wants_more: false } };
        let was_troubled = lane.is_troubled();
        self.troubled_in_flight -= if was_troubled { lane.in_flight } else { 0 };
        lane.in_flight -= 1;
        lane.learn(verdict, began, now);
        self.troubled_in_flight += if lane.is_troubled() { lane.in_flight } else { 0 };
        self.in_flight -= 1;
        self.held -= 1;
        let wants_more = lane.backlog && lane.held() * 2 <= lane.capacity();
        self.enter_ring(id);
        Ended { wants_more }
    }

    /// Takes everything that waits in a lane, to be released.
    pub(crate) fn drain(&mut self, id: ObjectId) -> Vec<Job> {
        let Some(lane) = self.lanes.get_mut(&id) else { return Vec::new() };
        let jobs: Vec<Job> = lane.queue.drain(..).collect();
        self.held -= jobs.len();
        jobs
    }

    /// Starts nothing any more; returns what waits, to be released.
    pub(crate) fn close(&mut self) -> Vec<Job> {
        self.closed = true;
        let ids: Vec<ObjectId> = self.lanes.keys().copied().collect();
        ids.into_iter().flat_map(|id| self.drain(id)).collect()
    }

    /// Rows in flight, queued and promised.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Forgets a lane of a webhook that is no more, once nothing of it is under way.
    pub(crate) fn forget(&mut self, id: ObjectId) {
        if self.lanes.get(&id).is_some_and(|lane| lane.held() == 0) {
            self.lanes.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
