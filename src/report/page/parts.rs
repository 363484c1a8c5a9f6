//! What pages are made of: sections, tables, plots, pictures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};

use crate::error::Result;
use crate::report::picture::Image;
use crate::report::plot::{Plot, Series, Stroke};

/// Colours of plots, and the names under which the page's style has them for light and dark; those of lines come first.
const COLOURS: [(&str, &str); 12] = [
    ("#0072B2", "var(--c0)"),
    ("#D55E00", "var(--c1)"),
    ("#009E73", "var(--c2)"),
    ("#CC79A7", "var(--c3)"),
    ("#E69F00", "var(--c4)"),
    ("#56B4E9", "var(--c5)"),
    ("#808080", "var(--c6)"),
    ("#8C564B", "var(--c7)"),
    ("#FFFFFF", "var(--paper)"),
    ("#222222", "var(--ink)"),
    ("#E2E2E2", "var(--grid)"),
    ("#DEECF7", "var(--shade)"),
];

/// Width and height of a plot on wide and on narrow pages, each with its class.
const SIZES: [(&str, [u32; 2]); 2] = [("broad", [960, 440]), ("narrow", [460, 360])];

pub fn section(title: &str, body: Markup) -> Markup {
    html! { section { h2 { (title) } (body) } }
}

/// Names and values, as cards.
pub fn facts(all: &[(&str, String)]) -> Markup {
    html! { dl class="facts" { @for (name, value) in all { div { dt { (name) } dd { (value) } } } } }
}

pub fn table(header: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div class="wide" { table {
            thead { tr { @for cell in header { th { (cell) } } } }
            tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
        } }
    }
}

/// A row of a table of bars: its cells, and the length of its bar, 0 to 1.
pub struct Bar {
    pub cells: Vec<String>,
    pub length: f64,
}

/// A table whose last column is a bar.
pub fn bars(header: &[&str], rows: &[Bar]) -> Markup {
    html! {
        div class="wide" { table {
            thead { tr { @for cell in header { th { (cell) } } th {} } }
            tbody { @for row in rows { tr {
                @for cell in &row.cells { td { (cell) } }
                td class="bar" { span style=(format!("width:{:.1}%", 100.0 * row.length.clamp(0.0, 1.0))) {} }
            } } }
        } }
    }
}

/// A plot that says its values under the pointer, in the colours of the page.
pub fn plot(plot: &Plot) -> Result<Markup> {
    let drawn = |(class, size): (&str, [u32; 2])| -> Result<Markup> {
        let mut svg = plot.svg_with_values(size)?;
        for (colour, name) in COLOURS {
            svg = svg.replace(&format!("\"{colour}\""), &format!("\"{name}\""));
        }
        Ok(html! { div class=(class) { (PreEscaped(svg)) } })
    };
    let [broad, narrow] = SIZES.map(drawn);
    Ok(html! { figure { h3 { (plot.title) } (legend(plot)) (broad?) (narrow?) } })
}

/// What each line is, where there are several.
fn legend(plot: &Plot) -> Markup {
    let sample = |series: &Series| {
        let kind = match series.stroke {
            Stroke::Dashed => "dashed",
            Stroke::Absent => "dot",
            Stroke::Plain | Stroke::Strong => "line",
        };
        let colour = match series.stroke {
            Stroke::Strong => "var(--ink)",
            _ => COLOURS[series.colour_number()].1,
        };
        html! { li { i class=(kind) style=(format!("--own:{colour}")) {} (series.name) } }
    };
    html! {
        @if plot.series.len() > 1 || plot.bands.is_some() {
            ul class="legend" {
                @for series in &plot.series { (sample(series)) }
                @if let Some((name, _)) = &plot.bands { li { i class="band" {} (name) } }
            }
        }
    }
}

/// A picture within the page, and its bytes.
pub fn picture(image: &Image, caption: &str) -> Result<(Markup, usize)> {
    let data = STANDARD.encode(image.png()?);
    let source = format!("data:image/png;base64,{data}");
    let (width, height) = (image.width, image.height);
    let markup = html! {
        figure { img src=(source) width=(width) height=(height) alt=(caption); figcaption { (caption) } }
    };
    Ok((markup, data.len()))
}

/// A number of operations: `4.61 GFLOP`.
pub fn operations(flops: f64) -> String {
    match flops {
        x if x < 1e9 => format!("{:.1} MFLOP", x / 1e6),
        x if x < 1e12 => format!("{:.2} GFLOP", x / 1e9),
        x => format!("{:.3} TFLOP", x / 1e12),
    }
}

pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot;

    /// A legend takes the colour of a line by its number.
    #[test]
    fn colours_are_those_of_plots_in_their_order() {
        let written =
            |colour: &plotters::style::RGBColor| format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        let lines: Vec<String> = plot::COLOURS.iter().map(written).collect();
        let all: Vec<&str> = COLOURS.iter().map(|(colour, _)| *colour).collect();
        assert_eq!(lines, all[..lines.len()]);
        assert_eq!([written(&plot::INK), written(&plot::GRID)], all[9..11]);
    }
}
