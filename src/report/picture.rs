//! Pictures of masks: one dot a weight, bright where it is kept.

use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::report::font;
use crate::store::folder::write_file_with;

pub type Rgb = [u8; 3];

/// Behind everything, and where a weight was pruned.
pub const BACKGROUND: Rgb = [13, 15, 20];
pub const PRUNED: Rgb = [26, 29, 37];
/// Kept weights, from the smallest to the largest magnitude.
pub const NEGATIVE: [Rgb; 2] = [[27, 74, 122], [122, 205, 255]];
pub const POSITIVE: [Rgb; 2] = [[132, 58, 32], [255, 190, 105]];
/// Kept weights whose value is not known.
pub const KEPT: Rgb = [226, 226, 216];

/// The longest side of a picture of one tensor, in pixels.
pub(super) const LARGEST: usize = 1024;
/// Small tensors are enlarged until their longest side comes near this.
pub(super) const COMFORTABLE: usize = 400;

/// A picture, three bytes a pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Image {
    pub fn new(width: usize, height: usize, colour: Rgb) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    pub fn get(&self, x: usize, y: usize) -> Rgb {
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// Fills a rectangle; what lies outside of the picture is cut off.
    pub fn fill(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), colour: Rgb) {
        let right = self.width.min(x + width);
        for y in y..self.height.min(y + height) {
            for x in x..right {
                let at = (y * self.width + x) * 3;
                self.rgb[at..at + 3].copy_from_slice(&colour);
            }
        }
    }

    /// Lays another picture over this one; what lies outside is cut off.
    pub fn paste(&mut self, (x, y): (usize, usize), other: &Image) {
        for from_y in 0..other.height.min(self.height.saturating_sub(y)) {
            for from_x in 0..other.width.min(self.width.saturating_sub(x)) {
                self.fill((x + from_x, y + from_y), (1, 1), other.get(from_x, from_y));
            }
        }
    }

    /// Writes a line of text whose dots are `scale` pixels wide.
    pub fn text(&mut self, (left, top): (usize, usize), text: &str, scale: usize, colour: Rgb) {
        for (place, letter) in text.chars().enumerate() {
            for y in 0..font::HEIGHT + font::DEPTH {
                for x in (0..font::WIDTH).filter(|&x| font::pixel(letter, x, y)) {
                    let dot = (left + (place * font::ADVANCE + x) * scale, top + y * scale);
                    self.fill(dot, (scale, scale), colour);
                }
            }
        }
    }

    /// Writes a PNG file, whole or not at all.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        write_file_with(path, |out| encode(self, out))
    }

    /// The bytes of a PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        encode(self, &mut bytes)
            .map_err(|e| Error::internal("a picture cannot be encoded").at(e.to_string()))?;
        Ok(bytes)
    }
}

fn encode(image: &Image, out: &mut dyn io::Write) -> io::Result<()> {
    // The format has no empty pictures: one without pixels becomes a single dark one.
    if image.rgb.is_empty() {
        return encode(&Image::new(1, 1, BACKGROUND), out);
    }
    let mut encoder = png::Encoder::new(out, image.width as u32, image.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let fault = |error| match error {
        png::EncodingError::IoError(error) => error,
        other => io::Error::other(other),
    };
    let mut writer = encoder.write_header().map_err(fault)?;
    writer.write_image_data(&image.rgb).map_err(fault)?;
    writer.finish().map_err(fault)
}

/// Draws a matrix of `rows` x `columns` weights: blue for negative, orange for positive, brighter for larger
/// magnitudes, dark where pruned. Without weights every kept entry is equally bright. A large matrix is reduced,
/// each pixel then showing how many weights of its block are kept; a small one is enlarged, with a thin line
/// between the weights where there is room. What `kept` and `weights` lack counts as pruned.
pub fn mask_picture(weights: Option<&[f32]>, kept: &[bool], rows: usize, columns: usize) -> Image {
    let longest = rows.max(columns).max(1);
    let block = longest.div_ceil(LARGEST);
    let scale = (COMFORTABLE / longest).clamp(1, 24);
    let gap = usize::from(scale >= 5);
    let size = |weights: usize| weights.div_ceil(block) * scale;
    let typical = weights.map_or(0.0, |weights| large_magnitude(weights, kept));
    let mut image = Image::new(size(columns), size(rows), BACKGROUND);
    for (y, row) in (0..rows).step_by(block).enumerate() {
        for (x, column) in (0..columns).step_by(block).enumerate() {
            let inside = (row..rows.min(row + block)).flat_map(|row| {
                (column..columns.min(column + block)).map(move |column| row * columns + column)
            });
            let colour = block_colour(inside, weights, kept, typical);
            image.fill((x * scale, y * scale), (scale - gap, scale - gap), colour);
        }
    }
    image
}

/// The colour of the weights in one pixel: the mean colour of the kept ones, over the dark of the pruned ones.
/// The root of the density keeps single weights visible in a sparse block.
pub(super) fn block_colour(
    inside: impl Iterator<Item = usize>,
    weights: Option<&[f32]>,
    kept: &[bool],
    typical: f32,
) -> Rgb {
    let (mut sum, mut count, mut total) = ([0.0; 3], 0, 0);
    for i in inside {
        total += 1;
        if kept.get(i) == Some(&true) {
            count += 1;
            let value = weights.map(|weights| weights.get(i).copied().unwrap_or(0.0));
            let colour = value.map_or(KEPT, |value| weight_colour(value, typical));
            sum = [0, 1, 2].map(|c| sum[c] + f64::from(colour[c]));
        }
    }
    if count == 0 {
        return PRUNED;
    }
    let mean = sum.map(|channel| (channel / f64::from(count)).round() as u8);
    mix(PRUNED, mean, (f64::from(count) / f64::from(total)).sqrt())
}

/// The colour of one kept weight; `typical` is the magnitude that is shown brightest.
fn weight_colour(value: f32, typical: f32) -> Rgb {
    let [small, large] = if value.is_sign_negative() { NEGATIVE } else { POSITIVE };
    let size = f64::from(value.abs() / typical);
    mix(small, large, if size.is_finite() { size } else { 1.0 })
}

fn mix(from: Rgb, to: Rgb, share: f64) -> Rgb {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|c| (f64::from(from[c]) * (1.0 - share) + f64::from(to[c]) * share).round() as u8)
}

