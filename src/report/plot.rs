//! Line plots as SVG: named series over a common x, a label with its unit on each axis, linear or logarithmic.
//!
//! The legend stands beside the lines, never over them. Colours are those of Okabe and Ito (2008), which people
//! with any colour vision tell apart; from the ninth line on they repeat.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use crate::report::axis::{Axis, Scale};

use crate::error::{Error, Result};
use crate::report::axis::{LETTER, tick_text, value_text};
use crate::report::history::shown;
use crate::store::folder::write_file_atomic;

/// Points of a line that say their value, at most and at least, and of all lines more or less.
const MARKS: [usize; 2] = [100, 10];
const ALL_MARKS: usize = 600;
/// Width and height, without a legend that needs more.
const SIZE: [u32; 2] = [960, 520];
/// Where the legend begins, and from one of its lines to the next.
const LEGEND: [i32; 2] = [60, 22];
/// Beside an axis, and for the numbers of the vertical one.
const LEFT: i32 = 14;
const Y_LABELS: i32 = 74;
pub(super) const FONT: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const GRID: RGBColor = RGBColor(226, 226, 226);
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(128, 128, 128),
    RGBColor(140, 86, 75),
];

/// How a line is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    #[default]
    Plain,
    Dashed,
    /// Black and wide: a total, or what the others are compared with.
    Strong,
    /// Dots alone.
    Absent,
}

/// A line through points in the order in which they are given. It breaks at points without a place: NaN, or 0 on a
/// logarithmic axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub stroke: Stroke,
    /// Which colour; series of the same number belong together.
    pub colour: usize,
    /// A dot at each point.
    pub dots: bool,
}

impl Series {
    pub fn new(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, stroke: Stroke::Plain, colour, dots: false }
    }
    pub fn stroke(self, stroke: Stroke) -> Self {
        Self { stroke, ..self }
    }
    pub fn dots(self) -> Self {
        Self { dots: true, ..self }
    }
    fn style(&self) -> ShapeStyle {
        match self.stroke {
            Stroke::Strong => INK.stroke_width(3),
            _ => COLOURS[self.colour_number()].stroke_width(2),
        }
    }
    /// Which of the eight colours.
    pub fn colour_number(&self) -> usize {
        self.colour % COLOURS.len()
    }
}

/// A picture of several series.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Shaded ranges of x, and what they mean.
    pub bands: Option<(String, Vec<(f64, f64)>)>,
}

/// Values that hold until the next one, and the last of them until `end`, as points of a line.
pub fn stairs(points: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let mut all: Vec<(f64, f64)> = Vec::new();
    for &(x, y) in points {
        all.extend(all.last().map(|&(_, before)| (x, before)));
        all.push((x, y));
    }
    all.extend(all.last().filter(|(x, _)| *x < end).map(|&(_, y)| (end, y)));
    all
}

/// A point with its value in words, where it was drawn.
struct Mark {
    at: (i32, i32),
    text: String,
}

impl Plot {
    /// The picture as SVG.
    pub fn svg(&self) -> Result<String> {
        let lines = (self.series.len() + usize::from(self.bands.is_some())) as u32;
        let height = SIZE[1].max(LEGEND[0] as u32 + LEGEND[1] as u32 * lines);
        Ok(self.drawn([SIZE[0], height], true)?.0)
    }

