//! `coppice report`: one page a run or several, which asks for nothing and shows everything.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::{self, fails};

fn run(home: &Path, args: &[&str]) {
    let output = program::run(home, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Trains the digits for a moment.
fn train(home: &Path, out: &str, more: &[&str]) {
    let short = ["train", "digits-gmp-90", "-q", "--no-autotune", "-s", "run.epochs=3", "--out", out];
    run(home, &[&short[..], more].concat());
}

/// What is wrong with a page.
fn faults(page: &str) -> Vec<String> {
    let mut all = Vec::new();
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for asks in ["http:", "https:", "<script", "<link", "url(", "@import"] {
        if outside.contains(asks) {
            all.push(format!("asks for something: {asks}"));
        }
    }
    for tag in ["svg", "table", "section", "figure", "details", "main"] {
        let (opened, closed) =
            (page.matches(&format!("<{tag}")).count(), page.matches(&format!("</{tag}>")).count());
        if opened != closed || opened == 0 {
            all.push(format!("{opened} of <{tag}>, {closed} closed"));
        }
    }
    let drawn = page.matches("<svg").count();
    if page.matches("<g class=\"marks\">").count() != drawn || page.matches("<title>").count() <= drawn {
        all.push("a plot without values".into());
    }
    if page.contains("NaN") {
        all.push("a figure that is no number".into());
    }
    all
}

#[test]
fn a_run_and_several_runs_become_a_page() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for seed in ["1", "2"] {
        train(home, &format!("r-seed-{seed}"), &["--seed", seed]);
    }
    train(home, "dense", &["-s", "sparsity={method=\"none\"}"]);
    train(home, "sparser", &["-s", "sparsity.target=0.95"]);

    run(home, &["report", "r-seed-1", "-o", "one.html"]);
    let one = fs::read_to_string(home.join("one.html")).unwrap();
    assert_eq!(faults(&one), Vec::<String>::new());
    for text in [
        "1702 / 17024",
        "fc1",
        "Kept weights",
        "Churn",
        "data:image/png;base64,",
        "optimizer slots",
        "ECE",
        "method = &quot;gmp&quot;",
    ] {
        assert!(one.contains(text), "no {text:?}");
    }
    assert!(!one.contains("R_s"), "a run that begins dense has kept all weights");
    assert!(one.len() < 1_500_000, "{} bytes", one.len());

    run(home, &["report", "r-seed-1", "r-seed-2", "dense", "sparser", "-o", "four.html"]);
    let four = fs::read_to_string(home.join("four.html")).unwrap();
    assert_eq!(faults(&four), Vec::<String>::new());
    for text in [
        "±",
        "sparsity.method",
        "class=\"differs\"",
        "Accuracy over kept weights",
        "Accuracy over stored size",
        "by sparsity.target",
    ] {
        assert!(four.contains(text), "no {text:?}");
    }
    looks_right_in_a_browser(home, "four.html");

    let error = fails(home, 4, &["report", "nowhere"]);
    assert!(error.contains("nowhere"), "{error}");
    assert!(!faults("<svg></svg><script>").is_empty(), "a bad page is noticed");
}

/// Where Chromium is installed: it reads the page, and finds what was written.
fn looks_right_in_a_browser(home: &Path, page: &str) {
    let address = format!("file://{}", home.join(page).display());
    let flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"];
    let Ok(done) = Command::new("chromium").args(flags).arg(address).output() else { return };
    let (dom, log) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(dom.matches("<polyline").count() > 20 && dom.contains("Where recipes differ"), "{dom}");
    assert!(!log.contains("CONSOLE"), "{log}");
}
