use super::super::job::tests::job;
use super::*;

struct Scene {
    chains: Chains,
    webhook: ObjectId,
    task: DocId,
}

impl Scene {
    fn new() -> Self {
        Self { chains: Chains::default(), webhook: ObjectId::new(), task: DocId::parse("k") }
    }

    /// Whether a row is given a place where no row of its task is open.
    fn admit_clear(&mut self) -> bool {
        self.admit(&mut HashSet::from([self.task.clone()]), true)
    }

    fn admit(&mut self, clear: &mut HashSet<DocId>, has_room: bool) -> bool {
        self.chains.admit(self.webhook, &self.task, clear, has_room)
    }

    fn put(&mut self, sequence: i64) {
        let mut job = job(self.webhook);
        job.row.sequence = sequence;
        self.chains.put(job);
    }

    fn admit_and_put(&mut self, sequences: std::ops::RangeInclusive<i64>) {
        for sequence in sequences {
            assert!(self.admit_clear());
            self.put(sequence);
        }
    }

    fn end(&mut self) {
        self.chains.ended(vec![(self.webhook, self.task.clone())]);
    }

    /// What a look finds where this is the lowest open row: sequences to start, to give back, and whether the claim is told.
    fn turns(&mut self, lowest: Option<i64>) -> (Vec<i64>, Vec<i64>, bool) {
        let lowest = lowest.map(|lowest| (self.task.clone(), lowest)).into_iter().collect();
        let turns = self.chains.turns(self.webhook, HashSet::from([self.task.clone()]), &lowest);
        let sequences = |jobs: Vec<Job>| jobs.iter().map(|job| job.row.sequence).collect();
        (sequences(turns.start), sequences(turns.give_back), !turns.left_to_the_claim.is_empty())
    }
}

#[test]
fn rows_of_one_task_start_one_after_the_other_as_each_is_written() {
    let mut scene = Scene::new();
    scene.admit_and_put(1..=3);
    assert_eq!(scene.turns(Some(1)), (vec![1], vec![], false));
    // The first is under way: nothing else starts, whatever the database says.
    assert_eq!(scene.turns(Some(2)), (vec![], vec![], false));
    scene.end();
    assert_eq!(scene.turns(Some(2)), (vec![2], vec![], false));
    scene.end();
    assert_eq!(scene.turns(Some(3)), (vec![3], vec![], false));
    scene.end();
    assert_eq!(scene.turns(None), (vec![], vec![], false));
    assert!(scene.chains.chains.is_empty());
}

#[test]
fn where_one_before_it_is_open_all_that_wait_are_given_back_and_what_follows_is_left_to_the_claim() {
    let mut scene = Scene::new();
    scene.admit_and_put(1..=3);
    scene.turns(Some(1));
    scene.end();
    // It is tried again.
    assert!(scene.admit_clear());
    assert_eq!(scene.turns(Some(1)), (vec![], vec![2, 3], true));
    assert!(!scene.admit_clear());
    scene.put(4);
    assert_eq!(scene.turns(Some(1)), (vec![], vec![4], true));
    assert!(scene.chains.chains.is_empty());
}

#[test]
fn a_task_with_open_rows_that_are_not_held_here_is_left_to_the_claim() {
    let mut scene = Scene::new();
    assert!(!scene.admit(&mut HashSet::new(), true));
    assert!(scene.chains.chains.is_empty());
}

#[test]
fn behind_one_for_which_there_was_no_room_nothing_is_handed_over_until_all_has_ended() {
    let mut scene = Scene::new();
    let mut clear = HashSet::from([scene.task.clone()]);
    assert!(!scene.admit(&mut clear, false));
    assert!(!scene.admit(&mut clear, true));
    scene.admit_and_put(1..=1);
    assert!(!scene.admit(&mut HashSet::new(), false));
    assert!(!scene.admit_clear());
    scene.turns(Some(1));
    scene.end();
    assert_eq!(scene.turns(Some(2)), (vec![], vec![], true));
    assert!(!scene.admit(&mut HashSet::new(), true));
    assert!(scene.admit_clear());
}

#[test]
fn a_task_holds_no_more_than_its_lease_lasts_for() {
    let mut scene = Scene::new();
    let admitted = (0..20).take_while(|_| scene.admit_clear()).count();
    assert_eq!(admitted, LONGEST);
}

#[test]
fn a_place_that_is_not_filled_closes_the_chain_and_leaves_nothing_behind() {
    let mut scene = Scene::new();
    assert!(scene.admit_clear());
    scene.chains.withdraw(scene.webhook, scene.task.clone());
    assert!(scene.chains.chains.is_empty());
    scene.admit_and_put(1..=1);
    assert!(scene.admit_clear());
    scene.turns(Some(1));
    scene.chains.withdraw(scene.webhook, scene.task.clone());
    assert!(!scene.admit_clear());
    scene.end();
    assert_eq!(scene.turns(None), (vec![], vec![], true));
    assert!(scene.chains.chains.is_empty());
}

#[test]
fn after_the_stop_what_waits_and_what_comes_is_returned() {
    let board = ChainBoard::default();
    let webhook = ObjectId::new();
    let first = job(webhook);
    assert!(board.admit(webhook, &first.row.task_id, &mut HashSet::from([first.row.task_id.clone()]), true));
    assert!(board.put(vec![first]).is_empty());
    assert_eq!(board.stop().len(), 1);
    assert_eq!(board.put(vec![job(webhook)]).len(), 1);
}
