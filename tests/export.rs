//! Exports in C: compiled, and held against the network on all test samples of the digits.
#![cfg(unix)]

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use coppice::data::{self, Samples};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::store::safetensors;
use coppice::train::{RunFolder, Session, extent, judged};
use program::{fails, json, run};

/// Of the largest number of a sample's answer.
const BOUND: f32 = 1e-5;
/// Reads samples from stdin, and writes what the network answers to stdout.
const MAIN: &str = "
#include <stdio.h>
#include NETWORK
int main(void)
{
    float x[NET_INPUTS], y[NET_OUTPUTS];
    while (fread(x, sizeof(float), NET_INPUTS, stdin) == NET_INPUTS) {
        net_run(x, y);
        fwrite(y, sizeof(float), NET_OUTPUTS, stdout);
    }
    return 0;
}";

/// Every kind of layer that has a form in C; weights that are dense and that have gaps of four and eight bits, of convolutions and of linear layers.
const NETWORK: &str = r#"
run = { steps = 1, batch = 360 }
data = { name = "digits" }
optim = { name = "sgd", lr = 0.05 }
sparsity = { method = "static", target = 0.9, rule = [
    { match = "stem", dense = true }, { match = "wide", target = 0.5 }, { match = "few", target = 0.95 },
    { match = "fc2", target = 0.5 }, { match = "gate_*", dense = true } ] }
[model]
layer = [
    { type = "conv2d", name = "stem", out = 4, kernel = 3, padding = 1 },
    { type = "batch_norm", name = "norm" },
    { type = "hard_swish", name = "act" },
    { type = "max_pool", name = "largest", kernel = 3, stride = 2, padding = 1 },
    { type = "conv2d", name = "wide", out = 12, kernel = 3, padding = 2, dilation = 2, groups = 4, bias = false },
    { type = "batch_norm", name = "plain.norm", affine = false },
    { type = "silu", name = "act2" },
    { type = "conv2d", name = "few", from = "largest", out = 12, kernel = 3, padding = 1 },
    { type = "gelu", name = "act3" },
    { type = "global_average_pool", name = "mean", from = "act2" },
    { type = "linear", name = "gate_1", out = 12 },
    { type = "sigmoid", name = "gate_2" },
    { type = "scale", name = "attend", from = ["act3", "gate_2"] },
    { type = "pad_channels", name = "padded", from = "largest", before = 3, after = 5 },
    { type = "add", name = "sum", from = ["attend", "act2", "padded"] },
    { type = "average_pool", name = "means", kernel = 2, stride = 1, padding = 1 },
    { type = "slice", name = "first", first = 2, end = 6 },
    { type = "concat", name = "both", from = ["first", "means"] },
    { type = "flatten", name = "flat" },
    { type = "dropout", name = "drop", p = 0.3 },
    { type = "linear", name = "fc1", out = 20 },
    { type = "leaky_relu", name = "act4" },
    { type = "linear", name = "fc2", out = 20 },
    { type = "elu", name = "act5" },
    { type = "tanh", name = "act6", from = "act4" },
    { type = "multiply", name = "gated", from = ["act5", "act6"] },
    { type = "linear", name = "again", out = 20, share = "fc2" },
    { type = "selu", name = "act7" },
    { type = "relu6", name = "act8" },
    { type = "hard_sigmoid", name = "act9", from = "act7" },
    { type = "gelu_tanh", name = "act10", from = "act7" },
    { type = "add", name = "sums", from = ["act8", "act9", "act10"] },
    { type = "relu", name = "act11" },
    { type = "linear", name = "head", out = 10 },
]"#;

#[test]
fn every_layer_in_c_answers_as_the_network_does() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("net.toml"), NETWORK).unwrap();
    let text = compare(home.path(), &["net.toml"]);
    for form in ["dense", "gaps4", "gaps8"] {
        for kind in ["linear", "conv2d"] {
            assert!(text.contains(&format!("apply_{kind}_{form}(")), "{kind} {form}");
        }
    }
}

