//! Sparsity by layer as SVG: a bar for each weight, and a line for all of them together.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::{Error, Result};
use crate::report::inspect::percent;
use crate::report::plot::{COLOURS, FONT, GRID, INK};
use crate::store::folder::write_file_atomic;

const TOP: i32 = 56;
const BOTTOM: i32 = 56;
const RIGHT: i32 = 230;
/// The length of a bar of 100 %.
const LENGTH: i32 = 560;
/// From one bar to the next, and how thick each is.
const LINE: i32 = 22;
const THICK: i32 = 14;
/// About as wide as a letter.
const LETTER: i32 = 8;

/// One weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    pub name: String,
    pub kept: usize,
    pub total: usize,
}

/// All weights, from above to below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bars {
    pub bars: Vec<Bar>,
    pub kept: usize,
    pub total: usize,
}

impl Bars {
    /// The picture as SVG; it grows with the number of bars.
    pub fn svg(&self) -> Result<String> {
        let height = TOP + LINE * self.bars.len() as i32 + BOTTOM;
        let size = ((self.left() + LENGTH + RIGHT) as u32, height as u32);
        let mut text = String::new();
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let drawn = self.draw(&root).and_then(|()| root.present());
        let drawn = drawn.map_err(|e| Error::internal("a bar chart cannot be drawn").at(e.to_string()));
        drop(root);
        drawn?;
        Ok(text)
    }

    /// Writes the picture to a file, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_file_atomic(path, self.svg()?.as_bytes())
    }

    fn left(&self) -> i32 {
        let longest = self.bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
        (longest as i32 * LETTER).clamp(80, 400) + 24
    }

    fn draw<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let style = |size, side| (FONT, size).into_font().color(&INK).pos(Pos::new(side, VPos::Center));
        let write = |text: &str, at: (i32, i32), size: i32, side: HPos| {
            root.draw(&Text::new(text.to_string(), at, style(size, side)))
        };
        let (left, bottom) = (self.left(), TOP + LINE * self.bars.len() as i32);
        let along = |share: f64| left + (share * f64::from(LENGTH)).round() as i32;
        root.fill(&WHITE)?;
        write("Sparsity by layer", (left, 24), 22, HPos::Left)?;
        for tenth in [0, 2, 4, 6, 8, 10] {
            let x = along(f64::from(tenth) / 10.0);
            root.draw(&PathElement::new([(x, TOP), (x, bottom)], GRID.stroke_width(1)))?;
            write(&format!("{} %", tenth * 10), (x, bottom + 16), 15, HPos::Center)?;
        }
        write("pruned weights", (along(0.5), bottom + 40), 16, HPos::Center)?;
        for (row, bar) in (0..).zip(&self.bars) {
            let middle = TOP + LINE * row + LINE / 2;
            let (upper, lower) = (middle - THICK / 2, middle + THICK / 2);
            let sparsity = sparsity(bar.kept, bar.total);
            root.draw(&Rectangle::new(
                [(left, upper), (along(1.0), lower)],
                RGBColor(242, 242, 242).filled(),
            ))?;
            root.draw(&Rectangle::new([(left, upper), (along(sparsity), lower)], COLOURS[0].filled()))?;
            write(&bar.name, (left - 8, middle), 15, HPos::Right)?;
            let text = format!("{}, {} of {} kept", percent(sparsity), bar.kept, bar.total);
            write(&text, (along(1.0) + 10, middle), 14, HPos::Left)?;
        }
        let x = along(sparsity(self.kept, self.total));
        root.draw(&PathElement::new([(x, TOP - 4), (x, bottom + 4)], INK.stroke_width(2)))?;
        let text = format!("all: {}", percent(sparsity(self.kept, self.total)));
        let side = if x > along(0.5) { HPos::Right } else { HPos::Left };
        write(&text, (x, TOP - 14), 15, side)
    }
}

fn sparsity(kept: usize, total: usize) -> f64 {
    if total == 0 { 0.0 } else { (total - kept) as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_a_bar_as_long_as_its_sparsity() {
        let bar = |name: &str, kept, total| Bar { name: name.into(), kept, total };
        let bars = vec![bar("conv1", 40, 40), bar("layer1.0.<conv>", 25, 100), bar("empty", 0, 0)];
        let own = Bars { bars, kept: 65, total: 140 };
        let svg = own.svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "conv1",
            "layer1.0.&lt;conv&gt;",
            "75.00 %, 25 of 100 kept",
            "0.00 %, 40 of 40 kept",
            "all: 53.57 %",
        ] {
            assert!(svg.contains(text), "no {text:?} in {svg}");
        }
        let widths = |length: i32| svg.matches(&format!("width=\"{length}\" height=\"{THICK}\"")).count();
        assert_eq!((widths(LENGTH * 3 / 4), widths(LENGTH)), (1, 3), "{svg}");
        assert!(Bars { bars: Vec::new(), kept: 0, total: 0 }.svg().is_ok());
    }
}
