//! What `coppice search` prints and draws.

use crate::report::inspect::percent;
use crate::report::plot::{Axis, Plot, Series, Stroke};
use crate::report::table::rows;
use crate::search::{Costs, Found, Kind, Ranking, Report, Table, Timed, front};

/// How well the predictor ranks.
pub fn words(report: &Report) -> String {
    let Ranking { learned_from, ranked, rank_correlation, error } = report.ranking;
    let rank = match rank_correlation {
        Some(rank) => format!("a rank correlation of {rank:.3}"),
        None => "no rank correlation, as all are equally accurate".into(),
    };
    format!(
        "the predictor learned from {learned_from} networks; on {ranked} others it has {rank}, and errs by {:.2} points",
        100.0 * error
    )
}

/// One row a budget.
pub fn table(report: &Report) -> String {
    let times = report.found.iter().any(|found| found.measured_ms.is_some());
    let mut header = vec!["budget", "accuracy", "predicted", "best random", "test accuracy"];
    header.extend(Kind::ALL.iter().filter(|kind| times || **kind != Kind::Latency).map(|kind| kind.name()));
    if times {
        header.push("measured");
    }
    let row = |found: &Found| {
        let mut row = vec![found.budget.clone(), percent(found.accuracy), percent(found.predicted)];
        row.push(found.best_random.map_or("none fits".into(), percent));
        row.push(percent(found.test_accuracy));
        row.extend(amounts(&found.costs, times));
        row.extend(found.measured_ms.map(|ms| Kind::Latency.shown(ms)));
        row
    };
    rows(&header, &report.found.iter().map(row).collect::<Vec<_>>())
}

/// What was found among the random networks that none of them beats, from the cheapest on.
pub fn pareto(report: &Report, kind: Kind) -> String {
    let random: Vec<(f64, f64)> =
        report.random.iter().map(|other| (other.costs.of(kind), other.accuracy)).collect();
    let mut all: Vec<(f64, f64, String)> =
        front(&random).into_iter().map(|(cost, accuracy)| (cost, accuracy, "random".into())).collect();
    all.extend(report.found.iter().map(|own| (own.costs.of(kind), own.accuracy, own.budget.clone())));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let row =
        |(cost, accuracy, of): &(f64, f64, String)| vec![of.clone(), kind.shown(*cost), percent(*accuracy)];
    let lines: Vec<_> = all.iter().map(row).collect();
    format!(
        "beside the front of {} random networks:\n{}",
        report.random.len(),
        rows(&["network", kind.name(), "accuracy"], &lines)
    )
}

/// How far the table of latencies is off.
pub fn checked(table: &Table, timed: &[Timed]) -> String {
    let row = |own: &Timed| {
        let shown = |ms| Kind::Latency.shown(ms);
        vec![own.subnet.clone(), shown(own.table_ms), shown(own.measured_ms), percent(own.error())]
    };
    let lines: Vec<_> = timed.iter().map(row).collect();
    format!(
        "latency of {} layers on {}, batch {}: a network takes {:.3} ms and {:.3} times the sum of its layers (fitted on {})\n\
         {}\nmean error of the table: {} over {} networks",
        table.layers.len(),
        table.device.adapter,
        table.batch,
        table.constant_ms,
        table.factor,
        table.fitted_on,
        rows(&["network", "by the table", "measured", "error"], &lines),
        percent(mean_error(timed)),
        timed.len()
    )
}

/// Mean of the errors, as a share.
pub fn mean_error(timed: &[Timed]) -> f64 {
    timed.iter().map(Timed::error).sum::<f64>() / timed.len().max(1) as f64
}

/// Accuracy over a cost: random networks, their front, and what was found.
pub fn plot(report: &Report, kind: Kind, judged: &str) -> Plot {
    let percents =
        |points: &[(f64, f64)]| points.iter().map(|(cost, accuracy)| (*cost, 100.0 * accuracy)).collect();
    let random: Vec<(f64, f64)> =
        report.random.iter().map(|other| (other.costs.of(kind), other.accuracy)).collect();
    let mut found: Vec<(f64, f64)> =
        report.found.iter().map(|own| (own.costs.of(kind), own.accuracy)).collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    Plot {
        title: "Subnets: accuracy over cost".into(),
        x: Axis::linear(kind.label()),
        y: Axis::linear(&format!("accuracy on {judged} images (%)")),
        series: vec![
            Series::new("random", 6, percents(&random)).stroke(Stroke::Absent).dots(),
            Series::new("front of random", 0, percents(&front(&random))).dots(),
            Series::new("found", 1, percents(&found)).stroke(Stroke::Dashed).dots(),
        ],
        bands: None,
    }
}

fn amounts(costs: &Costs, times: bool) -> Vec<String> {
    let kinds = Kind::ALL.into_iter().filter(|kind| times || *kind != Kind::Latency);
    kinds.map(|kind| kind.shown(costs.of(kind))).collect()
}
