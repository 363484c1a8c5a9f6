//! Exports of whole networks, as a user asks for them.

use std::fs;

use crate::program::{fails, json, run};

const TINY: [&str; 9] = [
    "train",
    "digits-gmp-90",
    "-q",
    "--json",
    "--no-autotune",
    "--device",
    "twin",
    "-s",
    "run={epochs=2,batch=128,baseline=false}",
];

#[test]
fn a_network_is_exported_to_onnx_checked_and_refused_where_it_cannot_be() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let more = ["-s", "model.hidden=[16,8]", "--out", "r"];
    let summary = json(home, &[&TINY[..], &more].concat());
    let export = |more: &[&str]| {
        let output = run(home, &[&["export", "r", "--device", "twin", "--to", "onnx"], more].concat());
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = export(&["dense.onnx"]);
    assert!(said.contains("opset 17") && said.contains("checked on 8 test samples"), "{said}");
    let said = export(&["sparse.onnx", "--sparse", "--no-check"]);
    assert!(said.contains("sparse)") && !said.contains("checked"), "{said}");
    let size = |name: &str| fs::metadata(home.join(name)).unwrap().len();
    assert!(size("sparse.onnx") < size("dense.onnx"));
    let bytes = fs::read(home.join("dense.onnx")).unwrap();
    for known in [summary["digest"].as_str().unwrap(), &summary["test_accuracy"].to_string(), "fc1.weight"] {
        assert!(bytes.windows(known.len()).any(|part| part == known.as_bytes()), "no {known}");
    }

    let exists = fails(home, 5, &["export", "r", "--to", "onnx", "dense.onnx"]);
    assert!(exists.contains("exists already"), "{exists}");
    let no_form = fails(home, 2, &["export", "r", "--to", "safetensors", "x.safetensors", "--sparse"]);
    assert!(no_form.contains("--sparse is for onnx, not for safetensors"), "{no_form}");
    // The ending of the file says the format.
    assert!(run(home, &["export", "r", "w.safetensors"]).status.success());
    let nameless = fails(home, 2, &["export", "r", "w.weights"]);
    assert!(nameless.contains("w.weights names no format") && nameless.contains("--to FORMAT"), "{nameless}");
    let alone = fails(home, 2, &["export", "w.safetensors", "--to", "onnx", "x.onnx"]);
    assert!(alone.contains("ONNX needs the network"), "{alone}");
    assert!(!home.join("x.onnx").exists());
}
