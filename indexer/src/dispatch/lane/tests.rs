//! One lane by itself.

use super::*;

fn used(lane: &mut Lane) {
    lane.in_flight = lane.limit();
}

#[test]
fn a_lane_grows_to_its_maximum_while_it_is_used_and_not_otherwise() {
    let now = Instant::now();
    let mut lane = Lane::new(64);
    lane.learn(Verdict::Well, now, now);
    assert_eq!(lane.limit(), 16);
    for _ in 0..100 {
        used(&mut lane);
        lane.learn(Verdict::Well, now, now);
    }
    assert_eq!(lane.limit(), 64);
}

#[test]
fn a_target_that_stops_answering_is_soon_down_to_one_request() {
    let now = Instant::now();
    let mut lane = Lane::new(64);
    for _ in 0..4 {
        lane.learn(Verdict::Absent, now, now);
    }
    assert_eq!((lane.limit(), lane.capacity(), lane.is_troubled()), (1, 1, true));
    lane.learn(Verdict::Well, now, now);
    assert!(!lane.is_troubled());
}

#[test]
fn error_statuses_of_one_round_trip_cut_once() {
    let began = Instant::now();
    let later = began + Duration::from_millis(10);
    let mut lane = Lane::new(64);
    for _ in 0..10 {
        lane.learn(Verdict::Strained, began, later);
    }
    assert_eq!(lane.limit(), 11);
    lane.learn(Verdict::Strained, later, later);
    assert_eq!(lane.limit(), 7);
}

#[test]
fn a_dead_target_is_probed_ever_more_seldom_until_it_answers() {
    let now = Instant::now();
    let mut lane = Lane::new(64);
    for _ in 0..19 {
        lane.learn(Verdict::Absent, now, now);
    }
    assert_eq!(lane.start(now), Start::Now);
    lane.learn(Verdict::Absent, now, now);
    assert_eq!(lane.start(now), Start::At(now + FIRST_SPACING));
    for _ in 0..200 {
        lane.learn(Verdict::Absent, now, now);
    }
    assert_eq!(lane.start(now), Start::At(now + LONGEST_SPACING));
    lane.learn(Verdict::Well, now, now);
    assert_eq!(lane.start(now), Start::Now);
}

#[test]
fn a_slow_target_holds_no_more_than_it_works_on() {
    let now = Instant::now();
    let mut lane = Lane::new(64);
    lane.learn(Verdict::Well, now, now + Duration::from_millis(50));
    assert_eq!(lane.capacity(), 512);
    for _ in 0..100 {
        lane.learn(Verdict::Well, now, now + Duration::from_secs(10));
    }
    assert_eq!(lane.capacity(), lane.limit());
}

fn per_second(count: u32, until: Instant) -> Share {
    Share::PerSecond(NonZeroU32::new(count).unwrap(), until)
}

#[test]
fn a_lane_with_a_rate_limit_sends_nothing_before_a_share_is_agreed_nor_after_it_ran_out() {
    let now = Instant::now();
    let mut lane = Lane::new(64);
    lane.set_rate(NonZeroU32::new(20));
    assert_eq!((lane.start(now), lane.capacity(), lane.lacks_share()), (Start::Later, 1, true));
    lane.set_share(per_second(10, now + SECOND), now);
    assert_eq!((lane.start(now), lane.capacity()), (Start::Now, 16));
    assert_eq!(lane.start(now + SECOND), Start::Later);
    lane.set_share(Share::Taken(now + SECOND), now);
    assert_eq!((lane.start(now), lane.capacity()), (Start::Later, 0));
    lane.set_share(per_second(10, now + SECOND), now);
    lane.set_rate(NonZeroU32::new(30));
    assert_eq!(lane.start(now), Start::Later);
    lane.set_rate(None);
    lane.set_share(per_second(1, now + SECOND), now);
    assert_eq!([lane.start(now), lane.start(now)], [Start::Now; 2]);
}

#[test]
fn a_new_share_does_not_begin_with_a_burst_on_top_of_what_was_just_sent() {
    let now = Instant::now();
    let mut lane = Lane::new(64);
    lane.set_rate(NonZeroU32::new(20));
    lane.set_share(per_second(10, now + SECOND), now);
    assert_eq!(lane.start(now), Start::Now);
    lane.set_share(per_second(20, now + SECOND), now);
    assert!(matches!(lane.start(now), Start::At(_)));
    // The same again changes nothing but its end.
    lane.set_share(per_second(20, now + SECOND * 2), now);
    assert!(matches!(lane.start(now), Start::At(_)));
}

#[test]
fn a_share_is_wanted_while_rows_are_held_and_a_while_after() {
    let now = Instant::now();
    let mut lane = Lane::new(64);
    lane.reserved = 1;
    assert_eq!(lane.wanted_rate(now), None);
    lane.set_rate(NonZeroU32::new(20));
    assert_eq!(lane.wanted_rate(now), NonZeroU32::new(20));
    lane.set_share(per_second(20, now + SECOND * 9), now);
    lane.reserved = 0;
    assert_eq!(lane.wanted_rate(now + SECOND), NonZeroU32::new(20));
    assert_eq!(lane.wanted_rate(now + SHARE_LINGERS), None);
    assert!(lane.lacks_share());
    lane.set_share(per_second(20, now + SECOND * 9), now);
    assert_eq!(lane.start(now + SECOND), Start::Now);
    assert_eq!(lane.wanted_rate(now + SHARE_LINGERS), NonZeroU32::new(20));
    lane.set_share(Share::Taken(now + SECOND * 5), now);
    lane.reserved = 1;
    assert_eq!(lane.wanted_rate(now + SECOND * 4), None);
    assert_eq!(lane.wanted_rate(now + SECOND * 5), NonZeroU32::new(20));
}

#[test]
fn no_more_than_the_rate_begin_in_any_second() {
    for rate in [1, 2, 10, 19, 40, 100, 1000] {
        let clock = governor::clock::FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota(NonZeroU32::new(rate).unwrap()), clock.clone());
        let mut starts = Vec::new();
        for millisecond in 0..3000u32 {
            while limiter.check().is_ok() {
                starts.push(millisecond);
            }
            clock.advance(Duration::from_millis(1));
        }
        for (at, start) in starts.iter().enumerate() {
            let within = starts[at..].iter().take_while(|other| **other < start + 1000).count();
            assert!(within <= rate as usize, "{rate}: {within}");
        }
        assert!(starts.len() as u32 >= rate * 3 * 8 / 10, "{rate}: {}", starts.len());
    }
}
