//! `coppice resume` of a run whose recipe was changed.

use std::fs;

use crate::program::{fails, json};

/// A finished run that is to be longer asks for more weights than gradual pruning has left: refused before anything is written.
#[test]
fn a_schedule_that_asks_for_pruned_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let tiny = ["-s", "run={epochs=2,batch=128,baseline=false}", "-s", "sparsity.schedule.every=2"];
    let twin = ["--device", "twin", "--no-autotune", "--json", "-q", "--out", "r"];
    json(home, &[&["train", "digits-gmp-90"], &tiny[..], &twin[..]].concat());
    let read = |name: &str| fs::read_to_string(home.join("r").join(name)).unwrap();
    let longer = read("config.toml").replace("epochs = 2", "epochs = 8");
    fs::write(home.join("r/config.toml"), longer).unwrap();
    let before = read("meta.json");
    let refused = fails(home, 2, &["resume", "r", "--accept-changes", "--device", "twin", "-q"]);
    assert!(refused.contains("cannot bring back") && refused.contains("weights are left"), "{refused}");
    assert_eq!(read("meta.json"), before);
}
