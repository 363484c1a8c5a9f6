//! Which subnets a step trains: uniform and independent for each block and stage, a function of (seed, step, number). The
//! resolution is one for all subnets of a step.

use super::phases::Admitted;
use crate::nn::{Space, Subnet};
use crate::random::{self, Stream};

/// Subnet `number` of a step, of what is admitted.
pub fn subnet(space: &Space, admitted: &Admitted, seed: u64, step: u32, number: u32) -> Subnet {
    let pick_by = |number: u32, all: &[usize], count: usize, gene: usize| {
        let unit = random::uniform(seed, Stream::Subnet, step, number, gene as u32);
        all[((unit * count as f32) as usize).min(count - 1)]
    };
    let pick = |all: &[usize], count: usize, gene: usize| pick_by(number, all, count, gene);
    let (blocks, stages) = (space.blocks(), space.stages.len());
    space.of_whole(Subnet {
        kernels: (0..blocks).map(|block| pick(&space.kernels, admitted.kernels, 2 * block)).collect(),
        expansions: (0..blocks)
            .map(|block| pick(&space.expansions, admitted.expansions, 2 * block + 1))
            .collect(),
        depths: (0..stages).map(|stage| pick(&space.depths, admitted.depths, 2 * blocks + stage)).collect(),
        resolution: pick_by(0, &space.resolutions, admitted.resolutions, 2 * blocks + stages),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::space::settings;
    use crate::recipe::Settings;

    #[test]
    fn what_is_admitted_comes_equally_often_and_nothing_else() {
        let space = Space::read(&Settings::default().resolve("preset", &settings()).unwrap()).unwrap();
        let admitted = Admitted { kernels: 3, depths: 2, ..Admitted::FULL };
        let draws: Vec<Subnet> = (0..3000).map(|i| subnet(&space, &admitted, 7, i / 3, i % 3)).collect();
        // Bounds are five standard errors of 3,000 draws.
        for (kernel, at) in [(7, 0), (5, 0), (3, 0), (3, 2), (5, 4)] {
            let count = draws.iter().filter(|one| one.kernels[at] == kernel).count() as f64;
            assert!(
                (count - 1000.0).abs() <= 5.0 * (3000.0f64 * 2.0 / 9.0).sqrt(),
                "{kernel} at {at}: {count}"
            );
        }
        assert!(draws.iter().all(|one| one.expansions.iter().all(|&e| e == 6)));
        assert_eq!(draws[5], subnet(&space, &admitted, 7, 1, 2), "a function of where it is drawn");
        assert_ne!(
            draws[..50],
            (0..50).map(|i| subnet(&space, &admitted, 8, i / 3, i % 3)).collect::<Vec<_>>()
        );
        assert_eq!(subnet(&space, &Admitted::FULL, 7, 0, 0), space.full());
    }

    #[test]
    fn subnets_of_a_step_read_pictures_of_one_size() {
        let own: Settings = "resolutions = [24, 20]".parse::<toml::Table>().unwrap().into();
        let space = Space::read(&own.resolve("preset", &settings()).unwrap()).unwrap();
        let admitted = Admitted { kernels: 3, resolutions: 3, ..Admitted::FULL };
        let of = |step: u32| (0..3).map(move |number| subnet(&space, &admitted, 7, step, number));
        let sizes: Vec<usize> = (0..600).map(|step| of.clone()(step).next().unwrap().resolution).collect();
        for size in [0, 24, 20] {
            let count = sizes.iter().filter(|&&own| own == size).count() as f64;
            assert!((count - 200.0).abs() <= 5.0 * (600.0f64 * 2.0 / 9.0).sqrt(), "{size}: {count}");
        }
        for (step, size) in (0..).zip(&sizes) {
            assert!(of.clone()(step).all(|one| one.resolution == *size));
        }
    }
}
