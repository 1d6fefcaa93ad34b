//! Processes that beat into one document, without a database.

use super::*;

/// Processes whose clock is the server's, beating into one document.
struct Room {
    start: Instant,
    marks: HashMap<String, Mark>,
}

const HOOK: [u8; 12] = [7; 12];

fn webhook() -> ObjectId {
    ObjectId::from_bytes(HOOK)
}

impl Room {
    fn new() -> Self {
        Self { start: Instant::now(), marks: HashMap::new() }
    }

    /// What [`exchange`] does, at `ms`; the share that follows.
    fn beat(&mut self, shares: &mut Shares, limit: u32, ms: u64) -> Option<Share> {
        let now = self.start + Duration::from_millis(ms);
        let at = DateTime::from_millis(i64::try_from(ms).unwrap() + 1_000_000);
        let wanted: Vec<_> = NonZeroU32::new(limit).map(|limit| (webhook(), limit)).into_iter().collect();
        shares.prepare(&wanted, now);
        let seen = shares.seen(now);
        let claims = wanted
            .iter()
            .map(|(hook, _)| (hook.to_hex(), shares.claims.get(hook).map_or(at, |claim| claim.since)))
            .collect();
        let stale = STALE.as_millis().try_into().unwrap();
        self.marks.retain(|_, mark| at.timestamp_millis() - mark.at.timestamp_millis() < stale);
        self.marks.insert(shares.me.clone(), Mark { at, seen, claims });
        let share = shares.take_in(&wanted, &Marks { processes: self.marks.clone() }, now).pop();
        shares.followed.push_back((now, at));
        share.map(|(_, share)| share)
    }
}

fn count(share: Option<Share>) -> u32 {
    match share {
        Some(Share::PerSecond(count, _)) => count.get(),
        Some(Share::Pending | Share::Taken(_)) | None => 0,
    }
}

#[test]
fn the_only_claimant_gets_the_whole_at_once() {
    let mut room = Room::new();
    let mut one = Shares::new("a".into());
    assert_eq!(count(room.beat(&mut one, 20, 0)), 20);
}

#[test]
fn a_newcomer_gets_nothing_until_the_others_have_made_room_for_a_second() {
    let mut room = Room::new();
    let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
    room.beat(&mut one, 20, 0);
    assert_eq!(room.beat(&mut two, 20, 500), Some(Share::Pending));
    assert_eq!(count(room.beat(&mut one, 20, 1000)), 10);
    assert_eq!(room.beat(&mut two, 20, 1500), Some(Share::Pending));
    // Woken early, it has not yet sent less for a second.
    room.beat(&mut one, 20, 1600);
    assert_eq!(room.beat(&mut two, 20, 1700), Some(Share::Pending));
    room.beat(&mut one, 20, 2000);
    assert_eq!(count(room.beat(&mut two, 20, 2500)), 10);
}

#[test]
fn who_is_gone_leaves_its_part_once_its_mark_is_stale_and_begins_anew_when_it_comes_back() {
    let mut room = Room::new();
    let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
    for second in 0..5 {
        room.beat(&mut one, 20, second * 1000);
        room.beat(&mut two, 20, second * 1000 + 500);
    }
    assert_eq!(count(room.beat(&mut one, 20, 5000)), 10);
    assert_eq!(count(room.beat(&mut one, 20, 7000)), 10);
    assert_eq!(count(room.beat(&mut one, 20, 9600)), 20);
    assert_eq!(room.beat(&mut two, 20, 9700), Some(Share::Pending));
}

#[test]
fn who_has_no_more_work_leaves_its_part_at_once() {
    let mut room = Room::new();
    let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
    for second in 0..5 {
        room.beat(&mut one, 20, second * 1000);
        room.beat(&mut two, 20, second * 1000 + 500);
    }
    assert_eq!(room.beat(&mut two, 0, 5000), None);
    assert_eq!(count(room.beat(&mut one, 20, 5100)), 20);
}

#[test]
fn a_limit_smaller_than_the_number_of_processes_is_left_to_as_many_as_it_has_room_for() {
    let mut room = Room::new();
    let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
    let mut last = (None, None);
    for second in 0..5 {
        last.0 = room.beat(&mut one, 1, second * 1000);
        last.1 = room.beat(&mut two, 1, second * 1000 + 500);
    }
    assert_eq!(count(last.0), 1);
    assert!(matches!(last.1, Some(Share::Taken(_))));
}

#[test]
fn the_parts_come_to_the_whole_and_never_grow_with_the_company() {
    for limit in 1..40 {
        for processes in 1..10 {
            assert_eq!((0..processes).map(|rank| part(limit, rank, processes)).sum::<u32>(), limit);
            for rank in 0..processes {
                assert!(part(limit, rank, processes + 1) <= part(limit, rank, processes));
                assert!(part(limit, rank + 1, processes + 1) <= part(limit, rank, processes));
            }
        }
    }
}

proptest::proptest! {
    /// Up to four processes that beat at random times, come, go and stand still: what they may send together never
    /// exceeds the limit.
    #[test]
    fn the_shares_of_all_never_exceed_the_limit(
        limit in 1u32..30,
        steps in proptest::collection::vec((0usize..4, 50u64..900, proptest::bool::weighted(0.9)), 1..200),
    ) {
        let mut room = Room::new();
        let mut all: Vec<_> = ["a", "b", "c", "d"].map(|me| (Shares::new(me.into()), None)).into();
        let mut ms = 0;
        for (who, wait, wants) in steps {
            ms += wait;
            let (shares, held) = &mut all[who];
            *held = room.beat(shares, if wants { limit } else { 0 }, ms);
            let now = room.start + Duration::from_millis(ms);
            let sum: u32 = all.iter().map(|(_, held)| match held {
                Some(Share::PerSecond(count, until)) if *until > now => count.get(),
                _ => 0,
            }).sum();
            proptest::prop_assert!(sum <= limit, "{sum} of {limit} at {ms}");
        }
    }
}
