//! Swaps: in one transaction, judged by its net effect, tasks of a group pass their assignees among each other.
//!
//! Each task that went from one assignee to another is an edge between two people; a swap is a ring of edges, of two or
//! more. Rings are found in stream order, the shortest first, so that an unrelated re-assignment in the same
//! transaction stays a re-assignment. Pure.

use std::collections::hash_map::Entry;
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
    let people = People::of(moves);
    let mut swapped = vec![false; people.edges.len()];
    // Edges between two people are alike: where one finds no ring, no later one does.
    let mut hopeless: HashSet<(usize, usize)> = HashSet::new();
    for start in 0..people.edges.len() {
        let Edge { from, to, .. } = people.edges[start];
        if swapped[start] || hopeless.contains(&(from, to)) {
            continue;
        }
        let ring = people.ring(start, &swapped);
        if ring.is_empty() {
            hopeless.insert((from, to));
        }
        ring.into_iter().for_each(|edge| swapped[edge] = true);
    }
    let mut givers: HashMap<usize, &DocId> = HashMap::new();
    for (edge, _) in people.edges.iter().zip(&swapped).filter(|(_, swapped)| **swapped) {
        givers.entry(edge.from).or_insert(&moves[edge.nth].task);
    }
    let received = people.edges.iter().zip(&swapped).filter(|(_, swapped)| **swapped);
    let pairs = received.filter_map(|(edge, _)| Some((moves[edge.nth].task.clone(), (*givers.get(&edge.to)?).clone())));
    pairs.collect()
}

/// A task that went from one person to another.
struct Edge {
    nth: usize,
    from: usize,
    to: usize,
}

/// The people of a transaction (an assignee within a group), and the tasks that went between them.
struct People {
    edges: Vec<Edge>,
    /// The edges that leave each person, in stream order.
    leaving: Vec<Vec<usize>>,
}

impl People {
    fn of(moves: &[Reassigned]) -> Self {
        let mut known: HashMap<(&DocId, &Value), usize> = HashMap::new();
        let mut edges = Vec::new();
        for (nth, entry) in moves.iter().enumerate() {
            if entry.from != entry.to && is_somebody(&entry.from) && is_somebody(&entry.to) {
                let next = known.len();
                let from = *known.entry((&entry.group, &entry.from)).or_insert(next);
                let next = known.len();
                let to = *known.entry((&entry.group, &entry.to)).or_insert(next);
                edges.push(Edge { nth, from, to });
            }
        }
        let mut leaving = vec![Vec::new(); known.len()];
        edges.iter().enumerate().for_each(|(at, edge)| leaving[edge.from].push(at));
        Self { edges, leaving }
    }

    /// The shortest ring through `start` of edges that are not `taken`; empty if there is none.
    fn ring(&self, start: usize, taken: &[bool]) -> Vec<usize> {
        let (home, first) = (self.edges[start].from, self.edges[start].to);
        let mut came_by: HashMap<usize, usize> = HashMap::from([(first, start)]);
        let mut queue = VecDeque::from([first]);
        while let Some(person) = queue.pop_front() {
            for at in self.leaving[person].iter().copied().filter(|at| !taken[*at]) {
                let next = self.edges[at].to;
                if next == home {
                    let mut ring = vec![at];
                    let mut person = person;
                    while let Some(edge) = came_by.get(&person).copied() {
                        ring.push(edge);
                        person = self.edges[edge].from;
                    }
                    return ring;
                }
                if let Entry::Vacant(unseen) = came_by.entry(next) {
                    unseen.insert(at);
                    queue.push_back(next);
                }
            }
        }
        Vec::new()
    }
}

/// .NET writes an ObjectId that was never set as all zeros.
fn is_somebody(assignee: &Value) -> bool {
    *assignee != Value::Null && *assignee != Value::Oid(ObjectId::from_bytes([0; 12]))
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

    #[test]
    fn ten_thousand_reassignments_along_a_chain_of_people_are_no_swap() {
        let people = ["a", "b", "c", "d"];
        let tasks: Vec<String> = (0..9_999).map(|at| format!("t{at}")).collect();
        let edges = tasks.iter().enumerate().map(|(at, task)| (task.as_str(), people[at % 3], people[at % 3 + 1]));
        assert!(judge(&moves(&edges.collect::<Vec<_>>())).is_empty());
    }

    /// Every ring through `start` of free edges, each as its edges in order, by trying all ways.
    fn all_rings(edges: &[(u8, u8)], free: &[bool], way: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        let (home, at) = (edges[way[0]].0, edges[way[way.len() - 1]].1);
        if at == home {
            found.push(way.clone());
            return;
        }
        for next in 0..edges.len() {
            let comes_again = way.iter().any(|edge| edges[*edge].0 == edges[next].0);
            if free[next] && edges[next].0 == at && edges[next].0 != edges[next].1 && !comes_again {
                way.push(next);
                all_rings(edges, free, way, found);
                way.pop();
            }
        }
    }

    /// Swaps by the sentence: in stream order, each task's shortest ring of what is left, the first of several.
    fn by_trying_all(edges: &[(u8, u8)]) -> Vec<bool> {
        let mut free = vec![true; edges.len()];
        for start in 0..edges.len() {
            if !free[start] || edges[start].0 == edges[start].1 {
                continue;
            }
            let mut found = Vec::new();
            all_rings(edges, &free, &mut vec![start], &mut found);
            if let Some(ring) = found.into_iter().min_by_key(|ring| (ring.len(), ring.clone())) {
                ring.into_iter().for_each(|edge| free[edge] = false);
            }
        }
        free.into_iter().map(|free| !free).collect()
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
            let expected = by_trying_all(&edges);
            let told: Vec<_> = list.iter().map(|entry| swapped.contains_key(&entry.task)).collect();
            prop_assert_eq!(told, expected);
            for entry in list.iter().filter(|entry| swapped.contains_key(&entry.task)) {
                let fits = |other: &&Reassigned| swapped.contains_key(&other.task) && other.from == entry.to;
                prop_assert_eq!(&swapped[&entry.task], &list.iter().find(fits).unwrap().task);
            }
        }
    }
}
