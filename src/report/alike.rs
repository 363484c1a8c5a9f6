//! Weights taken together in a network of repeated blocks: all of a kind, and all of a block.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use super::inspect::{Tensor, new_table, percent, sparsity};

/// Weights taken together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Of a kind: the name of each with `*` for the number of the block, such as `blocks.*.query.weight`. Of a block: how
    /// their names begin, such as `blocks.0`.
    pub name: String,
    pub tensors: usize,
    pub total: usize,
    pub kept: usize,
    pub sparsity: f64,
}

/// Where the number of a block stands among the parts of a name: the first numbers that follow one another, such as `1.0` in
/// `stages.1.0.conv.weight`. Later ones are of what is in the block.
fn number(parts: &[&str]) -> Option<Range<usize>> {
    let is_number = |part: &&str| part.parse::<usize>().is_ok();
    let first = parts.iter().position(is_number)?;
    Some(first..first + parts[first..].iter().take_while(|part| is_number(part)).count())
}

/// The weights whose names differ in nothing but the number of the block.
pub fn kinds(tensors: &[Tensor]) -> Vec<Group> {
    groups(tensors, |name| {
        let mut parts: Vec<&str> = name.split('.').collect();
        let at = number(&parts)?;
        parts[at].fill("*");
        Some(parts.join("."))
    })
}

/// The weights of each block: those whose names begin alike up to its number.
pub fn blocks(tensors: &[Tensor]) -> Vec<Group> {
    groups(tensors, |name| {
        let parts: Vec<&str> = name.split('.').collect();
        Some(parts[..number(&parts)?.end].join("."))
    })
}

/// Groups of two weights and more, in the order of their first.
fn groups(tensors: &[Tensor], of: impl Fn(&str) -> Option<String>) -> Vec<Group> {
    let mut order = Vec::new();
    let mut found: BTreeMap<String, Vec<&Tensor>> = BTreeMap::new();
    for tensor in tensors.iter().filter(|tensor| tensor.shape.len() > 1) {
        let Some(name) = of(&tensor.name) else { continue };
        let own = found.entry(name.clone()).or_default();
        if own.is_empty() {
            order.push(name);
        }
        own.push(tensor);
    }
    let group = |name: String| {
        let own = found.remove(&name).expect("each name has weights");
        let (total, kept) = (own.iter().map(|t| t.total).sum(), own.iter().map(|t| t.kept).sum());
        Group { name, tensors: own.len(), total, kept, sparsity: sparsity(kept, total) }
    };
    order.into_iter().map(group).filter(|group| group.tensors > 1).collect()
}

/// A table for people; `None` where there are no groups.
pub fn table(head: &str, groups: &[Group]) -> Option<String> {
    if groups.is_empty() {
        return None;
    }
    let mut table = new_table([head, "weights", "total", "kept", "sparsity"].into_iter(), 1);
    for group in groups {
        let counts = [group.tensors, group.total, group.kept].map(|count| count.to_string());
        table.add_row([&[group.name.clone()][..], &counts, &[percent(group.sparsity)]].concat());
    }
    Some(table.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::inspect::{Options, inspect};
    use crate::store::{Array, Arrays};

    #[test]
    fn weights_of_blocks_by_kind_and_by_block() {
        let weight =
            |kept: usize| Array::f32([2, 2], &[0, 1, 2, 3].map(|i| if i < kept { 1.0 } else { 0.0 }));
        let arrays = Arrays::from([
            ("blocks.0.query.weight".into(), weight(1)),
            ("blocks.0.up.weight".into(), weight(4)),
            ("blocks.0.up.bias".into(), Array::f32([2], &[1.0; 2])),
            ("blocks.10.query.weight".into(), weight(2)),
            ("blocks.10.up.weight".into(), weight(0)),
            ("head.weight".into(), weight(3)),
            ("stage.1.0.conv.0.weight".into(), weight(3)),
            ("stage.1.0.conv.1.weight".into(), weight(3)),
        ]);
        let found = inspect(&arrays, &Options::default()).unwrap();
        let rows = |groups: &[Group]| -> Vec<(String, usize, usize, usize)> {
            groups.iter().map(|g| (g.name.clone(), g.tensors, g.total, g.kept)).collect()
        };
        let row = |name: &str, kept| (name.to_string(), 2, 8, kept);
        assert_eq!(rows(&found.kinds), [row("blocks.*.query.weight", 3), row("blocks.*.up.weight", 4)]);
        assert_eq!(rows(&found.blocks), [row("blocks.0", 5), row("blocks.10", 2), row("stage.1.0", 6)]);
        assert_eq!(found.kinds[0].sparsity, 0.625);
        let table = table("kind", &found.kinds).unwrap();
        assert!(table.contains("blocks.*.query.weight") && table.contains("62.50 %"), "{table}");
        assert!(super::table("kind", &[]).is_none(), "a network without blocks has no such table");
    }
}
