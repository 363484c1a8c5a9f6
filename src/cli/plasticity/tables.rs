//! What `coppice plasticity` found, as tables and as a picture.

use super::{AS_LOST, Branch};
use crate::error::{Error, Result};
use crate::report::plot::{Axis, Plot, Series, Stroke};
use crate::report::table;

const COLUMNS: [&str; 11] = [
    "at",
    "rate",
    "distribution",
    "regrow",
    "kept",
    "total",
    "learning_rate",
    "t_pre",
    "t_contrast",
    "plasticity",
    "t_dense",
];

fn percent(x: f64) -> String {
    format!("{:.2} %", x * 100.0)
}

/// As docs/results.md has it: networks that differ in regrowth alone share a row.
pub(super) fn markdown(branches: &[Branch], more: u32) -> String {
    let key = |b: &Branch| (b.at, b.rate, b.distribution.clone());
    let as_lost = branches.iter().any(|branch| branch.regrow == AS_LOST);
    let later = format!("{more} epochs later");
    let header = ["pruned after epoch", "learning rate then", "rate", "distribution", "before", &later]
        .map(String::from)
        .into_iter()
        .chain(["plasticity (points)", "the same with regrowth"].map(String::from))
        .chain(as_lost.then(|| "with as many regrown as lost, at 0 (dense again)".into()))
        .chain([format!("dense, {later}")])
        .collect::<Vec<_>>();
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(&header), format!("|{}", "---|".repeat(header.len()))];
    let mut rows: Vec<Vec<&Branch>> = Vec::new();
    for branch in branches {
        match rows.iter_mut().find(|row| key(row[0]) == key(branch)) {
            Some(row) => row.push(branch),
            None => rows.push(vec![branch]),
        }
    }
    for row in rows {
        let of = |regrow: &str, write: &dyn Fn(&Branch) -> String| {
            row.iter().find(|b| b.regrow == regrow).map_or("-".to_string(), |b| write(b))
        };
        let points = |b: &Branch| format!("{:+.2}", b.plasticity * 100.0);
        let first = row[0];
        let before = [
            first.at.to_string(),
            format!("{:.2}", first.learning_rate),
            format!("{} %", (first.rate * 1e4).round() / 1e2),
            first.distribution.clone(),
            percent(first.t_pre),
            of("none", &|b| percent(b.t_contrast)),
            of("none", &points),
            of("gradient", &points),
        ];
        let after = as_lost.then(|| of(AS_LOST, &points)).into_iter().chain([percent(first.t_dense)]);
        lines.push(line(&before.into_iter().chain(after).collect::<Vec<_>>()));
    }
    lines.join("\n")
}

pub(super) fn text(branches: &[Branch]) -> String {
    let row = |b: &Branch| {
        vec![
            b.at.to_string(),
            b.rate.to_string(),
            b.distribution.clone(),
            b.regrow.clone(),
            format!("{} / {}", b.kept, b.total),
            format!("{:.4}", b.learning_rate),
            percent(b.t_pre),
            percent(b.t_contrast),
            format!("{:+.2}", b.plasticity * 100.0),
            percent(b.t_dense),
        ]
    };
    let header = [
        "epoch",
        "rate",
        "distribution",
        "regrowth",
        "kept / total",
        "lr",
        "t_PRE",
        "t_CONTRAST",
        "plasticity",
        "dense, then",
    ];
    table::rows(&header, &branches.iter().map(row).collect::<Vec<_>>())
}

