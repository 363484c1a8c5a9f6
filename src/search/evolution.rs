//! Evolution: the best of each generation stay, and have children by mutation and by crossover.   Real et al. 2019; Cai et al.
//! 2020, Section 3.4.
//!
//! Two differences from the published code: tries for a child that may live are bounded, where there a limit that nothing
//! meets never ends; and the children of the last generation are looked at.

use std::collections::HashSet;

use super::genes::{Draw, Genes};
use crate::error::{Error, Result};
use crate::random::{Stream, word};

/// How a search goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evolution {
    /// Children of a generation, and networks to begin with.
    pub population: usize,
    pub generations: usize,
    /// The share of a population that stays and has children.
    pub parents: f64,
    /// The share of children that are mutations of one parent; the others have two.
    pub mutated: f64,
    /// The chance that a mutation draws a gene anew.
    pub mutation: f64,
    /// That of genes of the whole.
    pub mutation_of_whole: f64,
    /// Draws for one child before it is left out.
    pub tries: usize,
}

impl Default for Evolution {
    /// The paper's numbers; its gene of the whole network is the resolution.
    fn default() -> Self {
        Self {
            population: 100,
            generations: 500,
            parents: 0.25,
            mutated: 0.5,
            mutation: 0.1,
            mutation_of_whole: 0.5,
            tries: 100,
        }
    }
}

impl Evolution {
    /// # Errors
    /// `Kind::Usage` for numbers that make no evolution.
    pub fn check(&self) -> Result<()> {
        let share = |name: &str, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::usage(format!("{name} = {value} is no share from 0 to 1"))),
        };
        share("mutation", self.mutation)?;
        share("parents", self.parents)?;
        share("mutated", self.mutated)?;
        share("mutation of the whole", self.mutation_of_whole)?;
        match (self.population, self.tries) {
            (0, _) => Err(Error::usage("a population has at least 1 network")),
            (_, 0) => Err(Error::usage("a child takes at least 1 try")),
            _ => Ok(()),
        }
    }
}

/// What evolves.
pub trait Landscape {
    /// Of each gene, how many choices it has.
    fn choices(&self) -> &[usize];
    /// Whether a gene is of the whole.
    fn is_of_whole(&self, gene: usize) -> bool;
    /// The genes that stand for the same thing as these.
    fn canonical(&self, genes: Genes) -> Genes;
    /// Whether it may live.
    fn admits(&mut self, genes: &Genes) -> Result<bool>;
    /// How good each is: larger is better.
    fn fitness(&mut self, all: &[Genes]) -> Result<Vec<f64>>;
}

/// The last population, different ones from the best to the worst, each with its fitness. It begins with those of `first` that
/// may live, and draws; it is a function of `seed`. Empty where nothing that was drawn may live.
pub fn evolve(
    land: &mut dyn Landscape,
    evolution: &Evolution,
    first: &[Genes],
    seed: u64,
) -> Result<Vec<(Genes, f64)>> {
    let mut dice = Dice { seed, drawn: 0 };
    let mut begun = Vec::new();
    for genes in first {
        let genes = land.canonical(genes.clone());
        if land.admits(&genes)? {
            begun.push(genes);
        }
    }
    // All tries of the first population are one allowance: where few may live it is soon known.
    let mut tries = evolution.tries * evolution.population;
    while begun.len() < evolution.population && tries > 0 {
        tries -= 1;
        let drawn = land.choices().iter().map(|&count| dice.below(count)).collect();
        let genes = land.canonical(drawn);
        if land.admits(&genes)? {
            begun.push(genes);
        }
    }
    let mut population = ranked(land, Vec::new(), begun)?;
    if population.is_empty() {
        return Ok(population);
    }
    let parents = ((evolution.population as f64 * evolution.parents).round() as usize).max(1);
    let mutations = (evolution.population as f64 * evolution.mutated).round() as usize;
    for _ in 0..evolution.generations {
        population.truncate(parents);
        let mut children = Vec::new();
        for number in 0..evolution.population {
            for _ in 0..evolution.tries {
                let child = match number < mutations {
                    true => mutated(land, evolution, &population, &mut dice),
                    false => crossed(&population, &mut dice),
                };
                let child = land.canonical(child);
                if land.admits(&child)? {
                    children.push(child);
                    break;
                }
            }
        }
        population = ranked(land, population, children)?;
    }
    Ok(population)
}

fn mutated(land: &dyn Landscape, by: &Evolution, parents: &[(Genes, f64)], dice: &mut Dice) -> Genes {
    let mut child = parents[dice.below(parents.len())].0.clone();
    for (gene, &count) in land.choices().iter().enumerate() {
        let chance = if land.is_of_whole(gene) { by.mutation_of_whole } else { by.mutation };
        if dice.unit() < chance {
            child[gene] = dice.below(count);
        }
    }
    child
}

fn crossed(parents: &[(Genes, f64)], dice: &mut Dice) -> Genes {
    let [a, b] = [0, 1].map(|_| &parents[dice.below(parents.len())].0);
    a.iter().zip(b).map(|(&a, &b)| if dice.below(2) == 0 { a } else { b }).collect()
}

