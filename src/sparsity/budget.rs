//! From a sparsity to integer budgets: how many weights each tensor, or a group of them, keeps.

use super::rules::{fits, said};
use super::structure::pool::Blocks;
use crate::error::{Error, Result};
use crate::ops::packed::Form;
use crate::param::Matrix;
use crate::recipe::{Distribution, Rule};

/// The roundings in use; a method names its own. Coppice's is `HalfEven`, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// `round_even(N (1 - s))`.
    HalfEven,
    /// `N - floor(N s)`.
    FloorZeros,
    /// `trunc(N (1 - s))`, after adding `1e-9 N` because decimal fractions are not exact.
    TruncKeep,
}

impl Rounding {
    /// The number of weights kept of `len` at sparsity `s`.
    pub fn keep(self, len: usize, s: f64) -> usize {
        let n = len as f64;
        match self {
            Rounding::HalfEven => (n * (1.0 - s)).round_ties_even() as usize,
            Rounding::FloorZeros => len - (n * s + 1e-9 * n).floor() as usize,
            Rounding::TruncKeep => (n * (1.0 - s) + 1e-9 * n).trunc() as usize,
        }
    }
}

/// The count rule of Coppice: half-even, at least 1 (and 0 of nothing).
pub fn keep(len: usize, s: f64) -> usize {
    Rounding::HalfEven.keep(len, s).max(1).min(len)
}

/// Splits `total` over shares, exactly: whole parts first, then the largest remainders, ties to the lower
/// index; no share exceeds its limit.
pub fn largest_remainder(total: usize, shares: &[f64], limits: &[usize]) -> Vec<usize> {
    let mut parts: Vec<usize> =
        shares.iter().zip(limits).map(|(s, &limit)| (s.floor() as usize).min(limit)).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| shares[b].fract().total_cmp(&shares[a].fract()).then(a.cmp(&b)));
    let mut left = total.saturating_sub(parts.iter().sum());
    while left > 0 && parts.iter().zip(limits).any(|(part, limit)| part < limit) {
        for &i in &order {
            if left > 0 && parts[i] < limits[i] {
                parts[i] += 1;
                left -= 1;
            }
        }
    }
    while parts.iter().sum::<usize>() > total {
        let most = (0..parts.len()).max_by_key(|&i| parts[i]).expect("parts");
        parts[most] -= 1;
    }
    parts
}

/// Densities by Erdos-Renyi: `min(1, eps p)` with `p = (sum of dims / product of dims)^power`, so that
/// `keep` weights remain. With `channels_only` the dims are those of channels, out and in (ER), else all (ERK).
///
/// Evci et al., 2020; see rigl's `get_mask_random` for the loop that forces tensors dense.
pub fn erdos_renyi(shapes: &[Vec<usize>], keep: f64, power: f64, channels_only: bool) -> Vec<f64> {
    let lens: Vec<f64> = shapes.iter().map(|shape| shape.iter().product::<usize>() as f64).collect();
    let raw = |shape: &Vec<usize>| {
        let matrix = Matrix::of(shape);
        let dims = if channels_only { vec![matrix.rows, matrix.channels] } else { shape.clone() };
        let (sum, product) = (dims.iter().sum::<usize>() as f64, dims.iter().product::<usize>() as f64);
        (sum / product).powf(power)
    };
    let p: Vec<f64> = shapes.iter().map(raw).collect();
    let mut dense = vec![false; shapes.len()];
    loop {
        let open = || (0..shapes.len()).filter(|&l| !dense[l]);
        let rest = keep - (0..shapes.len()).filter(|&l| dense[l]).map(|l| lens[l]).sum::<f64>();
        let eps = rest / open().map(|l| p[l] * lens[l]).sum::<f64>();
        let largest = open().map(|l| p[l]).fold(0.0, f64::max);
        if open().next().is_none() || largest * eps <= 1.0 {
            return (0..shapes.len()).map(|l| if dense[l] { 1.0 } else { eps * p[l] }).collect();
        }
        (0..shapes.len()).for_each(|l| dense[l] |= p[l] == largest);
    }
}

/// A maskable tensor as budgets see it.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// What of it is kept together.
    pub form: Form,
}

impl Tensor {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
    pub fn matrix(&self) -> Matrix {
        Matrix::of(&self.shape)
    }
    /// What its form alone keeps.
    fn fixed(&self) -> Option<usize> {
        let (rows, channels) = self.matrix().by_tap();
        self.form.per_row(channels).map(|kept| kept * rows)
    }
    fn blocks(&self) -> usize {
        Blocks::new(self.form, self.matrix().rows, self.matrix().inner()).count()
    }
}

/// Tensors among which one exact top-k selects.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Indices of tensors.
    pub members: Vec<usize>,
    /// Weights in all.
    pub len: usize,
    /// A sparsity of the group's own, by a rule.
    pub target: Option<f64>,
    /// What is kept or pruned as a whole: blocks, or as many as there are weights.
    pub blocks: usize,
    /// What the form alone keeps, whatever the target.
    pub fixed: Option<usize>,
}

