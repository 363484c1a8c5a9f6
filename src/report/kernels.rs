//! Pictures of weights, whatever their shape: matrices dot by dot, convolutions kernel by kernel.

use crate::report::picture::{
    BACKGROUND, COMFORTABLE, Image, LARGEST, PRUNED, block_colour, large_magnitude, mask_picture,
};

/// Draws a weight in the shape that PyTorch has. Of a convolution (out, in, height, width) each kernel is a tile, a row of
/// tiles for each output channel and a column for each input channel; where there is one input channel, as in
/// depthwise convolutions, tiles run on in rows of a near square. Where so many tiles have no room, each kernel is
/// one dot of its kept weights' mean colour, and further reduced as a large matrix is.
pub fn weight_picture(shape: &[usize], weights: Option<&[f32]>, kept: &[bool]) -> Image {
    let (rows, inputs, [height, width]) = match *shape {
        [out, inputs, height, ref rest @ ..] => (out, inputs, [height, rest.iter().product()]),
        [out, inputs] => (out, inputs, [1, 1]),
        _ => (1, kept.len(), [1, 1]),
    };
    if height * width <= 1 {
        return mask_picture(weights, kept, rows, inputs);
    }
    Kernels { grid: grid(rows, inputs), count: rows * inputs, height, width }.draw(weights, kept)
}

/// Rows and columns of tiles.
fn grid(outputs: usize, inputs: usize) -> [usize; 2] {
    if inputs != 1 {
        return [outputs, inputs];
    }
    let columns = outputs.isqrt() + usize::from(outputs.isqrt().pow(2) < outputs);
    [outputs.div_ceil(columns.max(1)), columns]
}

/// Kernels in rows of tiles.
struct Kernels {
    grid: [usize; 2],
    /// The last row of tiles may have fewer.
    count: usize,
    height: usize,
    width: usize,
}

impl Kernels {
    fn draw(&self, weights: Option<&[f32]>, kept: &[bool]) -> Image {
        let [rows, columns] = self.grid;
        let tile = |scale: usize| [self.height, self.width].map(|extent| extent * scale + 1 + scale / 2);
        let longest = |scale: usize| (rows * tile(scale)[0]).max(columns * tile(scale)[1]);
        // Kernels want more room than matrices: their edges are to be seen.
        let scale = (1..=24).rev().find(|&scale| longest(scale) <= 2 * COMFORTABLE).unwrap_or(1);
        let tile = tile(scale);
        if longest(scale) > LARGEST {
            return self.dots(weights, kept);
        }
        let typical = weights.map_or(0.0, |weights| large_magnitude(weights, kept));
        let line = usize::from(scale >= 5);
        let mut image = Image::new(columns * tile[1], rows * tile[0], BACKGROUND);
        for i in 0..self.count * self.height * self.width {
            let (kernel, place) = (i / (self.height * self.width), i % (self.height * self.width));
            let (y, x) = (place / self.width, place % self.width);
            let left = kernel % columns * tile[1] + x * scale;
            let top = kernel / columns * tile[0] + y * scale;
            let colour = block_colour([i].into_iter(), weights, kept, typical);
            image.fill((left, top), (scale - line, scale - line), colour);
        }
        image
    }

    /// A dot a kernel, or a square of kernels.
    fn dots(&self, weights: Option<&[f32]>, kept: &[bool]) -> Image {
        let [rows, columns] = self.grid;
        let block = rows.max(columns).div_ceil(LARGEST);
        let scale = LARGEST / rows.max(columns).div_ceil(block);
        let typical = weights.map_or(0.0, |weights| large_magnitude(weights, kept));
        let size = |kernels: usize| kernels.div_ceil(block) * scale;
        let area = self.height * self.width;
        let mut image = Image::new(size(columns), size(rows), PRUNED);
        for (y, row) in (0..rows).step_by(block).enumerate() {
            for (x, column) in (0..columns).step_by(block).enumerate() {
                let kernels = (row..rows.min(row + block)).flat_map(|row| {
                    (column..columns.min(column + block)).map(move |column| row * columns + column)
                });
                let inside = kernels.filter(|kernel| *kernel < self.count);
                let inside = inside.flat_map(|kernel| kernel * area..(kernel + 1) * area);
                let colour = block_colour(inside, weights, kept, typical);
                image.fill((x * scale, y * scale), (scale, scale), colour);
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::picture::{KEPT, NEGATIVE};

    #[test]
    fn kernels_are_tiles_by_output_and_input() {
        // (2, 3, 2, 2), dots of 24 and tiles of 61: one weight of the kernel of output 1 and input 2 is kept.
        let mut kept = [false; 24];
        let mut weights = [0.0; 24];
        (kept[5 * 4 + 1], weights[5 * 4 + 1]) = (true, -1.0);
        let image = weight_picture(&[2, 3, 2, 2], Some(&weights), &kept);
        assert_eq!((image.width, image.height), (183, 122));
        // Row 0 and column 1 of the kernel.
        assert_eq!(image.get(2 * 61 + 24 + 5, 61 + 5), NEGATIVE[1]);
        assert_eq!((image.get(2 * 61 + 5, 61 + 24 + 5), image.get(50, 5)), (PRUNED, BACKGROUND));
        let colours = image.rgb.chunks(3).filter(|colour| **colour == NEGATIVE[1]).count();
        assert_eq!(colours, 23 * 23);
    }

    #[test]
    fn one_input_channel_makes_a_square() {
        assert_eq!(
            [(10, 1), (9, 1), (1, 1), (0, 1), (7, 2)].map(|(o, i)| grid(o, i)),
            [[3, 4], [3, 3], [1, 1], [0, 0], [7, 2]]
        );
        let kept = vec![true; 10 * 9];
        let image = weight_picture(&[10, 1, 3, 3], None, &kept);
        let side = 3 * 24 + 13;
        assert_eq!((image.width, image.height), (4 * side, 3 * side));
        assert_eq!(
            (image.get(side + 5, 2 * side + 5), image.get(2 * side + 5, 2 * side + 5)),
            (KEPT, BACKGROUND)
        );
    }

    #[test]
    fn many_kernels_stay_within_bounds() {
        for [out, inputs] in [[256, 256], [512, 512], [1500, 40], [3000, 3], [1, 2000], [2000, 1]] {
            let kept: Vec<bool> = (0..out * inputs * 9).map(|i| i / 9 % inputs == 0).collect();
            let image = weight_picture(&[out, inputs, 3, 3], Some(&vec![1.0; kept.len()]), &kept);
            assert!(image.width.max(image.height) <= LARGEST, "{out} x {inputs}");
            assert!(image.width.max(image.height) >= LARGEST / 5, "{out} x {inputs}");
            assert_ne!(image.get(0, 0), PRUNED, "{out} x {inputs}");
        }
    }

    #[test]
    fn kernels_of_one_weight_are_matrices() {
        let kept = [true, false, false, true, true, true];
        assert_eq!(weight_picture(&[2, 3, 1, 1], None, &kept), mask_picture(None, &kept, 2, 3));
        assert_eq!(weight_picture(&[2, 3], None, &kept), mask_picture(None, &kept, 2, 3));
        assert_eq!(weight_picture(&[6], None, &kept), mask_picture(None, &kept, 1, 6));
        assert_eq!(weight_picture(&[0, 3, 3, 3], None, &[]).rgb.len(), 0);
    }
}
