//! How a weight looks as a matrix.

/// A weight `(out, taps.., in)`: a row for each output, and in a row the input channels of each tap side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    pub rows: usize,
    /// Positions of a kernel; 1 where there is none.
    pub taps: usize,
    pub channels: usize,
}

impl Matrix {
    /// That of a shape; a vector has rows of one number.
    pub fn of(shape: &[usize]) -> Self {
        match *shape {
            [] => Self { rows: 0, taps: 1, channels: 1 },
            [rows] => Self { rows, taps: 1, channels: 1 },
            [rows, ref taps @ .., channels] => Self { rows, taps: taps.iter().product(), channels },
        }
    }
    /// Numbers in a row.
    pub fn inner(&self) -> usize {
        self.taps * self.channels
    }
    /// Rows and inputs as N:M groups see them: a row for each output and tap, of input channels.
    pub fn by_tap(&self) -> (usize, usize) {
        (self.rows * self.taps, self.channels)
    }
    pub fn len(&self) -> usize {
        self.rows * self.inner()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_channels_are_innermost() {
        let rows_taps_channels = |shape: &[usize]| {
            let own = Matrix::of(shape);
            assert_eq!((own.inner(), own.len()), (own.taps * own.channels, shape.iter().product()));
            [own.rows, own.taps, own.channels]
        };
        assert_eq!(rows_taps_channels(&[7]), [7, 1, 1]);
        assert_eq!(rows_taps_channels(&[7, 5]), [7, 1, 5]);
        assert_eq!(rows_taps_channels(&[7, 3, 2, 5]), [7, 6, 5]);
        assert_eq!(rows_taps_channels(&[0, 5]), [0, 1, 5]);
    }
}
