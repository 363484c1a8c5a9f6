//! Which variants of a product may be the fastest on a device: the others are neither compiled nor timed.
//!
//! By what docs/performance.md found: on software adapters loads from buffers take several times as long as those through
//! textures. That a variant is for the class of the device at all, its table says.

use crate::error::Result;
use crate::gpu::{Access, Gpu, Kernel, reflect};

/// A tile that computes so many times as much beside a small matrix as the best one is not tried.
const WASTE: f64 = 3.0;

/// What a variant is, as far as it decides whether it is worth a try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traits {
    /// Whether others are measured against it: it is on every device, and the fastest on none.
    pub yardstick: bool,
    /// Whether it reads an operand through a texture.
    pub texels: bool,
    /// Whether it could do shapes that others cannot, and reads numbers one by one for it.
    pub general: bool,
    /// Workgroups for the shape: those of equal tiles have as many.
    pub groups: u64,
    /// Outputs that its tiles cover for each that there is.
    pub waste: f64,
}

impl Traits {
    /// Of a kernel alone: nothing is known of its tiles.
    pub fn of(kernel: &Kernel) -> Result<Self> {
        let interface = reflect(kernel)?;
        let texels = interface.slots.iter().any(|slot| slot.access == Access::Texels);
        Ok(Self { yardstick: false, texels, general: false, groups: 0, waste: 1.0 })
    }
}

/// Which of these may be the fastest; the first is the fixed default. Some always remain.
pub fn plausible(gpu: &Gpu, all: &[Traits]) -> Vec<bool> {
    sieve(gpu.prefers_texels(), all)
}

fn sieve(prefers_texels: bool, all: &[Traits]) -> Vec<bool> {
    let mut kept = vec![true; all.len()];
    keep(&mut kept, all, |one, _| !one.yardstick);
    keep(&mut kept, all, |one, others| {
        !(one.general && others.iter().any(|other| !other.general && other.groups == one.groups))
    });
    keep(&mut kept, all, |one, _| one.texels || !prefers_texels);
    // The fixed default is there anyway, and less is not always faster.
    let first = all.first().copied();
    keep(&mut kept, all, |one, others| {
        let least = others.iter().map(|other| other.waste).fold(f64::INFINITY, f64::min);
        Some(*one) == first || one.waste < WASTE * least
    });
    kept
}

/// Drops what a rule drops, of those that are left, unless it would drop all.
fn keep(kept: &mut [bool], all: &[Traits], rule: impl Fn(&Traits, &[Traits]) -> bool) {
    let left = |kept: &[bool]| -> Vec<Traits> {
        all.iter().zip(kept).filter(|(_, kept)| **kept).map(|(one, _)| *one).collect()
    };
    let others = left(kept);
    if others.iter().any(|one| rule(one, &others)) {
        kept.iter_mut().zip(all).for_each(|(kept, one)| *kept &= rule(one, &others));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(texels: bool, general: bool, groups: u64, waste: f64) -> Traits {
        Traits { yardstick: false, texels, general, groups, waste }
    }

    #[test]
    fn a_device_and_a_shape_rule_variants_out() {
        let all = [
            one(true, false, 10, 1.0),
            one(true, true, 10, 1.0),   // as the first, but reads numbers one by one
            one(false, false, 10, 1.0), // as the first, from buffers
            one(true, false, 5, 1.1),
            one(true, false, 1, 9.0), // a tile far larger than the matrix
            Traits { yardstick: true, ..one(true, true, 300, 1.0) },
        ];
        let numbers = |kept: Vec<bool>| (0..6).filter(|&i| kept[i]).collect::<Vec<_>>();
        assert_eq!(numbers(sieve(true, &all)), [0, 3]);
        assert_eq!(numbers(sieve(false, &all)), [0, 2, 3]);
    }

    #[test]
    fn something_is_always_left() {
        let plain = [Traits { yardstick: true, ..one(false, true, 0, 1.0) }];
        assert_eq!(sieve(true, &plain), [true]);
        let odd = [one(true, true, 4, 3.2), one(true, true, 4, 1.0)];
        assert_eq!(sieve(true, &odd), [true; 2], "the default is timed, whatever it wastes");
        assert_eq!(sieve(true, &[]), [] as [bool; 0]);
    }
}