    /// The picture as SVG of this width and height, without title and legend, that says the value of a point under the
    /// pointer, for at most a hundred points a line.
    pub fn svg_with_values(&self, size: [u32; 2]) -> Result<String> {
        let (svg, marks) = self.drawn(size, false)?;
        let mark = |Mark { at: (x, y), text }: &Mark| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            format!(
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"7\" fill=\"transparent\"><title>{text}</title></circle>\n"
            )
        };
        let marks: String = marks.iter().map(mark).collect();
        let end = svg.rfind("</svg>").ok_or_else(|| Error::internal("a plot has no end"))?;
        Ok(format!("{}<g class=\"marks\">\n{marks}</g>\n{}", &svg[..end], &svg[end..]))
    }

    /// `whole`: with title and legend.
    fn drawn(&self, [width, height]: [u32; 2], whole: bool) -> Result<(String, Vec<Mark>)> {
        let mut text = String::new();
        let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        let drawn = self
            .draw(&root, whole)
            .and_then(|marks| root.present().map_err(|e| e.to_string()).map(|()| marks));
        drop(root);
        let marks = drawn.map_err(|e| Error::internal("a plot cannot be drawn").at(e))?;
        Ok((text, marks))
    }

    /// Writes the picture to a file, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_file_atomic(path, self.svg()?.as_bytes())
    }

    fn draw<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        whole: bool,
    ) -> Result<Vec<Mark>, String> {
        root.fill(&WHITE).map_err(|e| e.to_string())?;
        let fault = |e: DrawingAreaErrorKind<DB::ErrorType>| e.to_string();
        if !whole {
            return self.lines(root, None).map_err(fault);
        }
        let names =
            self.series.iter().map(|series| &series.name).chain(self.bands.iter().map(|(name, _)| name));
        // A letter is some 8 wide, and a sample of the line stands before them.
        let legend = 64 + 8 * names.map(|name| name.chars().count()).max().unwrap_or(0) as i32;
        let width = SIZE[0] as i32;
        let (left, right) = root.split_horizontally(width - legend.min(width / 2));
        let marks = self.lines(&left, Some(&self.title)).map_err(fault)?;
        self.legend(&right).map_err(fault)?;
        Ok(marks)
    }

    fn lines<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        title: Option<&str>,
    ) -> Result<Vec<Mark>, DrawingAreaErrorKind<DB::ErrorType>> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let bands = || self.bands.iter().flat_map(|(_, bands)| bands);
        let edges = bands().flat_map(|&(from, to)| [from, to]);
        // Lines go from edge to edge; dots do not lie on one.
        let are_dots = self.series.iter().all(|series| series.dots);
        let x = self.x.around(points().map(|point| point.0).chain(edges), are_dots);
        let y = self.y.around(points().map(|point| point.1), true);
        let right = x.ticks.last().map_or(0, |&tick| LETTER * tick_text(tick).len() as i32 / 2 + 2).max(24);
        let x = x.legible(area.dim_in_pixel().0 as i32 - LEFT - Y_LABELS - right);
        let has_place = |&&(a, b): &&(f64, f64)| x.holds(a) && y.holds(b);

        let mut builder = ChartBuilder::on(area);
        // Half of the last tick's number stands beyond it.
        builder.margin(LEFT).margin_right(right).x_label_area_size(50).y_label_area_size(Y_LABELS);
        if let Some(title) = title {
            builder.caption(title, (FONT, 22).into_font().color(&INK));
        }
        let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
        let (low, high) = (chart.y_range().start, chart.y_range().end);
        let band = |&(from, to): &(f64, f64)| Rectangle::new([(from, low), (to, high)], shade());
        chart.draw_series(bands().map(band))?;
        chart
            .configure_mesh()
            .x_labels(x.ticks.len())
            .y_labels(y.ticks.len())
            .max_light_lines(0)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .label_style((FONT, 16).into_font().color(&INK))
            .axis_desc_style((FONT, 17).into_font().color(&INK))
            .draw()?;
        for series in &self.series {
            let style = series.style();
            for run in series.points.split(|point| !has_place(&point)).filter(|run| !run.is_empty()) {
                let points = run.iter().copied();
                match series.stroke {
                    Stroke::Absent => {}
                    Stroke::Dashed => {
                        chart.draw_series(DashedLineSeries::new(points, 7, 5, style))?;
                    }
                    _ => {
                        chart.draw_series(LineSeries::new(points, style))?;
                    }
                }
                if series.dots || run.len() == 1 {
                    let radius = if series.stroke == Stroke::Absent { 5 } else { 3 };
                    let dot = |&point: &(f64, f64)| Circle::new(point, radius, style.filled());
                    chart.draw_series(run.iter().map(dot))?;
                }
            }
        }
        let mut marks = Vec::new();
        let most = (ALL_MARKS / self.series.len().max(1)).clamp(MARKS[1], MARKS[0]);
        for series in &self.series {
            let mut points: Vec<&(f64, f64)> = series.points.iter().filter(has_place).collect();
            // Where stairs have two values, the later one.
            points.reverse();
            points.dedup_by_key(|point| point.0);
            points.reverse();
            for point in shown(points.len(), most).into_iter().map(|i| points[i]) {
                let (x, y) = (tick_text(point.0), value_text(point.1));
                let text = format!("{}: {y} at {} {x}", series.name, self.x.label);
                marks.push(Mark { at: chart.backend_coord(point), text });
            }
        }
        Ok(marks)
    }

    fn legend<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let text = (FONT, 16).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        let (left, [top, line]) = (4, LEGEND);
        let mut y = top;
        for series in &self.series {
            let style = series.style();
            let pieces: &[(i32, i32)] = match series.stroke {
                Stroke::Absent => &[],
                Stroke::Dashed => &[(0, 8), (10, 18), (20, 28)],
                Stroke::Plain | Stroke::Strong => &[(0, 28)],
            };
            for (from, to) in pieces {
                area.draw(&PathElement::new([(left + from, y), (left + to, y)], style))?;
            }
            if series.dots {
                area.draw(&Circle::new((left + 14, y), 3, style.filled()))?;
            }
            area.draw(&Text::new(series.name.as_str(), (left + 36, y), text.clone()))?;
            y += line;
        }
        if let Some((name, _)) = &self.bands {
            area.draw(&Rectangle::new([(left, y - 7), (left + 28, y + 7)], shade()))?;
            area.draw(&Text::new(name.as_str(), (left + 36, y), text.clone()))?;
        }
        Ok(())
    }
}

