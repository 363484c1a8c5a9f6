//! `coppice bench --recipe`: a step of somebody's recipe, by kernel and by dispatch.

use crate::program::{fails, json};

#[test]
fn a_recipe_is_timed_kernel_by_kernel() {
    let home = tempfile::tempdir().unwrap();
    let twin = ["--device", "twin", "--repeats", "2"];
    let args =
        [&["bench", "--recipe", "digits-dense", "-s", "model.hidden=[8]", "--json"], &twin[..]].concat();
    let tables = json(home.path(), &args)["tables"].clone();
    let rows = |number: usize| tables[number]["rows"].as_array().unwrap().clone();
    assert!(tables[0]["title"].as_str().unwrap().starts_with("one digits-dense step by kernel"), "{tables}");
    let (kernels, dispatches) = (rows(0), rows(1));
    let count: u64 = kernels.iter().map(|row| row["dispatches"].as_f64().unwrap() as u64).sum();
    let all = dispatches.iter().filter(|row| row["dispatch"] != "all").count() as u64;
    assert!(count == all && count > 5, "{count} {all}");
    assert!(fails(home.path(), 2, &["bench", "step", "--recipe", "digits-dense"]).contains("cannot be used"));
    assert!(fails(home.path(), 2, &["bench", "-s", "run.batch=3"]).contains("--recipe"));
}
