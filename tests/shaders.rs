//! Every shader, without a device: valid for naga and for Tint, translatable to what the drivers of Vulkan,
//! Metal, DX12 and OpenGL take, and within WebGPU's default limits; and the checker against bad shaders.
//!
//! A file that another one includes is a part, and is tested through those that include it. All others
//! are kernels: they have entry points, and a Rust file of the same room that owns them. That each file
//! begins by saying what it is, `tests/tidy.rs` sees to.

#[path = "common/files.rs"]
mod files;
#[path = "shaders/portable.rs"]
mod portable;
#[path = "shaders/tint.rs"]
mod tint;

use coppice::gpu::{Source, expand};
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

/// All kernels, each by its name and its text before inclusion.
fn kernels() -> Vec<(String, String)> {
    let all: Vec<_> =
        texts().into_iter().filter_map(|t| Some((name(&t.path)?.to_string(), t.text))).collect();
    let used: Vec<String> = all.iter().flat_map(|(_, text)| parts(text)).map(str::to_string).collect();
    let (parts, kernels): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| used.contains(name));
    assert!(parts.len() > 2 && kernels.len() > 5, "too few shaders were found: the walk is wrong");
    kernels
}

/// The kernels after inclusion, by name. A part that the crate does not know is a fault of its own.
fn expanded() -> Vec<(String, Result<String, String>)> {
    let whole = |(name, text): (String, String)| {
        // The crate's sources live as long as the program; so may a test's few kilobytes.
        let source = Source { path: Box::leak(name.clone().into_boxed_str()), text: text.leak() };
        (name, expand(&source).map_err(|error| error.to_string()))
    };
    kernels().into_iter().map(whole).collect()
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_kernel_is_portable() {
    let mut all = Vec::new();
    for (name, text) in expanded() {
        let found = text.map_or_else(|error| vec![error], |text| faults(&text));
        all.extend(found.into_iter().map(|fault| format!("shaders/{name}.wgsl: {fault}")));
    }
    assert_none(all);
}

#[test]
fn every_kernel_is_accepted_by_tint() {
    let Some(tint) = tint::Tint::find() else { return };
    let mut all = Vec::new();
    for (name, text) in expanded() {
        // Where inclusion fails, `every_kernel_is_portable` says so.
        // naga knows subgroups without being asked, and does not know the line by which WGSL asks for them.
        let enabled = |text: String| {
            if needs_subgroups(&text) { "enable subgroups;\n".to_string() + &text } else { text }
        };
        if let Some(Err(fault)) = text.ok().map(|text| tint.accepts(&enabled(text))) {
            all.push(format!("shaders/{name}.wgsl: {fault}"));
        }
    }
    assert_none(all);
}

#[test]
fn every_kernel_has_an_owner_in_its_room() {
    let texts = texts();
    let mut all = Vec::new();
    for (name, _) in kernels() {
        if owner(&name, &texts).is_none() {
            let room = name.split('/').next().unwrap_or_default();
            all.push(format!("shaders/{name}.wgsl: no file in src/{room} embeds it by source!(\"{name}\")"));
        }
    }
    assert_none(all);
}

/// The Rust file of the shader's room that embeds it, by `source!` or by a macro of its own around that.
fn owner<'a>(name: &str, texts: &'a [Text]) -> Option<&'a str> {
    let room = format!("src/{}/", name.split('/').next()?);
    let names = format!("\"{name}\"");
    let owns = |t: &&Text| {
        t.path.starts_with(&room)
            && t.ending() == "rs"
            && t.text.contains("source!(")
            && t.text.contains(&names)
    };
    texts.iter().find(owns).map(|t| t.path.as_str())
}

#[test]
fn an_orphan_has_no_owner() {
    let text = |path: &str, text: &str| Text { path: path.into(), text: text.into() };
    let texts = [
        text("src/ops/a.rs", "source!(\"ops/a\")"),
        text("src/nn/b.rs", "source!(\"ops/b\")"),
        text("src/ops/c.rs", "// \"ops/c\""),
        text("src/ops/d.rs", "source!($file) block!(\"ops/d\")"),
    ];
    assert_eq!(owner("ops/a", &texts), Some("src/ops/a.rs"));
    assert_eq!(owner("ops/b", &texts), None, "another room's file owns nothing here");
    assert_eq!(owner("ops/c", &texts), None, "to be mentioned is not to be embedded");
    assert_eq!(owner("ops/d", &texts), Some("src/ops/d.rs"));
    assert_eq!(owner("ops/dd", &texts), None);
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
