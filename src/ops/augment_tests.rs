//! What varied pictures are: exact where only pixels move, and a function of seed, epoch and sample alone.

use super::*;
use crate::ops::batch::{Part, pack_bytes};

const HEIGHT: usize = 4;
const WIDTH: usize = 5;
const PIXELS: usize = HEIGHT * WIDTH;
/// Of the pictures in these tests.
const SAMPLES: usize = 40;

/// Pixel values from 1 on, all different within a picture and between neighbours.
fn picture(sample: usize) -> Vec<u8> {
    (0..PIXELS).map(|i| (1 + i * 7 + sample * 3) as u8).collect()
}

/// Pictures in this order, as an epoch varies them: one after another.
fn varied(how: How, epoch: u32, order: &[u32]) -> Vec<Vec<f32>> {
    let gpu = Gpu::twin();
    let how = How { height: HEIGHT as u32, width: WIDTH as u32, ..how };
    let cols = order.len().next_multiple_of(4);
    let words = pack_bytes(&(0..SAMPLES).flat_map(picture).collect::<Vec<u8>>());
    let augment = Augment::new(&gpu, how, false, cols).unwrap();
    augment.enter(11, epoch).unwrap();
    let all: Vec<u32> = order.iter().copied().chain(0..SAMPLES as u32).collect();
    let set = Set {
        parts: vec![Part {
            begin: 0,
            end: SAMPLES,
            samples: gpu.upload_u32("samples", &[words.len()], &words).unwrap(),
        }],
        labels: gpu.upload_u32("labels", &[SAMPLES / 4], &[0; SAMPLES / 4]).unwrap(),
        order: gpu.upload_u32("order", &[all.len()], &all).unwrap(),
        features: PIXELS,
        normal: Set::normal(&gpu, &[1.0], &[0.0]).unwrap(),
        augment: Some(augment),
        mixup: None,
    };
    let step = gpu.uniform("step", &Step { live: order.len() as u32, ..Default::default() }).unwrap();
    let x = gpu.tensor("x", Dtype::F32, &[PIXELS, cols]).unwrap();
    let label = gpu.tensor("label", Dtype::U32, &[cols]).unwrap();
    let mut rec = Recorder::new(&gpu);
    batch::record(&mut rec, &set, &step, &x, &label).unwrap();
    rec.finish().unwrap().replay().unwrap();
    let x = x.read_f32().unwrap();
    (0..order.len()).map(|col| (0..PIXELS).map(|f| x[f * cols + col]).collect()).collect()
}

fn all() -> Vec<u32> {
    (0..SAMPLES as u32).collect()
}

/// A picture moved by whole pixels, down and to the right, mirrored before that.
fn moved(sample: usize, down: i64, across: i64, mirrored: bool) -> Vec<f32> {
    let own = picture(sample);
    let at = |y: i64, x: i64| {
        let x = if mirrored { WIDTH as i64 - 1 - x } else { x };
        let inside = (0..HEIGHT as i64).contains(&y) && (0..WIDTH as i64).contains(&x);
        if inside { f32::from(own[(y * WIDTH as i64 + x) as usize]) } else { 0.0 }
    };
    (0..PIXELS as i64).map(|i| at(i / WIDTH as i64 - down, i % WIDTH as i64 - across)).collect()
}

#[test]
fn flips_are_exact_and_about_half() {
    let found = varied(How { flip: 1, ..NOTHING }, 0, &all());
    let mirrored: Vec<bool> = (0..SAMPLES).map(|sample| found[sample] == moved(sample, 0, 0, true)).collect();
    for (sample, is_mirrored) in mirrored.iter().enumerate() {
        assert!(*is_mirrored || found[sample] == moved(sample, 0, 0, false), "sample {sample}");
    }
    let count = mirrored.iter().filter(|mirrored| **mirrored).count();
    assert!((10..=30).contains(&count), "{count} of {SAMPLES}");
}

#[test]
fn crops_and_shifts_are_exact_copies_of_every_offset() {
    for (how, down, across) in [
        (How { crop: 2, ..NOTHING }, 2, 2),
        (How { shift_down: 1, shift_across: 3, flip: 1, ..NOTHING }, 1, 3),
    ] {
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..8 {
            for (sample, found) in varied(how, epoch, &all()).iter().enumerate() {
                let offsets = (-down..=down).flat_map(|y| (-across..=across).map(move |x| (y, x)));
                let offsets = offsets.flat_map(|(y, x)| [(y, x, false), (y, x, true)]);
                let which = offsets.clone().find(|&(y, x, m)| *found == moved(sample, y, x, m));
                seen.insert(which.unwrap_or_else(|| panic!("sample {sample}: {found:?}")));
            }
        }
        let kinds = ((2 * down + 1) * (2 * across + 1)) as usize * (1 + how.flip as usize);
        assert_eq!(seen.len(), kinds, "every offset comes up");
    }
}

