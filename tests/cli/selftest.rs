//! `coppice selftest`: kernels by name.

use crate::program::{fails, json};

#[test]
fn kernels_are_named_by_patterns() {
    let home = tempfile::tempdir().unwrap();
    // tests/kernels.rs runs the checks of all.
    let test = json(home.path(), &["selftest", "--kernel", "sparsity/select/*", "--json"]);
    assert_eq!(test["failed"], 0);
    let kernels = test["kernels"].as_array().unwrap();
    assert!(
        kernels.len() > 5
            && kernels.iter().all(|one| one["name"].as_str().unwrap().starts_with("sparsity/select/"))
    );
    assert!(
        fails(home.path(), 2, &["selftest", "--kernel", "nothing"]).contains("no kernel matches `nothing`")
    );
}
