//! Curves as characters: each holds two by four dots of braille.

/// A figure over steps, in their order.
pub type Curve = Vec<(f64, f64)>;

/// Dots of a character, from its top, by column: bits of the code point.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const NOTHING: u32 = 0x2800;

/// Curves on one field of characters.
pub struct Chart {
    /// The values at the upper and lower edge; `None` where nothing is drawn.
    pub edges: Option<[f64; 2]>,
    /// By row, from above: a character, and the number of the curve that was drawn there last.
    pub rows: Vec<Vec<(char, usize)>>,
}

impl Chart {
    /// Draws curves over 0 to `end`, with as many characters. The field is as high as what is finite of them.
    pub fn new(curves: &[&Curve], end: f64, [width, height]: [usize; 2]) -> Self {
        let finite = || curves.iter().flat_map(|curve| curve.iter()).filter(|(_, y)| y.is_finite());
        let edge = |pick: fn(f64, f64) -> f64| finite().map(|(_, y)| *y).reduce(pick);
        let edges = edge(f64::max).zip(edge(f64::min)).map(|(top, bottom)| [top, bottom]);
        let mut dots = vec![vec![(NOTHING, 0); width]; height];
        if let Some([top, bottom]) = edges {
            for (number, curve) in curves.iter().enumerate() {
                let row = |y: f64| match top > bottom {
                    true => ((top - y) / (top - bottom) * (4 * height - 1) as f64).round() as usize,
                    false => 2 * height,
                };
                let mut before: Option<usize> = None;
                for (column, y) in columns(curve, end, 2 * width) {
                    let now = row(y);
                    // Steep parts are lines, not single dots.
                    let from =
                        before.map_or(
                            now,
                            |before| if before < now { before + 1 } else { before.max(now + 1) - 1 },
                        );
                    for dot in now.min(from)..=now.max(from) {
                        let cell = &mut dots[dot / 4][column / 2];
                        *cell = (cell.0 | DOTS[column % 2][dot % 4], number);
                    }
                    before = Some(now);
                }
            }
        }
        let cell = |(code, number)| (char::from_u32(code).unwrap_or(' '), number);
        Self { edges, rows: dots.into_iter().map(|row| row.into_iter().map(cell).collect()).collect() }
    }
}

/// A value for each column from the first point of a curve to its last: the mean of the points in it, or what lies on the line
/// between its neighbours.
fn columns(curve: &Curve, end: f64, count: usize) -> Vec<(usize, f64)> {
    let mut means: Vec<(usize, f64, f64)> = Vec::new();
    for &(x, y) in curve.iter().filter(|(_, y)| y.is_finite()) {
        let column = ((x / end.max(1.0)).clamp(0.0, 1.0) * (count - 1) as f64).round() as usize;
        match means.last_mut() {
            Some((last, sum, points)) if *last == column => (*sum, *points) = (*sum + y, *points + 1.0),
            _ => means.push((column, y, 1.0)),
        }
    }
    let mut all: Vec<(usize, f64)> = Vec::new();
    for (column, sum, points) in means {
        let mean = sum / points;
        if let Some(&(last, value)) = all.last() {
            let share = |between: usize| (between - last) as f64 / (column - last) as f64;
            all.extend((last + 1..column).map(|between| (between, value + (mean - value) * share(between))));
        }
        all.push((column, mean));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(curves: &[&Curve], end: f64, size: [usize; 2]) -> Vec<String> {
        Chart::new(curves, end, size).rows.iter().map(|row| row.iter().map(|(c, _)| c).collect()).collect()
    }

    #[test]
    fn a_line_runs_from_corner_to_corner() {
        let falls: Curve = vec![(0.0, 2.0), (8.0, -1.0)];
        assert_eq!(drawn(&[&falls], 8.0, [2, 1]), ["⠑⢄"]);
        assert_eq!(Chart::new(&[&falls], 8.0, [2, 1]).edges, Some([2.0, -1.0]));
        // Half of the way is half of the field; a jump is a line.
        let jumps: Curve = vec![(0.0, 0.0), (1.0, 1.0)];
        assert_eq!(drawn(&[&jumps], 3.0, [2, 1]), ["⡸⠀"]);
    }

    #[test]
    fn points_of_one_column_are_averaged_and_broken_ones_left_out() {
        let many: Curve = vec![(0.0, 1.0), (0.1, 3.0), (9.0, f64::NAN), (10.0, 2.0)];
        assert_eq!(columns(&many, 10.0, 3), [(0, 2.0), (1, 2.0), (2, 2.0)]);
        let level: Curve = vec![(0.0, 5.0), (10.0, 5.0)];
        assert_eq!(drawn(&[&level], 10.0, [2, 2]), ["⠀⠀", "⠉⠉"]);
        assert_eq!(Chart::new(&[&Curve::new()], 10.0, [2, 2]).edges, None);
        assert_eq!(Chart::new(&[&level, &level], 10.0, [1, 2]).rows[1][0].1, 1, "the second lies above");
    }
}