pub(super) fn csv(branches: &[Branch]) -> Result<String> {
    let mut lines = vec![COLUMNS.join(",")];
    for branch in branches {
        let value = serde_json::to_value(branch).map_err(|e| Error::internal(e.to_string()))?;
        let cell = |name: &&str| match &value[*name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(COLUMNS.iter().map(cell).collect::<Vec<_>>().join(","));
    }
    Ok(lines.join("\n") + "\n")
}

/// A line for each rate, dashed with regrowth; one more colour a distribution, and one where as many are regrown as lost.
pub(super) fn plot(branches: &[Branch], more: u32) -> Plot {
    let mut series: Vec<Series> = Vec::new();
    let mut colours: Vec<String> = Vec::new();
    for branch in branches {
        let Branch { rate, distribution, regrow, .. } = branch;
        let as_lost = if regrow == AS_LOST { ", dense again" } else { "" };
        let own = format!("{} %, {distribution}{as_lost}", rate * 100.0);
        let name = if regrow == "gradient" { format!("{own}, regrown") } else { own.clone() };
        let point = (f64::from(branch.at), branch.plasticity * 100.0);
        if let Some(line) = series.iter_mut().find(|line| line.name == name) {
            line.points.push(point);
            continue;
        }
        let colour = colours.iter().position(|known| *known == own).unwrap_or_else(|| {
            colours.push(own.clone());
            colours.len() - 1
        });
        let line = Series::new(name, colour, vec![point]).dots();
        series.push(if regrow == "gradient" { line.stroke(Stroke::Dashed) } else { line });
    }
    Plot {
        title: format!("Accuracy {more} epochs after pruning, against that before"),
        x: Axis::linear("epoch of pruning"),
        y: Axis::linear("plasticity (points)"),
        series,
        bands: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rate_is_a_line_and_regrowth_dashes_it() {
        let branch = |at: u32, rate: f64, regrow: &str, plasticity: f64| Branch {
            at,
            rate,
            distribution: "uniform".into(),
            regrow: regrow.into(),
            kept: 1,
            total: 10,
            learning_rate: 0.1,
            t_pre: 0.9,
            t_contrast: 0.9 + plasticity,
            plasticity,
            t_dense: 0.9,
        };
        let branches = [
            branch(2, 0.9, "none", -0.01),
            branch(2, 0.9, "gradient", 0.0),
            branch(5, 0.9, "none", -0.02),
            branch(5, 0.98, "none", -0.3),
        ];
        let with = markdown(&[&branches[..], &[branch(2, 0.9, AS_LOST, 0.02)]].concat(), 2);
        let with: Vec<&str> = with.lines().collect();
        assert!(
            with[0].contains("| with as many regrown as lost, at 0 (dense again) | dense, 2 epochs later |")
        );
        assert_eq!(with[1], format!("|{}", "---|".repeat(10)));
        assert_eq!(
            with[2],
            "| 2 | 0.10 | 90 % | uniform | 90.00 % | 89.00 % | -1.00 | +0.00 | +2.00 | 90.00 % |"
        );
        assert!(with[3].contains("| -2.00 | - | - | 90.00 % |"), "{}", with[3]);
        let table = markdown(&branches, 2);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| 2 | 0.10 | 90 % | uniform | 90.00 % | 89.00 % | -1.00 | +0.00 | 90.00 % |",
                "| 5 | 0.10 | 90 % | uniform | 90.00 % | 88.00 % | -2.00 | - | 90.00 % |",
                "| 5 | 0.10 | 98 % | uniform | 90.00 % | 60.00 % | -30.00 | - | 90.00 % |",
            ]
        );
        assert!(
            table.starts_with("| pruned after epoch |") && table.contains("| 2 epochs later |"),
            "{table}"
        );
        let plot = plot(&branches, 2);
        let lines: Vec<_> = plot
            .series
            .iter()
            .map(|line| (line.name.as_str(), line.points.len(), line.colour, line.stroke))
            .collect();
        assert_eq!(
            lines,
            [
                ("90 %, uniform", 2, 0, Stroke::Plain),
                ("90 %, uniform, regrown", 1, 0, Stroke::Dashed),
                ("98 %, uniform", 1, 1, Stroke::Plain)
            ]
        );
        assert_eq!(plot.series[0].points, [(2.0, -1.0), (5.0, -2.0)]);
    }
}