#[test]
fn the_judged_output_and_a_share_of_a_share_are_written() {
    let home = tempfile::tempdir().unwrap();
    let net = r#"
run = { steps = 1, batch = 360 }
data = { name = "digits" }
optim = { name = "sgd", lr = 0.05 }
loss = { outputs = ["second"] }
[model]
layer = [
    { type = "linear", name = "in", out = 20 },
    { type = "linear", name = "a", out = 20 },
    { type = "linear", name = "b", out = 20, share = "a" },
    { type = "linear", name = "c", out = 20, share = "b" },
    { type = "linear", name = "first", from = "in", out = 10 },
    { type = "linear", name = "second", from = "c", out = 10 },
]
output = [{ from = "first" }, { from = "second" }]"#;
    fs::write(home.path().join("net.toml"), net).unwrap();
    compare(home.path(), &["net.toml"]);
}

/// A pruned MLP takes hardly more than its packed weights.
#[test]
fn a_small_network_in_c_is_small() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compare(home, &["digits-gmp-90", "-s", "run.epochs=2"]);
    assert!(run(home, &["export", "r", "--to", "safetensors", "--packed", "packed"]).status.success());
    let packed = fs::metadata(home.join("packed")).unwrap().len();
    let size =
        Command::new("cc").args(["-std=c99", "-O2", "-c", "net.c"]).current_dir(home).status().unwrap();
    assert!(size.success());
    let object = fs::metadata(home.join("net.o")).unwrap().len();
    assert!(object * 10 <= (packed + 4096) * 11, "{object} bytes against {packed} of packed weights");
}

/// Trains, exports, compiles, and compares all answers; returns the C file.
fn compare(home: &Path, recipe: &[&str]) -> String {
    let rest =
        ["--out", "r", "-q", "--json", "--no-autotune", "--device", "twin", "-s", "run.baseline=false"];
    let trained = json(home, &[&["train"], recipe, &rest].concat());
    for (form, file) in [("c", "net.c"), ("safetensors", "w.safetensors")] {
        let done = run(home, &["export", "r", "--to", form, file, "--device", "twin"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let text = fs::read_to_string(home.join("net.c")).unwrap();
    let accuracy = format!("{:.2} %", 100.0 * trained["test_accuracy"].as_f64().unwrap());
    assert!(text.contains(&format!("Test accuracy of these weights: {accuracy}")), "{accuracy}");

    fs::write(home.join("main.c"), MAIN.replace("NETWORK", "\"net.c\"")).unwrap();
    let strict =
        ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", "main.c", "-o", "main", "-lm"];
    let compiled = Command::new("cc").args(strict).current_dir(home).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));

    let test = data::open("digits", 0.1).unwrap().test;
    let Samples::Bytes(pixels) = &test.images else { panic!("the digits are bytes") };
    let x: Vec<u8> = pixels.iter().flat_map(|&pixel| f32::from(pixel).to_le_bytes()).collect();
    let mut program = Command::new(home.join("main"));
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Pipes hold less than either side writes.
    let writes = std::thread::spawn(move || stdin.write_all(&x).unwrap());
    let output = child.wait_with_output().unwrap();
    writes.join().unwrap();
    let own: Vec<f32> = output.stdout.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();

    let wanted = answers(home);
    assert_eq!(own.len(), 10 * test.labels.len());
    for (row, (own, wanted)) in own.chunks(10).zip(wanted.chunks(10)).enumerate() {
        let largest = wanted.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        for (class, (own, wanted)) in own.iter().zip(wanted).enumerate() {
            let apart = (own - wanted).abs();
            assert!(apart <= BOUND * largest, "sample {row}, class {class}: {own} against {wanted}");
        }
    }
    let answer = |row: &[f32]| (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let hits = own.chunks(10).zip(&test.labels).filter(|(row, label)| answer(row) == usize::from(**label));
    let own_accuracy = format!("{:.2} %", 100.0 * hits.count() as f64 / test.labels.len() as f64);
    assert_eq!(own_accuracy, accuracy);
    text
}

/// What the network answers on the CPU for all test samples, in their order.
fn answers(home: &Path) -> Vec<f32> {
    let (mut recipe, _) = RunFolder::read(&home.join("r")).unwrap();
    recipe.run.batch = 360;
    let data = data::open("digits", 0.1).unwrap();
    let recipe = judged(&recipe, None, &extent(&data), data.classes).unwrap();
    let mut session = Session::new(&Gpu::twin(), &recipe, &data, Choices::default()).unwrap();
    session.load_weights(&safetensors::read(&home.join("w.safetensors")).unwrap()).unwrap();
    let answers = session.answers(data.test.labels.len()).unwrap();
    assert_eq!(answers.rows, (0..360).collect::<Vec<u32>>());
    let judged = session.model.judged();
    answers.outputs.into_iter().nth(judged).unwrap()
}

/// By names and shapes: what the tensors hold, unit tests and `tests/oracle/check_exports.py` compare.
#[test]
fn sparse_forms_are_written_as_the_guide_says() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = [
        "train",
        "digits-dense",
        "--out",
        "r",
        "-q",
        "--no-autotune",
        "--device",
        "twin",
        "-s",
        "run.epochs=1",
    ];
    let pattern = ["-s", "run.baseline=false", "-s", "sparsity.method=static", "-s", "sparsity.pattern=2:4"];
    assert!(run(home, &[&train[..], &pattern].concat()).status.success());
    for form in ["csr", "bitmask", "2:4"] {
        let done = run(home, &["export", "r", "--to", form, form]);
        let told = String::from_utf8(done.stdout).unwrap();
        assert!(
            told.contains("3 of 6 tensors") && told.contains("with 8512 of 17024 weights"),
            "{form}: {told}"
        );
    }
    let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name().into_string().unwrap();
    let mut files: Vec<String> = fs::read_dir(home.join("csr")).unwrap().map(name).collect();
    files.sort();
    let layers = ["fc1", "fc2", "head"];
    let wanted = layers.map(|layer| [format!("{layer}.bias.npy"), format!("{layer}.weight.npz")]).concat();
    assert_eq!(files, [&wanted[..], &["manifest.json".to_string()]].concat());

    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(home.join("bitmask/config.json")).unwrap()).unwrap();
    let sparsity = &config["quantization_config"]["sparsity_config"];
    assert_eq!(
        (&sparsity["format"], &sparsity["targets"]),
        (&"sparse-bitmask".into(), &layers.as_slice().into())
    );
    let bits = safetensors::read(&home.join("bitmask/model.safetensors")).unwrap();
    let two_four = safetensors::read(&home.join("2:4")).unwrap();
    let shapes: [(_, _, &[usize]); 5] = [
        (&bits, "fc2.compressed", &[4096]),
        (&bits, "fc2.bitmask", &[64, 16]),
        (&bits, "fc2.bias", &[64]),
        (&two_four, "fc2.weight.values", &[64, 64]),
        (&two_four, "fc2.weight.meta", &[64, 4]),
    ];
    for (file, name, shape) in shapes {
        assert_eq!(file[name].shape, shape, "{name}");
    }
}