fn shade() -> ShapeStyle {
    RGBColor(222, 236, 247).filled()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(series: Vec<Series>) -> Plot {
        let (x, y) = (Axis::linear("step"), Axis::log("kept (%)"));
        Plot { title: "Kept <weights> & more".into(), x, y, series, bands: None }
    }

    #[test]
    fn a_picture_names_its_axes_and_series() {
        let lines = vec![
            Series::new("fc1", 0, vec![(0.0, 100.0), (50.0, 10.0), (100.0, 1.0)]),
            Series::new("chance", 0, vec![(0.0, 50.0), (100.0, 5.0)]).stroke(Stroke::Dashed),
        ];
        let svg = plot(lines).svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["fc1", "chance", "step", "kept (%)", "Kept &lt;weights&gt; &amp; more"] {
            assert!(svg.contains(text), "no {text:?}");
        }
        let polylines = svg.matches("<polyline").count();
        assert!(polylines > 3, "{polylines} lines: dashes are drawn one by one");
    }

    #[test]
    fn points_say_their_values() {
        let points = (0..1000).map(|i| (f64::from(i), 1.0 + f64::from(i))).collect();
        let svg = plot(vec![Series::new("a & b", 0, points)]).svg_with_values([440, 340]).unwrap();
        assert_eq!(svg.matches("<title>a &amp; b: ").count(), MARKS[0]);
        assert!(
            svg.contains("1,000 at step 999") && !svg.contains("Kept") && svg.trim_end().ends_with("</svg>")
        );
    }

    #[test]
    fn a_line_breaks_where_a_point_has_no_place() {
        let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 0.0), (4.0, 5.0), (5.0, 6.0)];
        let count = |points| {
            plot(vec![Series::new("a", 1, points)]).svg().unwrap().matches("stroke=\"#D55E00\"").count()
        };
        // Two pieces and the sample in the legend, against one piece and the sample.
        assert_eq!(count(points), 3);
        assert_eq!(count(vec![(0.0, 1.0), (5.0, 6.0)]), 2);
        assert!(plot(Vec::new()).svg().is_ok());
    }

    #[test]
    fn stairs_hold_until_the_next_value() {
        let want = [(0.0, 5.0), (10.0, 5.0), (10.0, 3.0), (25.0, 3.0)];
        assert_eq!(stairs(&[(0.0, 5.0), (10.0, 3.0)], 25.0), want);
        assert_eq!(stairs(&[(0.0, 5.0)], 0.0), [(0.0, 5.0)]);
        assert_eq!(stairs(&[], 9.0), []);
    }
}