/// The 95 % quantile of the kept magnitudes: a few outliers do not darken all others.
pub(super) fn large_magnitude(weights: &[f32], kept: &[bool]) -> f32 {
    let finite = weights.iter().zip(kept).filter(|(weight, kept)| **kept && weight.is_finite());
    let mut sizes: Vec<f32> = finite.map(|(weight, _)| weight.abs()).collect();
    let Some(last) = sizes.len().checked_sub(1) else { return 0.0 };
    *sizes.select_nth_unstable_by(last * 95 / 100, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_weights_show_where_they_are() {
        // 2 x 3, enlarged by 24: one positive, one negative, one of unknown sign, three pruned.
        let kept = [true, false, false, false, false, true];
        let image = mask_picture(Some(&[1.0, 5.0, 0.0, 0.0, 0.0, -1.0]), &kept, 2, 3);
        assert_eq!((image.width, image.height, image.rgb.len()), (72, 48, 72 * 48 * 3));
        assert_eq!(image.get(10, 10), POSITIVE[1]);
        assert_eq!(image.get(58, 34), NEGATIVE[1]);
        assert_eq!((image.get(30, 10), image.get(23, 10)), (PRUNED, BACKGROUND));
        assert_eq!(mask_picture(None, &kept, 2, 3).get(10, 10), KEPT);
    }

    #[test]
    fn large_ones_are_reduced_to_their_density() {
        // 2048 x 4, blocks of 2 x 2: all kept in the left half, one of four in the right.
        let kept: Vec<bool> = (0..2048 * 4).map(|i| i % 4 < 2 || i % 8 == 2).collect();
        let image = mask_picture(None, &kept, 2048, 4);
        assert_eq!((image.width, image.height), (2, 1024));
        assert_eq!(image.get(0, 512), KEPT);
        assert_eq!(image.get(1, 512), mix(PRUNED, KEPT, 0.5));
        assert_eq!(mask_picture(None, &[], 5000, 3).get(0, 999), PRUNED);
        assert_eq!(mask_picture(None, &[], 0, 0).rgb.len(), 0);
    }

    #[test]
    fn larger_is_brighter_and_broken_is_shown() {
        let light = |colour: Rgb| colour.iter().map(|&c| u32::from(c)).sum::<u32>();
        for sign in [1.0, -1.0] {
            let shades: Vec<u32> =
                [0.0, 0.2, 0.5, 1.0].iter().map(|&v| light(weight_colour(v * sign, 1.0))).collect();
            assert!(shades.is_sorted_by(|a, b| a < b), "{shades:?}");
            assert!(shades[0] > 2 * light(PRUNED), "the smallest kept weight stands out from a pruned one");
        }
        assert_eq!(weight_colour(f32::NAN, 1.0), POSITIVE[1]);
        assert_eq!(weight_colour(0.0, 0.0), POSITIVE[1]);
    }

    #[test]
    fn a_file_holds_the_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        let mut image = Image::new(9, 8, BACKGROUND);
        image.fill((7, 6), (50, 50), KEPT);
        image.text((1, 0), "1", 1, POSITIVE[1]);
        assert_eq!((image.get(8, 7), image.get(6, 6), image.get(3, 0)), (KEPT, BACKGROUND, POSITIVE[1]));
        image.save_png(&path).unwrap();
        let file = io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, pixels), (9, 8, image.rgb));
        Image::new(0, 5, KEPT).save_png(&path).unwrap();
        let error = Image::new(1, 1, KEPT).save_png(&path.join("in a file")).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::FileSystem);
    }
}
