//! Buffers that the tensors of passes share: each belongs to one of them for as long as that is needed.
//!
//! Tensors are placed from the largest to the smallest: each takes the smallest buffer whose tensors' lives it does not meet, or
//! else one of its own. A life reaches to the last call that touches the tensor, so that no call reads and writes one buffer.
//! Tensors that are one ([`super::equal`]) have one buffer. The passes of a session follow one another and share all buffers.

use std::cell::RefCell;
use std::collections::HashMap;

use super::carried::Carried;
use super::pass::Pass;
use super::schedule::{Key, Life, Schedule};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Tensor};

/// The buffers of a session's passes.
pub struct Arena {
    buffers: RefCell<[Vec<Tensor>; 2]>,
}

/// Which buffer each tensor of a schedule lies in.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// By life.
    pub buffer: Vec<usize>,
    /// Of each format the largest first.
    pub buffers: Vec<Room>,
}

/// What a buffer has to hold. f32 and bf16 do not share one: a copy in a texture is as large as its buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    pub narrow: bool,
    pub bytes: u64,
}

/// Places the tensors of one schedule.
pub fn place(lives: &[Life]) -> Placement {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&life| (std::cmp::Reverse(lives[life].bytes()), lives[life].first, life));
    // Of each buffer, the lives in it.
    let mut inside: Vec<Vec<usize>> = Vec::new();
    let (mut buffer, mut buffers) = (vec![0; lives.len()], Vec::<Room>::new());
    let mut of_root: HashMap<Key, usize> = HashMap::new();
    for index in order {
        let life = &lives[index];
        if let Some(&at) = of_root.get(&life.root) {
            buffer[index] = at;
            continue;
        }
        let meets = |&other: &usize| lives[other].first <= life.last && life.first <= lives[other].last;
        let free = |at: &usize| buffers[*at].narrow == life.key.narrow && !inside[*at].iter().any(meets);
        // Buffers come in falling order of size: the last that is free wastes the least.
        let at = (0..buffers.len()).rev().find(free).unwrap_or(buffers.len());
        if at == buffers.len() {
            buffers.push(Room { narrow: life.key.narrow, bytes: life.bytes() });
            inside.push(Vec::new());
        }
        inside[at].push(index);
        of_root.insert(life.root, at);
        buffer[index] = at;
    }
    Placement { buffer, buffers }
}

impl Arena {
    /// Buffers for all of these schedules, and their passes.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn new(gpu: &Gpu, schedules: Vec<Schedule>) -> Result<(Self, Vec<Pass>)> {
        let placements: Vec<Placement> = schedules.iter().map(|schedule| place(&schedule.lives)).collect();
        Self::with(gpu, schedules, placements)
    }

    /// As [`Arena::new`], by placements of one's own.
    pub(super) fn with(
        gpu: &Gpu,
        schedules: Vec<Schedule>,
        placements: Vec<Placement>,
    ) -> Result<(Self, Vec<Pass>)> {
        let mut buffers: [Vec<Tensor>; 2] = [Vec::new(), Vec::new()];
        for narrow in [false, true] {
            let own = |placement: &Placement| -> Vec<u64> {
                let own = placement.buffers.iter().filter(|room| room.narrow == narrow);
                own.map(|room| room.bytes).collect()
            };
            let all: Vec<Vec<u64>> = placements.iter().map(own).collect();
            for rank in 0..all.iter().map(Vec::len).max().unwrap_or(0) {
                let bytes = all.iter().filter_map(|own| own.get(rank)).max().copied().unwrap_or(0);
                let label = format!("activations {rank}{}", if narrow { " bf16" } else { "" });
                let words = bytes.div_ceil(4) as usize;
                buffers[usize::from(narrow)].push(gpu.tensor(&label, Dtype::F32, &[words])?);
            }
        }
        let pass = |(schedule, placement): (Schedule, Placement)| -> Result<Pass> {
            let lend = |(life, &at): (&Life, &usize)| {
                let rank =
                    placement.buffers[..at].iter().filter(|room| room.narrow == life.key.narrow).count();
                (life.key, buffers[usize::from(life.key.narrow)][rank].lend(life.dtype, &life.shape))
            };
            let tensors = schedule.lives.iter().zip(&placement.buffer).map(lend).collect();
            let carried = Carried::new(gpu, &schedule.carried)?;
            Ok(Pass::new(schedule, tensors, carried))
        };
        let passes = schedules.into_iter().zip(placements).map(pass).collect::<Result<_>>()?;
        Ok((Self { buffers: RefCell::new(buffers) }, passes))
    }

    /// One more pass in the buffers that are there, from the largest tensor to the smallest each in the smallest that is free.
    /// Where none is, one is made, and stays.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room for that.
    pub fn more(&self, gpu: &Gpu, schedule: Schedule) -> Result<Pass> {
        let mut buffers = self.buffers.borrow_mut();
        let lives = &schedule.lives;
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|&life| (std::cmp::Reverse(lives[life].bytes()), lives[life].first, life));
        let mut inside: [Vec<Vec<usize>>; 2] = [0, 1].map(|format| vec![Vec::new(); buffers[format].len()]);
        let (mut tensors, mut of_root) = (HashMap::new(), HashMap::<Key, usize>::new());
        for index in order {
            let life = &lives[index];
            let format = usize::from(life.key.narrow);
            if let Some(&at) = of_root.get(&life.root) {
                tensors.insert(life.key, buffers[format][at].lend(life.dtype, &life.shape));
                continue;
            }
            let meets = |&other: &usize| lives[other].first <= life.last && life.first <= lives[other].last;
            let fits = |at: &usize| {
                buffers[format][*at].bytes() >= life.bytes() && !inside[format][*at].iter().any(meets)
            };
            let all = 0..buffers[format].len();
            let at = match all.filter(fits).min_by_key(|&at| buffers[format][at].bytes()) {
                Some(at) => at,
                None => {
                    let words = life.bytes().div_ceil(4) as usize;
                    buffers[format].push(gpu.tensor("more activations", Dtype::F32, &[words])?);
                    inside[format].push(Vec::new());
                    buffers[format].len() - 1
                }
            };
            inside[format][at].push(index);
            of_root.insert(life.root, at);
            tensors.insert(life.key, buffers[format][at].lend(life.dtype, &life.shape));
        }
        let carried = Carried::new(gpu, &schedule.carried)?;
        Ok(Pass::new(schedule, tensors, carried))
    }

    pub fn bytes(&self) -> u64 {
        self.buffers.borrow().iter().flatten().map(Tensor::bytes).sum()
    }
}
