//! Swaps: in one transaction, judged by its net effect, tasks of a group pass their assignees among each other.
//!
//! Each task that went from one assignee to another is an edge between two people; a swap is a ring of edges, of two or
//! more. Rings are found in stream order, the shortest first, so that an unrelated re-assignment in the same
//! transaction stays a re-assignment. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use bson::oid::ObjectId;
use taskwire::mapping::Value;
use taskwire::model::DocId;

/// A task's net re-assignment in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassigned {
    /// The task.
    pub task: DocId,
    /// Its group, the same before and after.
    pub group: DocId,
    /// The assignee before the transaction.
    pub from: Value,
    /// The assignee after it.
    pub to: Value,
}

/// Which tasks were swapped, each with the task whose old assignee it received (the first in stream order that fits).
#[must_use]
pub fn judge(moves: &[Reassigned]) -> HashMap<DocId, DocId> {
    let mut swapped: Vec<bool> = vec![false; moves.len()];
    let is_edge = |edge: &Reassigned| edge.from != edge.to && is_somebody(&edge.from) && is_somebody(&edge.to);
    for start in 0..moves.len() {
        if swapped[start] || !is_edge(&moves[start]) {
            continue;
        }
        for at in ring(moves, start, |at| !swapped[at] && is_edge(&moves[at])) {
            swapped[at] = true;
        }
    }
    let gave = |receiver: &Reassigned, at: usize| {
        swapped[at] && moves[at].group == receiver.group && moves[at].from == receiver.to
    };
    let pairs = (0..moves.len()).filter(|at| swapped[*at]).filter_map(|at| {
        let giver = (0..moves.len()).find(|other| *other != at && gave(&moves[at], *other))?;
        Some((moves[at].task.clone(), moves[giver].task.clone()))
    });
    pairs.collect()
}

/// .NET writes an ObjectId that was never set as all zeros.
fn is_somebody(assignee: &Value) -> bool {
    *assignee != Value::Null && *assignee != Value::Oid(ObjectId::from_bytes([0; 12]))
}

/// The shortest ring of free edges through `start`; empty if there is none.
fn ring(moves: &[Reassigned], start: usize, free: impl Fn(usize) -> bool) -> Vec<usize> {
    let group = &moves[start].group;
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut seen: HashSet<usize> = HashSet::from([start]);
    let mut queue = VecDeque::from([start]);
    while let Some(edge) = queue.pop_front() {
        if moves[edge].to == moves[start].from {
            let mut ring = vec![edge];
            while let Some(previous) = ring.last().and_then(|last| came_from.get(last)) {
                ring.push(*previous);
            }
            return ring;
        }
        for next in 0..moves.len() {
            let follows = moves[next].group == *group && moves[next].from == moves[edge].to;
            if follows && free(next) && seen.insert(next) {
                came_from.insert(next, edge);
                queue.push_back(next);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moves(list: &[(&str, &str, &str)]) -> Vec<Reassigned> {
        let text = |text: &str| if text.is_empty() { Value::Null } else { Value::Text(text.into()) };
        let one = |(task, from, to): &(&str, &str, &str)| Reassigned {
            task: DocId::parse(task),
            group: DocId::parse("g"),
            from: text(from),
            to: text(to),
        };
        list.iter().map(one).collect()
    }

    fn pairs(list: &[(&str, &str, &str)]) -> Vec<(String, String)> {
        let mut pairs: Vec<_> =
            judge(&moves(list)).into_iter().map(|(task, with)| (task.to_string(), with.to_string())).collect();
        pairs.sort();
        pairs
    }

    fn expected(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_pair_and_a_ring_of_three_are_swaps() {
        assert_eq!(pairs(&[("a", "1", "2"), ("b", "2", "1")]), expected(&[("a", "b"), ("b", "a")]));
        assert_eq!(
            pairs(&[("a", "1", "2"), ("b", "2", "3"), ("c", "3", "1")]),
            expected(&[("a", "b"), ("b", "c"), ("c", "a")])
        );
    }

    #[test]
    fn other_reassignments_beside_a_swap_stay_what_they_are() {
        assert_eq!(
            pairs(&[("x", "7", "8"), ("a", "1", "2"), ("c", "1", "2"), ("b", "2", "1"), ("d", "2", "")]),
            expected(&[("a", "b"), ("b", "a")])
        );
        assert_eq!(pairs(&[("a", "1", "2"), ("b", "2", "3")]), expected(&[]));
        assert_eq!(pairs(&[("a", "", "2"), ("b", "2", "")]), expected(&[]));
        assert_eq!(pairs(&[("a", "1", "1")]), expected(&[]));
    }

    #[test]
    fn two_pairs_are_two_swaps() {
        assert_eq!(
            pairs(&[("a", "1", "2"), ("b", "2", "1"), ("c", "3", "4"), ("d", "4", "3")]),
            expected(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")])
        );
    }

    #[test]
    fn tasks_of_different_groups_never_swap() {
        let mut list = moves(&[("a", "1", "2"), ("b", "2", "1")]);
        list[1].group = DocId::parse("h");
        assert!(judge(&list).is_empty());
    }

    proptest! {
        /// Among swapped tasks the assignees are the same before and after, only passed around.
        #[test]
        fn a_swap_keeps_the_assignees(edges in prop::collection::vec((0u8..5, 0u8..5), 0..12)) {
            let names: Vec<_> = edges
                .iter()
                .enumerate()
                .map(|(at, (from, to))| (format!("t{at}"), from.to_string(), to.to_string()))
                .collect();
            let list: Vec<_> = names.iter().map(|(t, f, o)| (t.as_str(), f.as_str(), o.as_str())).collect();
            let list = moves(&list);
            let swapped = judge(&list);
            let mut before = Vec::new();
            let mut after = Vec::new();
            for entry in list.iter().filter(|entry| swapped.contains_key(&entry.task)) {
                before.push(entry.from.to_text());
                after.push(entry.to.to_text());
                let giver = list.iter().find(|other| other.task == swapped[&entry.task]).unwrap();
                prop_assert!(swapped.contains_key(&giver.task) && giver.from == entry.to);
            }
            before.sort();
            after.sort();
            prop_assert_eq!(before, after);
        }
    }
}