/// The whole blocks that come nearest to `part` of `len` weights in `blocks` blocks, at least one.
pub fn whole_blocks(part: usize, blocks: usize, len: usize) -> usize {
    ((part * blocks + len / 2) / len.max(1)).clamp(1, blocks.max(1))
}

/// Which tensors are pruned, together or each by itself.
#[derive(Clone, Debug)]
pub struct Budget {
    pub groups: Vec<Group>,
    tensors: Vec<Tensor>,
    distribution: Distribution,
    /// Weights of layers that rules keep dense: they count towards the total.
    dense: usize,
    /// The density that each tensor keeps at least, unless a rule or its form says otherwise.
    least: f64,
    rules: Vec<Rule>,
}

impl Budget {
    /// Applies the rules (later ones win) and forms the groups.
    ///
    /// # Errors
    /// `Kind::Usage` for a rule that matches nothing, or if nothing is left to prune.
    pub fn new(tensors: Vec<Tensor>, distribution: Distribution, rules: &[Rule]) -> Result<Self> {
        for rule in rules {
            if !tensors.iter().any(|t| matches(rule, t)) {
                let names = tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(Error::usage(format!(
                    "a sparsity rule matches no layer: match = \"{}\"",
                    rule.matches
                ))
                .at(format!("prunable: {names}"))
                .hint("a name from this list, or a pattern such as \"fc*\"; embeddings, positions, norms and biases stay dense unless a rule names one in full, such as \"embed.weight\""));
            }
        }
        let rule_of = |t: &Tensor| rules.iter().rfind(|rule| matches(rule, t));
        let mut groups: Vec<Group> = Vec::new();
        let mut shared = Group { members: Vec::new(), len: 0, target: None, blocks: 0, fixed: None };
        let mut dense = 0;
        for (index, tensor) in tensors.iter().enumerate() {
            let own = |target| Group {
                members: vec![index],
                len: tensor.len(),
                target,
                blocks: tensor.blocks(),
                fixed: tensor.fixed(),
            };
            let target = said(rules, &tensor.name, |rule| rule.target);
            match rule_of(tensor) {
                Some(rule) if rule.dense => dense += tensor.len(),
                _ if target.is_some() => groups.push(own(target)),
                _ if distribution == Distribution::Global && tensor.form == Form::Free => {
                    shared.members.push(index);
                    shared.len += tensor.len();
                    shared.blocks += tensor.blocks();
                }
                _ => groups.push(own(None)),
            }
        }
        if !shared.members.is_empty() {
            groups.push(shared);
        }
        if groups.is_empty() {
            return Err(Error::usage("nothing is left to prune: rules keep every layer dense"));
        }
        Ok(Self { groups, tensors, distribution, dense, least: 0.0, rules: rules.to_vec() })
    }

    /// The same tensors and rules, spread otherwise.
    pub fn spread(&self, distribution: Distribution) -> Result<Self> {
        Ok(Self::new(self.tensors.clone(), distribution, &self.rules)?.with_least(self.least))
    }

    /// With a density that each tensor keeps at least.
    pub fn with_least(self, least: f64) -> Self {
        Self { least, ..self }
    }

    /// What a tensor of so many weights is to keep at least; 0 where nothing is asked for.
    pub fn floor(&self, len: usize) -> usize {
        if self.least > 0.0 { keep(len, 1.0 - self.least) } else { 0 }
    }
    /// As [`Budget::floor`], of a group: no tensor is left with nothing.
    fn floor_of(&self, group: &Group) -> usize {
        group.members.iter().map(|&member| self.floor(self.tensors[member].len()).max(1)).sum()
    }

    /// All maskable tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Whether blocks of a tensor that is pruned differ in size, so that their number does not say how many weights are
    /// kept.
    pub fn is_uneven(&self) -> bool {
        let uneven = |tensor: &Tensor| !tensor.form.divides(tensor.matrix().rows, tensor.matrix().inner());
        self.groups.iter().flat_map(|group| &group.members).any(|&member| uneven(&self.tensors[member]))
    }

    /// Weights of all maskable tensors.
    pub fn total(&self) -> usize {
        self.tensors.iter().map(Tensor::len).sum()
    }

    /// The number each group keeps when the whole network's sparsity is `s`. The sum with the dense layers
    /// is exactly `keep(total, s)`, but for forms: N:M fixes the number of its tensor, and blocks are kept
    /// whole, the nearest number of them and at least one. That number is exact; where the last blocks are smaller, so
    /// many weights are kept as blocks of mean size have, more or less. `own` gives the sparsity due for a group whose
    /// target a rule sets.
    ///
    /// # Errors
    /// `Kind::Usage` if dense layers and rules leave less than one weight a tensor, or demand more.
    pub fn keeps(&self, s: f64, own: impl Fn(f64) -> f64) -> Result<Vec<usize>> {
        self.keeps_in_all(keep(self.total(), s), s, own)
    }

