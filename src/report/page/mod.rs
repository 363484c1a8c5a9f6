//! One or several runs as one HTML page: no script, no request to anywhere, readable in light, dark and on paper.

mod compare;
mod cost;
mod parts;
mod record;
mod run;

use maud::{DOCTYPE, Markup, html};

pub use record::Record;

use crate::error::Result;

const STYLE: &str = include_str!("style.css");

/// The page of these runs: of several, what they have in common and where they differ comes first.
///
/// # Errors
/// `Kind::Internal` where a plot cannot be drawn, `Kind::Checkpoint` where tensors of a run cannot be read.
pub fn page(runs: &[Record]) -> Result<String> {
    let title = match runs {
        [one] => one.name.clone(),
        _ => format!("{} runs", runs.len()),
    };
    let body = match runs {
        [one] => run::sections(one)?,
        _ => compare::sections(runs)?,
    };
    let page: Markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " - Coppice" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (title) } }
                main { (body) }
                footer { "Made by Coppice " (env!("CARGO_PKG_VERSION")) ", " code { "coppice report" } "." }
            }
        }
    };
    Ok(page.into_string())
}
