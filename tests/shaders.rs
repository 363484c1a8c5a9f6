//! Every shader, without a device: valid for naga and for Tint, translatable to what the drivers of Vulkan,
//! Metal, DX12 and OpenGL take, and within WebGPU's default limits; and the checker against bad shaders.
//!
//! Kernels of products, optimizers, norms, poolings and sequences are put together from bodies and parts by tables, and are tested entry by entry.
//! A file that another one includes is tested through those that include it. All others are kernels by themselves: they
//! have entry points. Each file has a Rust file of the same room that embeds it, or a shader that includes it. That each
//! begins by saying what it is, `tests/tidy.rs` sees to.

#[path = "shaders/compilers.rs"]
mod compilers;
#[path = "common/files.rs"]
mod files;
#[path = "shaders/portable.rs"]
mod portable;
#[path = "shaders/tint.rs"]
mod tint;

use coppice::gpu::{Kernel, Source, expand, reflect};
use coppice::ops::{activation, attention, batch_norm, gru, layer_norm, lstm, pool, variants};
use coppice::optim;
use files::{Text, texts};
use portable::{faults, needs_subgroups};

/// The paths, as `//#use` has them, of the parts that a shader includes.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("//#use ").map(str::trim))
}

/// `ops/relu` for `shaders/ops/relu.wgsl`; `None` for other files.
fn name(path: &str) -> Option<&str> {
    path.strip_prefix("shaders/")?.strip_suffix(".wgsl")
}

/// All kernels that are put together from several files.
fn tables() -> impl Iterator<Item = Kernel> {
    let cells = [lstm::LSTM.kernels(), gru::GRU.kernels()].into_iter().flatten();
    let of_sequences = attention::kernels().into_iter().chain(cells);
    let twofold = batch_norm::kernels().chain(layer_norm::kernels()).chain(pool::kernels());
    variants::kernels()
        .chain(optim::kernels())
        .chain(activation::kernels())
        .chain(of_sequences)
        .chain(twofold)
}

/// Whether a file is put together with others, by one of the tables.
fn is_in_tables(name: &str) -> bool {
    let has = |kernel: &Kernel| kernel.parts.iter().flatten().any(|part| part.path == name);
    tables().any(|kernel| kernel.source.path == name || has(&kernel))
}

/// All shader files, each by its name and its text before inclusion, and whether another one includes it.
fn shaders() -> Vec<(String, String, bool)> {
    let all: Vec<_> =
        texts().into_iter().filter_map(|t| Some((name(&t.path)?.to_string(), t.text))).collect();
    let used: Vec<String> = all.iter().flat_map(|(_, text)| parts(text)).map(str::to_string).collect();
    let is_used = |name: &String| used.contains(name);
    all.into_iter().map(|(name, text)| (name.clone(), text, is_used(&name))).collect()
}

/// The whole text of every kernel, by name. A part that the crate does not know is a fault of its own.
fn kernels() -> Vec<(String, Result<String, String>)> {
    let whole = |(name, text): (String, String)| {
        // The crate's sources live as long as the program; so may a test's few kilobytes.
        let source = Source { path: Box::leak(name.clone().into_boxed_str()), text: text.leak() };
        (name, expand(&source).map_err(|error| error.to_string()))
    };
    let alone = shaders().into_iter().filter(|(name, _, used)| !used && !is_in_tables(name));
    let alone: Vec<_> = alone.map(|(name, text, _)| whole((name, text))).collect();
    let put_together = |kernel: Kernel| (kernel.name(), kernel.text().map_err(|error| error.to_string()));
    let of_tables: Vec<_> = tables().map(put_together).collect();
    assert!(alone.len() > 5 && of_tables.len() > 50, "too few shaders were found: the walk is wrong");
    [alone, of_tables].concat()
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_kernel_is_portable() {
    let mut all = Vec::new();
    for (name, text) in kernels() {
        let found = text.map_or_else(|error| vec![error], |text| faults(&text));
        all.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert_none(all);
}

#[test]
fn every_kernel_is_accepted_by_tint() {
    let Some(tint) = tint::Tint::find() else { return };
    let mut all = Vec::new();
    for (name, text) in kernels() {
        // Where inclusion fails, `every_kernel_is_portable` says so.
        // naga knows subgroups without being asked, and does not know the line by which WGSL asks for them.
        let enabled = |text: String| {
            if needs_subgroups(&text) { "enable subgroups;\n".to_string() + &text } else { text }
        };
        if let Some(Err(fault)) = text.ok().map(|text| tint.accepts(&enabled(text))) {
            all.push(format!("{name}: {fault}"));
        }
    }
    assert_none(all);
}

fn compiles_for(chip: &str) {
    let (_, waves) = compilers::CHIPS.into_iter().find(|(name, _)| *name == chip).unwrap();
    let all = compilers::figures(chip).unwrap_or_default();
    compilers::print(chip, &all);
    let fault = |(name, figures)| Some(format!("{name}: {}", compilers::fault(figures, waves)?));
    assert_none(all.iter().filter_map(fault).collect());
}

#[test]
fn kernels_for_gpus_fit_gcn() {
    compiles_for("vega10");
}

#[test]
fn kernels_for_gpus_fit_rdna_2() {
    compiles_for("navi21");
}

#[test]
fn kernels_for_gpus_fit_rdna_3() {
    compiles_for("gfx1100");
}

#[test]
fn every_variant_has_a_name_and_a_text_of_its_own() {
    let mut seen: Vec<(String, String)> = Vec::new();
    let mut all = Vec::new();
    for kernel in tables() {
        let (name, text) = (kernel.name(), kernel.entry.to_string() + &kernel.text().unwrap_or_default());
        all.extend(reflect(&kernel).err().map(|error| format!("{name}: {error}")));
        let same = seen.iter().find(|(other, words)| *other == name || *words == text);
        all.extend(same.map(|(other, _)| format!("{name} is {other} again")));
        seen.push((name, text));
    }
    assert_none(all);
}

#[test]
fn every_shader_is_included_or_has_an_owner_in_its_room() {
    let texts = texts();
    let mut all = Vec::new();
    for (name, _, used) in shaders() {
        if !used && owner(&name, &texts).is_none() {
            let room = name.split('/').next().unwrap_or_default();
            all.push(format!("shaders/{name}.wgsl: no file in src/{room} embeds it by source!(\"{name}\")"));
        }
    }
    assert_none(all);
}

/// The Rust file of the shader's room that embeds it.
fn owner<'a>(name: &str, texts: &'a [Text]) -> Option<&'a str> {
    let room = format!("src/{}/", name.split('/').next()?);
    let embeds = format!("source!(\"{name}\")");
    let owns = |t: &&Text| t.path.starts_with(&room) && t.ending() == "rs" && t.text.contains(&embeds);
    texts.iter().find(owns).map(|t| t.path.as_str())
}