    /// As [`Budget::keeps`], where `wanted` weights are kept in all; messages call that sparsity `s`.
    pub fn keeps_in_all(&self, wanted: usize, s: f64, own: impl Fn(f64) -> f64) -> Result<Vec<usize>> {
        let fixed =
            |group: &Group| group.fixed.or_else(|| group.target.map(|target| keep(group.len, own(target))));
        let taken: usize = self.dense + self.groups.iter().filter_map(fixed).sum::<usize>();
        let open: Vec<&Group> =
            self.groups.iter().filter(|group| group.target.is_none() && group.fixed.is_none()).collect();
        let most: usize = open.iter().map(|group| group.len).sum();
        let least: usize = open.iter().map(|group| self.floor_of(group)).sum();
        let free = wanted.checked_sub(taken).filter(|free| (least..=most).contains(free));
        // Where forms and rules fix every number, N:M among them, the total is what comes of it.
        let by_form = self.groups.iter().any(|group| group.fixed.is_some());
        let all_fixed = open.is_empty() && by_form;
        // While the network is still denser than its N:M layers allow, the others are kept whole.
        let whole = by_form && wanted.checked_sub(taken).is_some_and(|free| free > most);
        let Some(free) = free.or(all_fixed.then_some(0)).or(whole.then_some(most)) else {
            return Err(Error::usage(format!("sparsity {s} cannot be met"))
                .at(format!(
                    "it keeps {wanted} of {} weights; rules alone keep {taken}, the other layers can \
                             keep {least} to {most}",
                    self.total()
                ))
                .hint(match self.least {
                    0.0 => "another target, or fewer rules",
                    _ => "another target, a smaller min_density, or fewer rules",
                }));
        };
        let mut split = self.split(&open, free).into_iter();
        let mut part =
            |group: &Group| fixed(group).unwrap_or_else(|| split.next().expect("one part an open group"));
        let whole = |group: &Group| match part(group) {
            part if group.blocks == group.len => part,
            part => {
                let Group { blocks, len, .. } = *group;
                (whole_blocks(part, blocks, len) * len + blocks / 2) / blocks
            }
        };
        Ok(self.groups.iter().map(whole).collect())
    }

    /// The whole network's sparsity where each tensor that has no number by a rule or form keeps its own `keep(len, s)`,
    /// and nothing makes up for the dense ones.
    pub fn sparsity_of_all(&self, s: f64, own: impl Fn(f64) -> f64) -> f64 {
        let kept =
            |group: &Group| group.fixed.unwrap_or_else(|| keep(group.len, group.target.map_or(s, &own)));
        let kept = self.groups.iter().map(kept).sum::<usize>() + self.dense;
        1.0 - kept as f64 / self.total().max(1) as f64
    }

    fn split(&self, open: &[&Group], free: usize) -> Vec<usize> {
        let lens: Vec<usize> = open.iter().map(|group| group.len).collect();
        let all: usize = lens.iter().sum();
        let mut shares: Vec<f64> = match self.distribution {
            Distribution::Global | Distribution::Uniform | Distribution::UniformFirstDense => {
                lens.iter().map(|&len| free as f64 * len as f64 / all.max(1) as f64).collect()
            }
            Distribution::Erk | Distribution::Er => {
                let shapes: Vec<Vec<usize>> =
                    open.iter().map(|group| self.tensors[group.members[0]].shape.clone()).collect();
                let densities = erdos_renyi(&shapes, free as f64, 1.0, self.distribution == Distribution::Er);
                densities.iter().zip(&lens).map(|(d, &len)| d * len as f64).collect()
            }
        };
        if self.least > 0.0 {
            raise(&mut shares, &open.iter().map(|group| self.floor_of(group)).collect::<Vec<_>>(), free);
        }
        let mut parts = largest_remainder(free, &shares, &lens);
        // Nobody is left with nothing: the largest gives.
        while let Some(none) = parts.iter().position(|&part| part == 0) {
            let most = (0..parts.len()).max_by_key(|&i| parts[i]).expect("parts");
            parts[most] -= 1;
            parts[none] += 1;
        }
        parts
    }
}

/// Raises shares of `total` to their floors; the others give in proportion.
fn raise(shares: &mut [f64], floors: &[usize], total: usize) {
    let mut raised = vec![false; shares.len()];
    while let Some(low) = (0..shares.len()).find(|&i| !raised[i] && shares[i] < floors[i] as f64) {
        (shares[low], raised[low]) = (floors[low] as f64, true);
        let sum =
            |of: bool| -> f64 { (0..shares.len()).filter(|&i| raised[i] == of).map(|i| shares[i]).sum() };
        let factor = (total as f64 - sum(true)) / sum(false);
        (0..shares.len()).filter(|&i| !raised[i]).for_each(|i| shares[i] *= factor);
    }
}

fn matches(rule: &Rule, tensor: &Tensor) -> bool {
    fits(&rule.matches, &tensor.name)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