/// What each form says of a run that it is not for.
#[test]
fn what_has_no_such_form_is_told() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = ["train", "digits-dense", "--out", "r", "-q", "--no-autotune", "--device", "twin"];
    let short = ["-s", "run.epochs=1", "-s", "run.baseline=false"];
    assert!(run(home, &[&train[..], &short].concat()).status.success());
    let to = |form: &str, code| fails(home, code, &["export", "r", "--to", form, "out", "--device", "twin"]);
    for (form, what) in [
        ("csr", "no weight of this network is pruned"),
        ("bitmask", "no weight of this network is pruned"),
        ("2:4", "pattern = \"2:4\""),
    ] {
        assert!(to(form, 2).contains(what), "{form}");
        assert!(!home.join("out").exists());
    }
    assert!(run(home, &["export", "r", "--to", "safetensors", "w.safetensors"]).status.success());
    let no_network = fails(home, 2, &["export", "w.safetensors", "--to", "c", "out.c"]);
    assert!(no_network.contains("in no run's folder"), "{no_network}");

    let net = "run = { steps = 1, batch = 8, baseline = false }\ndata = { name = \"digits\" }\noptim = { name = \"sgd\", lr = 0.1 }\n[model]\n\
        layer = [{ type = \"patches\", name = \"cut\", size = 4 }, { type = \"global_average_pool\" }, { type = \"linear\", out = 10 }]";
    fs::write(home.join("net.toml"), net).unwrap();
    let train = ["train", "net.toml", "--out", "patches", "-q", "--no-autotune", "--device", "twin"];
    let trained = run(home, &train);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let layer = fails(home, 2, &["export", "patches", "--to", "c", "out.c"]);
    assert!(layer.contains("layer `cut` (patches) has no form in C"), "{layer}");
}
