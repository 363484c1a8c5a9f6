//! Weights taken together in a network of repeated blocks: all of a kind, and all of a block.

use std::collections::BTreeMap;

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

/// A name up to the number of its block, and what follows; `numbers` are those of the block, such as `1.0` in
/// `stages.1.0.conv.weight`. Numbers that follow are of what is in the block. Where no part is a number, the first that a part
/// ends with is: the 1 of `lstm1_in.weight`.
struct Cut<'a> {
    before: &'a str,
    numbers: &'a str,
    after: &'a str,
}

fn cut(name: &str) -> Option<Cut<'_>> {
    let is_number = |part: &str| part.parse::<usize>().is_ok();
    let mut begins = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
    let part = |begin: usize| name[begin..].split('.').next().unwrap_or_default();
    let whole = begins.find(|&begin| is_number(part(begin))).map(|begin| {
        let numbers: Vec<&str> = name[begin..].split('.').take_while(|part| is_number(part)).collect();
        begin..begin + numbers.join(".").len()
    });
    let at = whole.or_else(|| {
        // `lstm1_in`, and no `conv2d`: after the digits a word is over.
        let digits = |begin: &usize| name[*begin..].chars().take_while(char::is_ascii_digit).count();
        let begins = |&at: &usize| at > 0 && !name[..at].ends_with(|c: char| c.is_ascii_digit());
        let found = (0..name.len()).filter(|&at| name.is_char_boundary(at)).filter(begins);
        let ends = |at: usize| ['.', '_'].iter().any(|&end| name[at..].starts_with(end));
        found.map(|at| at..at + digits(&at)).find(|at| !at.is_empty() && ends(at.end))
    })?;
    Some(Cut { before: &name[..at.start], numbers: &name[at.clone()], after: &name[at.end..] })
}

/// The weights whose names differ in nothing but the number of the block.
pub fn kinds(tensors: &[Tensor]) -> Vec<Group> {
    groups(tensors, |name| {
        let Cut { before, numbers, after } = cut(name)?;
        let stars = vec!["*"; numbers.split('.').count()].join(".");
        Some(format!("{before}{stars}{after}"))
    })
}

/// The weights of each block: those whose names begin alike up to its number.
pub fn blocks(tensors: &[Tensor]) -> Vec<Group> {
    groups(tensors, |name| cut(name).map(|cut| format!("{}{}", cut.before, cut.numbers)))
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
    fn numbers_of_blocks_are_found_in_names() {
        let parts = |name| cut(name).map(|cut| [cut.before, cut.numbers, cut.after]);
        assert_eq!(parts("stages.1.0.conv.2.weight"), Some(["stages.", "1.0", ".conv.2.weight"]));
        assert_eq!(parts("lstm1_in.weight"), Some(["lstm", "1", "_in.weight"]));
        assert_eq!(parts("encoder12.weight_i"), Some(["encoder", "12", ".weight_i"]));
        assert_eq!(parts("0.weight"), Some(["", "0", ".weight"]));
        assert_eq!(parts("conv2d.weight"), None);
        assert_eq!(parts("head.weight"), None);
    }

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
