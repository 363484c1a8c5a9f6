//! The networks that a search chooses among, as lists of choices.

use std::collections::HashSet;

use crate::nn::{Space, Subnet};
use crate::random::{Stream, uniform};
use crate::shrink::{Density, Pick};

/// One choice for each block's kernel and expansion in turn, for each stage's depth, for the resolution and for the density:
/// places in the lists that there are.
pub type Genes = Vec<usize>;

/// Chances that a draw may miss, for each that is wanted.
const TRIES: usize = 100;

/// Steps of [`Stream::Search`]: what numbers are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Draw {
    /// Networks that the predictor learns from.
    Learned = 0,
    /// Networks that found ones are compared with.
    Compared = 1,
    /// Networks that a table of latencies is fitted on.
    Fitted = 2,
    /// Networks that it is checked on.
    Checked = 3,
    /// What an evolution decides, in order.
    Evolution = 4,
    /// Networks among which one is looked for that meets a budget.
    Feasible = 5,
    /// The order in which a predictor learns; that of later epochs are the numbers after it.
    Order = 6,
}

/// All networks of a space at some densities.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub space: Space,
    /// At least one.
    pub densities: Vec<Density>,
    choices: Vec<usize>,
}

impl Pool {
    pub fn new(space: &Space, densities: &[Density]) -> Self {
        let block = [space.kernels.len(), space.expansions.len()];
        let mut choices = block.repeat(space.blocks());
        choices.extend(vec![space.depths.len(); space.stages.len()]);
        choices.extend([space.resolutions.len(), densities.len()]);
        Self { space: space.clone(), densities: densities.to_vec(), choices }
    }

    /// Of each gene, how many choices it has.
    pub fn choices(&self) -> &[usize] {
        &self.choices
    }
    /// Whether a gene is of the whole network: resolution and density.
    pub fn is_of_whole(&self, gene: usize) -> bool {
        gene + 2 >= self.choices.len()
    }
    /// Networks that differ, as far as a float counts.
    pub fn len(&self) -> f64 {
        let block = (self.space.kernels.len() * self.space.expansions.len()) as f64;
        let stage: f64 = self.space.depths.iter().map(|&depth| block.powi(depth as i32)).sum();
        let whole = self.space.resolutions.len() * self.densities.len();
        stage.powi(self.space.stages.len() as i32) * whole as f64
    }

    pub fn pick(&self, genes: &Genes) -> Pick {
        let blocks = self.space.blocks();
        let by_block = |offset: usize, of: &[usize]| (0..blocks).map(|b| of[genes[2 * b + offset]]).collect();
        let depth = |stage: usize| self.space.depths[genes[2 * blocks + stage]];
        let subnet = Subnet {
            kernels: by_block(0, &self.space.kernels),
            expansions: by_block(1, &self.space.expansions),
            depths: (0..self.space.stages.len()).map(depth).collect(),
            resolution: self.space.resolutions[genes[genes.len() - 2]],
        };
        Pick { subnet: self.space.of_whole(subnet), density: self.densities[genes[genes.len() - 1]] }
    }
    /// The genes of the same network that say the largest of skipped blocks.
    pub fn canonical(&self, mut genes: Genes) -> Genes {
        let blocks = self.space.blocks();
        for block in 0..blocks {
            let depth = self.space.depths[genes[2 * blocks + block / self.space.deepest()]];
            if block % self.space.deepest() >= depth {
                genes[2 * block..2 * block + 2].fill(0);
            }
        }
        genes
    }
    /// The smallest of everything, at the density that comes last.
    pub fn smallest(&self) -> Genes {
        self.canonical(self.choices.iter().map(|count| count - 1).collect())
    }

    /// The smallest of everything, at each density: which of them costs the least depends on the cost.
    pub fn smallest_of_all(&self) -> Vec<Genes> {
        let at = |density: usize| {
            let mut genes = self.smallest();
            *genes.last_mut().expect("there is a gene of density") = density;
            genes
        };
        (0..self.densities.len()).rev().map(at).collect()
    }

