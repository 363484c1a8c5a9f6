//! Gradients that are one tensor: a layer that adds values hands its gradient on to each of them, and nothing need be copied.
//!
//! Such tensors share memory, unless what another layer adds, or a gate, changes one of them while the other is still needed.

use std::collections::{BTreeMap, HashMap};

use super::layer::EqualGrads;
use super::model::NodeId;
use super::schedule::{Call, Key, Life};

/// Gives tensors that can be one the same root, and each the life of all of them together.
pub(super) fn unite(
    calls: &[Call],
    equal_grads: &dyn Fn(NodeId) -> EqualGrads,
    lives: &mut BTreeMap<Key, Life>,
) {
    let changes = changes(calls);
    // Whether each change of one comes before the other is there, or after its end.
    let apart = |one: &Key, other: &Key| {
        let other = &lives[other];
        changes.get(one).into_iter().flatten().all(|&at| at < other.first || at > other.last)
    };
    let mut groups: Vec<Vec<Key>> = Vec::new();
    let mut group_of: HashMap<Key, usize> = HashMap::new();
    for (at, call) in calls.iter().enumerate() {
        let Call::Backward { node, d_y, d_x, .. } = call else { continue };
        let set = d_x.iter().flatten().filter(|(_, adds)| !adds).map(|(key, _)| key);
        let equal: Vec<Key> = match equal_grads(*node) {
            EqualGrads::No => continue,
            EqualGrads::Inputs => set.copied().collect(),
            EqualGrads::All => [d_y].into_iter().chain(set).copied().collect(),
        };
        let [first, rest @ ..] = &equal[..] else { continue };
        let group = *group_of.entry(*first).or_insert_with(|| {
            groups.push(vec![*first]);
            groups.len() - 1
        });
        for key in rest.iter().filter(|key| key.narrow == first.narrow) {
            // Those that are no longer needed are apart from what is written now.
            let mut needed = groups[group].iter().filter(|other| lives[*other].last >= at);
            if needed.all(|other| apart(key, other) && apart(other, key)) {
                groups[group].push(*key);
                group_of.insert(*key, group);
            }
        }
    }
    for group in &groups {
        let of = |key: &Key| (lives[key].first, lives[key].last);
        let (first, last) = group.iter().map(of).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).expect("some");
        for key in group {
            let life = lives.get_mut(key).expect("all that calls touch has a life");
            (life.root, life.first, life.last) = (group[0], first, last);
        }
    }
}

/// The calls that change a tensor after it was written.
fn changes(calls: &[Call]) -> HashMap<Key, Vec<usize>> {
    let mut changes: HashMap<Key, Vec<usize>> = HashMap::new();
    for (at, call) in calls.iter().enumerate() {
        let changed: Vec<Key> = match call {
            Call::Gate { d_y, .. } => vec![*d_y],
            Call::Add { to, .. } => vec![*to],
            Call::Backward { d_x, .. } => {
                d_x.iter().flatten().filter(|(_, adds)| *adds).map(|(key, _)| *key).collect()
            }
            _ => continue,
        };
        changed.into_iter().for_each(|key| changes.entry(key).or_default().push(at));
    }
    changes
}
