use super::super::job::tests::job;
use super::*;
use taskwire::target::TargetState;

fn fill(board: &mut Board, id: ObjectId, count: usize) {
    board.reserve(id, count);
    for _ in 0..count {
        board.fill(job(id));
    }
}

fn start_all(board: &mut Board) -> Vec<ObjectId> {
    std::iter::from_fn(|| match board.turn(Instant::now()) {
        Turn::Start(job) => Some(job.webhook()),
        Turn::Nothing => None,
    })
    .collect()
}

#[test]
fn lanes_take_turns() {
    let mut board = Board::new(100, 64);
    let (a, b) = (ObjectId::new(), ObjectId::new());
    fill(&mut board, a, 5);
    fill(&mut board, b, 2);
    assert_eq!(start_all(&mut board), [a, b, a, b, a, a, a]);
}

#[test]
fn greedy_lanes_leave_slots_for_the_next_one() {
    let mut board = Board::new(64, 64);
    for _ in 0..5 {
        fill(&mut board, ObjectId::new(), 16);
    }
    let started = start_all(&mut board).len();
    assert!((40..64).contains(&started), "{started}");
    let late = ObjectId::new();
    fill(&mut board, late, 3);
    assert!(start_all(&mut board).contains(&late));
}

#[test]
fn lanes_that_hold_much_leave_room_for_the_next_one() {
    let mut board = Board::new(4, 4);
    for _ in 0..9 {
        let target = Target::placeholder(ObjectId::new(), 1, TargetState::Live);
        let room = board.room(&target, false);
        assert!(room > 0);
        fill(&mut board, target.id, room);
    }
}

/// A webhook whose first delivery was answered in no time.
fn answered_at_once(board: &mut Board) -> Target {
    let target = Target::placeholder(ObjectId::new(), 1, TargetState::Live);
    let now = Instant::now();
    fill(board, target.id, 1);
    start_all(board);
    board.ended(target.id, Verdict::Well, now, now);
    target
}

#[test]
fn a_batch_waits_for_what_a_quick_lane_holds_itself_and_not_for_what_others_hold() {
    let mut board = Board::new(32, 16);
    let target = answered_at_once(&mut board);
    assert!(!board.will_soon_have_room(&target, 200));
    let room = board.room(&target, true);
    fill(&mut board, target.id, room);
    assert!(board.will_soon_have_room(&target, 200));
    let mut board = Board::new(32, 16);
    let target = answered_at_once(&mut board);
    for _ in 0..20 {
        let other = Target::placeholder(ObjectId::new(), 1, TargetState::Live);
        fill(&mut board, other.id, 32 * HELD_PER_SLOT / 20);
    }
    assert!(board.room(&target, true) < 100);
    assert!(!board.will_soon_have_room(&target, 200));
}

#[test]
fn a_lane_that_may_hold_more_than_there_is_room_for_is_fed_all_the_same() {
    let mut board = Board::new(32, 16);
    let target = answered_at_once(&mut board);
    assert!(board.wants(&target) >= 100);
}

#[test]
fn targets_that_never_answer_leave_half_of_the_slots_however_many_they_are() {
    let mut board = Board::new(32, 8);
    let now = Instant::now();
    let dead: Vec<ObjectId> = (0..200).map(|_| ObjectId::new()).collect();
    for id in &dead {
        for _ in 0..3 {
            fill(&mut board, *id, 1);
            assert_eq!(start_all(&mut board), [*id]);
            board.ended(*id, Verdict::Absent, now, now);
        }
    }
    for id in &dead {
        fill(&mut board, *id, 1);
    }
    assert_eq!(start_all(&mut board).len(), 16);
    let healthy = ObjectId::new();
    fill(&mut board, healthy, 4);
    assert_eq!(start_all(&mut board), [healthy; 4]);
}

#[test]
fn a_troubled_lane_takes_nothing_past_the_queue_and_a_lane_with_a_backlog_half() {
    let mut board = Board::new(100, 10);
    let target = Target::placeholder(ObjectId::new(), 1, TargetState::Live);
    let now = Instant::now();
    assert_eq!(board.room(&target, true), 10);
    fill(&mut board, target.id, 1);
    start_all(&mut board);
    board.ended(target.id, Verdict::Well, now, now);
    assert_eq!(board.room(&target, true), 320);
    board.set_backlog(target.id, true);
    assert_eq!(board.room(&target, true), 160);
    assert_eq!(board.room(&target, false), 320);
    for _ in 0..3 {
        fill(&mut board, target.id, 1);
        start_all(&mut board);
        board.ended(target.id, Verdict::Absent, now, now);
    }
    assert_eq!(board.room(&target, true), 0);
    assert_eq!(board.room(&target, false), 1);
}

#[test]
fn what_waits_for_a_share_that_cannot_be_agreed_on_is_given_back_and_what_has_one_stays() {
    let mut board = Board::new(100, 64);
    let (now, second) = (Instant::now(), std::time::Duration::from_secs(1));
    let limited = |count| {
        let mut target = Target::placeholder(ObjectId::new(), 1, TargetState::Live);
        target.rate = NonZeroU32::new(count);
        target
    };
    let (with, without) = (limited(20), limited(20));
    for target in [&with, &without] {
        assert_eq!(board.room(target, false), 1);
        fill(&mut board, target.id, 1);
    }
    assert!(board.take_lacks_share());
    board.set_share(with.id, Share::PerSecond(NonZeroU32::MIN, now + second), now);
    let given_back = board.put_off_shares(now, now + second);
    assert_eq!(given_back.iter().map(Job::webhook).collect::<Vec<_>>(), [without.id]);
    assert_eq!((board.room(&without, false), board.held()), (0, 1));
    assert_eq!(start_all(&mut board), [with.id]);
}

#[test]
fn a_closed_board_gives_back_what_waits_and_starts_nothing() {
    let mut board = Board::new(1, 1);
    let id = ObjectId::new();
    fill(&mut board, id, 3);
    assert_eq!(start_all(&mut board).len(), 1);
    assert_eq!(board.close().len(), 2);
    let ended = board.ended(id, Verdict::Well, Instant::now(), Instant::now());
    assert!(!ended.wants_more);
    assert!(start_all(&mut board).is_empty());
    board.forget(id);
    assert!(board.lanes.is_empty());
    assert_eq!(board.held, 0);
}