    /// Up to `count` different networks, each gene uniform and by itself: a function of (seed, what for). Fewer where the pool
    /// has hardly more.
    pub fn draw(&self, seed: u64, draw: Draw, count: usize) -> Vec<Genes> {
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        for number in 0..(count * TRIES) as u32 {
            if all.len() == count {
                break;
            }
            let pick = |(gene, &count): (usize, &usize)| {
                let unit = uniform(seed, Stream::Search, draw as u32, number, gene as u32);
                ((unit * count as f32) as usize).min(count - 1)
            };
            let genes = self.canonical(self.choices.iter().enumerate().map(pick).collect());
            if seen.insert(genes.clone()) {
                all.push(genes);
            }
        }
        all
    }

    /// What a predictor reads: a one-hot of each gene with more than one choice, all 0 for blocks that are skipped.
    pub fn features(&self, genes: &Genes) -> Vec<f32> {
        let blocks = self.space.blocks();
        let pick = self.pick(genes);
        let mut all = Vec::new();
        for (gene, (&choice, &count)) in genes.iter().zip(&self.choices).enumerate() {
            let is_there = gene >= 2 * blocks || self.space.has(&pick.subnet, gene / 2);
            let own = (0..count).map(|at| if is_there && at == choice { 1.0 } else { 0.0 });
            all.extend(own.filter(|_| count > 1));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Settings;

    fn space() -> Space {
        let own: Settings =
            "channels = [8, 8]\nstrides = [1, 2]\nkernels = [5, 3]\nexpansions = [2, 1]\ndepths = [2, 1]"
                .parse::<toml::Table>()
                .unwrap()
                .into();
        Space::read(&own.resolve("preset", &crate::nn::space::settings()).unwrap()).unwrap()
    }

    #[test]
    fn genes_name_networks() {
        let densities = [Density::Full, Density::Share(0.5)];
        let pool = Pool::new(&space(), &densities);
        assert_eq!(pool.choices(), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2]);
        assert_eq!(pool.len(), 20.0 * 20.0 * 2.0, "4 of one block and 16 of two, twice, at two densities");
        let genes = vec![1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1];
        assert_eq!(pool.pick(&genes).to_string(), "ks=3,5,5,3 e=2,2,1,1 d=1,2 density=0.5");
        assert_eq!(pool.canonical(genes.clone()), [1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1]);
        assert_eq!(pool.pick(&pool.smallest()).to_string(), "ks=3,5,3,5 e=1,2,1,2 d=1,1 density=0.5");
        // Kernel and expansion of the skipped block are 0, 0.
        let features = pool.features(&genes);
        assert_eq!(features[..8], [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(features.len(), 22);
        assert_eq!(features.iter().sum::<f32>(), 9.0);
        let dense = Pool::new(&space(), &densities[..1]);
        assert_eq!(dense.features(&genes[..11].iter().copied().chain([0]).collect()).len(), 20);
        let mut space = space();
        space.resolutions = vec![0, 6];
        let sizes = Pool::new(&space, &densities[..1]);
        assert_eq!(sizes.pick(&sizes.smallest()).to_string(), "ks=3,5,3,5 e=1,2,1,2 d=1,1 r=6");
        assert_eq!((sizes.len(), sizes.features(&sizes.smallest()).len()), (800.0, 22));
    }

    #[test]
    fn draws_differ_and_are_a_function_of_the_seed() {
        let pool = Pool::new(&space(), &[Density::Full]);
        let some = pool.draw(1, Draw::Learned, 60);
        assert_eq!((some.len(), &some), (60, &pool.draw(1, Draw::Learned, 60)));
        assert_eq!(some[..20], pool.draw(1, Draw::Learned, 20), "a longer draw begins as a shorter one");
        assert_ne!(some, pool.draw(2, Draw::Learned, 60));
        assert_ne!(some, pool.draw(1, Draw::Compared, 60));
        let all = pool.draw(1, Draw::Learned, 1000);
        assert_eq!(all.len(), 400, "no more than there are");
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 400);
    }
}