/// All different ones, the best first; of equal ones that with the lower genes.
fn ranked(
    land: &mut dyn Landscape,
    mut all: Vec<(Genes, f64)>,
    more: Vec<Genes>,
) -> Result<Vec<(Genes, f64)>> {
    let mut seen: HashSet<Genes> = all.iter().map(|(genes, _)| genes.clone()).collect();
    let fresh: Vec<Genes> = more.into_iter().filter(|genes| seen.insert(genes.clone())).collect();
    let fitness = land.fitness(&fresh)?;
    all.extend(fresh.into_iter().zip(fitness));
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(all)
}

/// Random numbers in order.
struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    fn next(&mut self) -> u32 {
        let at = self.drawn;
        self.drawn += 1;
        word(self.seed, Stream::Search, Draw::Evolution as u32, (at >> 32) as u32, at as u32)
    }
    fn unit(&mut self) -> f64 {
        f64::from(self.next()) / 2f64.powi(32)
    }
    fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.next()) * count as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3^8 lists, of which those of a small sum may live; fitness rewards large entries that differ from their neighbours.
    struct Toy {
        choices: Vec<usize>,
        most: usize,
        asked: usize,
    }

    impl Toy {
        fn new(most: usize) -> Self {
            Self { choices: vec![3; 8], most, asked: 0 }
        }
        fn value(genes: &Genes) -> f64 {
            let weights = [0.9, 0.2, 0.7, 0.1, 0.8, 0.3, 0.5, 0.4];
            let own: f64 = genes.iter().zip(weights).map(|(&gene, weight)| gene as f64 * weight).sum();
            own + genes.windows(2).map(|pair| 0.35 * pair[0].abs_diff(pair[1]) as f64).sum::<f64>()
        }
    }

    impl Landscape for Toy {
        fn choices(&self) -> &[usize] {
            &self.choices
        }
        fn is_of_whole(&self, _: usize) -> bool {
            false
        }
        fn canonical(&self, genes: Genes) -> Genes {
            genes
        }
        fn admits(&mut self, genes: &Genes) -> Result<bool> {
            self.asked += 1;
            Ok(genes.iter().sum::<usize>() <= self.most)
        }
        fn fitness(&mut self, all: &[Genes]) -> Result<Vec<f64>> {
            Ok(all.iter().map(Self::value).collect())
        }
    }

    fn best_of_all(most: usize) -> f64 {
        let lists = (0..6561usize).map(|n| (0..8).map(|gene| n / 3usize.pow(gene) % 3).collect::<Genes>());
        let may = lists.filter(|genes| genes.iter().sum::<usize>() <= most);
        may.map(|genes| Toy::value(&genes)).fold(f64::MIN, f64::max)
    }

    #[test]
    fn it_finds_the_optimum_of_a_space_that_can_be_searched_whole() {
        let evolution = Evolution { population: 40, generations: 40, ..Evolution::default() };
        for most in [4, 7, 16] {
            let found = evolve(&mut Toy::new(most), &evolution, &[], 3).unwrap();
            assert_eq!(found[0].1, best_of_all(most), "a sum of at most {most}");
            assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1));
            assert!(found.iter().all(|(genes, _)| genes.iter().sum::<usize>() <= most));
        }
    }

    #[test]
    fn it_is_a_function_of_the_seed() {
        let evolution = Evolution { population: 20, generations: 3, ..Evolution::default() };
        let run = |seed| evolve(&mut Toy::new(8), &evolution, &[], seed).unwrap();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert!(run(1).len() <= 25, "5 parents and 20 children");
    }

    /// Of these lists one in 6,561 may live.
    #[test]
    fn tries_are_bounded_and_what_is_given_is_enough_to_begin() {
        let evolution = Evolution { population: 10, generations: 2, tries: 5, ..Evolution::default() };
        let mut toy = Toy::new(0);
        assert_eq!(evolve(&mut toy, &evolution, &[], 1).unwrap(), []);
        assert_eq!(toy.asked, 50);
        let mut toy = Toy::new(0);
        let found = evolve(&mut toy, &evolution, &[vec![0; 8]], 1).unwrap();
        assert_eq!(found, [(vec![0; 8], 0.0)]);
        assert!(toy.asked <= 1 + 50 + 2 * 50);
    }

    /// With no generation to come, what was drawn is all there is; with one, its children count.
    #[test]
    fn the_last_children_are_looked_at() {
        let best = |generations| {
            let evolution = Evolution { population: 12, generations, ..Evolution::default() };
            evolve(&mut Toy::new(16), &evolution, &[], 5).unwrap()[0].1
        };
        assert!(best(1) > best(0), "{} and {}", best(1), best(0));
    }

    #[test]
    fn what_is_no_evolution_is_refused() {
        let of = |evolution: Evolution| evolution.check().unwrap_err().to_string();
        assert!(of(Evolution { mutation: 1.5, ..Evolution::default() }).contains("no share from 0 to 1"));
        assert!(of(Evolution { parents: f64::NAN, ..Evolution::default() }).contains("no share"));
        assert!(of(Evolution { population: 0, ..Evolution::default() }).contains("at least 1 network"));
        assert!(of(Evolution { tries: 0, ..Evolution::default() }).contains("at least 1 try"));
        assert!(Evolution::default().check().is_ok());
    }
}