#[test]
fn a_variation_depends_on_seed_epoch_and_sample_alone() {
    let all_at_once = varied(ALL, 3, &all());
    assert_ne!(all_at_once, varied(ALL, 4, &all()), "epochs differ");
    for order in [vec![7], vec![31, 7, 0, 39, 2], (0..SAMPLES as u32).rev().collect()] {
        for (sample, found) in order.iter().zip(varied(ALL, 3, &order)) {
            assert_eq!(found, all_at_once[*sample as usize], "sample {sample} among {}", order.len());
        }
    }
    // What else is varied does not change a variation.
    let flips = varied(How { flip: 1, ..NOTHING }, 3, &all());
    let (cut, mut kept) = (varied(How { flip: 1, cutout: 2, ..NOTHING }, 3, &all()), 0);
    for (flip, cut) in flips.iter().flatten().zip(cut.iter().flatten()) {
        assert!(*cut == *flip || *cut == 0.0);
        kept += usize::from(cut == flip);
    }
    // A square of four pixels, less where its centre is in the first row or column.
    assert!((SAMPLES * (PIXELS - 4)..SAMPLES * PIXELS).contains(&kept), "{kept}");
}

/// Between the pixels of a picture that rises evenly, values do, too: two steps about the centre tell the angle and the size.
#[test]
fn turned_and_zoomed_pictures_are_what_their_angle_and_size_say() {
    let angle_and_size = |picture: &[f32]| {
        let at = |y: usize, x: usize| f64::from(picture[y * WIDTH + x]);
        // A step to the right rises by 7, one down by 35.
        let (across, down) = (at(1, 2) - at(1, 1), at(2, 2) - at(1, 2));
        let (along, beside) = ((7.0 * across + 35.0 * down) / 1274.0, (35.0 * across - 7.0 * down) / 1274.0);
        (beside.atan2(along), 1.0 / along.hypot(beside))
    };
    let middle = |x: &[f32]| (x[WIDTH + 2] + x[2 * WIDTH + 2]) / 2.0;
    for (how, most) in [
        (How { rotate: 0.4, ..NOTHING }, [0.4, 0.0]),
        (How { zoom: 0.3, ..NOTHING }, [0.0, 0.3]),
        (How { rotate: 0.4, zoom: 0.3, ..NOTHING }, [0.4, 0.3]),
    ] {
        let mut largest = [0.0f64; 2];
        for (sample, found) in varied(how, 0, &all()).iter().enumerate() {
            let own: Vec<f32> = picture(sample).iter().map(|byte| f32::from(*byte)).collect();
            assert!((middle(found) - middle(&own)).abs() <= 1e-3, "sample {sample}: the centre stays");
            let (angle, size) = angle_and_size(found);
            for (kind, value) in [angle.abs(), (size - 1.0).abs()].into_iter().enumerate() {
                assert!(value <= most[kind] + 1e-4, "sample {sample}: angle {angle}, size {size}");
                largest[kind] = largest[kind].max(value);
            }
        }
        // Of forty draws one comes near the end.
        assert!((0..2).all(|kind| largest[kind] >= 0.8 * most[kind]), "{largest:?}");
    }
}

#[test]
fn brightness_is_a_factor_and_contrast_that_of_the_distance_from_the_mean() {
    let found = varied(How { brightness: 0.5, ..NOTHING }, 0, &all());
    for (sample, found) in found.iter().enumerate() {
        let own = picture(sample);
        let factor = found[0] / f32::from(own[0]);
        assert!((0.5..=1.5).contains(&factor), "{factor}");
        for (value, byte) in found.iter().zip(own) {
            assert!((value - (f32::from(byte) * factor).min(255.0)).abs() <= 1e-3);
        }
    }
    // The mean here is 0, where contrast is a factor, too.
    let found = varied(How { contrast: 1.0, ..NOTHING }, 0, &all());
    assert!(found.iter().flatten().all(|value| (0.0..=255.0).contains(value)));
    assert_ne!(found, varied(How { contrast: 0.5, ..NOTHING }, 0, &all()));
}