#[test]
fn an_orphan_has_no_owner() {
    let text = |path: &str, text: &str| Text { path: path.into(), text: text.into() };
    let texts = [
        text("src/ops/a.rs", "source!(\"ops/a\")"),
        text("src/nn/b.rs", "source!(\"ops/b\")"),
        text("src/ops/c.rs", "// \"ops/c\""),
        text("src/ops/d.rs", "source!(\"ops/dd\")"),
    ];
    assert_eq!(owner("ops/a", &texts), Some("src/ops/a.rs"));
    assert_eq!(owner("ops/b", &texts), None, "another room's file owns nothing here");
    assert_eq!(owner("ops/c", &texts), None, "to be mentioned is not to be embedded");
    assert_eq!(owner("ops/d", &texts), None);
    assert_eq!(owner("ops/dd", &texts), Some("src/ops/d.rs"));
}

#[test]
fn the_checker_passes_a_good_shader() {
    let good = "override TILE = 8u;\n\
        var<workgroup> sums: array<f32, TILE * TILE>;\n\
        @group(0) @binding(0) var<storage, read_write> x: array<f32>;\n\
        @compute @workgroup_size(TILE, TILE)\n\
        fn main(@builtin(local_invocation_index) lane: u32) {\n\
            sums[lane] = x[lane];\n    workgroupBarrier();\n    x[lane] = sums[lane ^ 1u];\n}\n";
    assert_none(faults(good));
}

#[test]
fn the_checker_fails_on_bad_shaders() {
    let buffer = |b: u32| format!("@group(0) @binding({b}) var<storage, read_write> x{b}: array<f32>;\n");
    let nine: String = (0..9).map(buffer).collect();
    let use_nine: String = (0..9).map(|b| format!("x{b}[0] = 1.0; ")).collect();
    let main = |body: &str| format!("@compute @workgroup_size(64) fn main() {{ {body} }}");
    let one = |body: &str| buffer(0) + &main(body);
    let bad = [
        ("9 storage buffers", nine + &main(&use_nine)),
        ("512 invocations", "@compute @workgroup_size(32, 16) fn main() {}".into()),
        ("1 x 1 x 128", "@compute @workgroup_size(1, 1, 128) fn main() {}".into()),
        ("20480 bytes", format!("var<workgroup> s: array<f32, 5120>;\n{}", one("x0[0] = s[0];"))),
        (
            "SHADER_FLOAT32_ATOMIC",
            format!("var<workgroup> a: atomic<f32>;\n{}", one("atomicStore(&a, 1.0);")),
        ),
        ("`f16`", format!("enable f16;\nvar<private> small: f16;\n{}", one("small = 1h;"))),
        ("SHADER_FLOAT16_IN_FLOAT32", one("x0[0] = unpack2x16float(pack2x16float(vec2f(1.0))).x;")),
        ("SUBGROUP", one("x0[0] = subgroupAdd(x0[1]);")),
        ("SUBGROUP", "@compute @workgroup_size(8) fn main(@builtin(subgroup_size) size: u32) {}".into()),
        ("SHADER_INT64", format!("var<private> big: u64;\n{}", one("big = 3lu;"))),
        (
            "no texture to load from",
            "@group(0) @binding(0) var t: texture_storage_2d<rgba32float, write>;\n".to_string()
                + &main("textureStore(t, vec2u(0), vec4f(1.0));"),
        ),
        ("group 1", one("x0[0] = 1.0;").replace("group(0)", "group(1)")),
        ("Missing value", "override N: u32;\n@compute @workgroup_size(N) fn main() {}".into()),
        ("conflict", buffer(0) + &buffer(0).replace("x0", "y") + &main("x0[0] = y[0];")),
        ("no entry point", "fn f() {}".into()),
        ("refused", one("x0[0] = 1u;")),
    ];
    let mut missed = Vec::new();
    for (expected, text) in bad {
        let found = faults(&text);
        if !found.iter().any(|fault| fault.contains(expected)) {
            missed.push(format!("{text}\nhas {found:?}, without `{expected}`"));
        }
    }
    assert_none(missed);
}

#[test]
fn tint_refuses_a_barrier_in_varying_control_flow() {
    let Some(tint) = tint::Tint::find() else { return };
    let uneven = "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {\n\
        if lane < 3u { workgroupBarrier(); }\n}\n";
    assert_none(faults(uneven)); // naga has no analysis of uniformity
    assert!(tint.accepts(uneven).unwrap_err().contains("uniform"));
}
