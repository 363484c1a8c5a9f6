//! WGSL sources and their inclusion: `//#use common/grid` stands for that file, once.

use crate::error::{Error, Result};

/// A shader file: its path below `shaders/`, without the ending, and its text before inclusion.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub path: &'static str,
    pub text: &'static str,
}

/// `source!("optim/sgd")` embeds `shaders/optim/sgd.wgsl`.
#[macro_export]
macro_rules! source {
    ($path:literal) => {
        $crate::gpu::Source {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
        }
    };
}

/// What shaders may include by `//#use`. Everything else belongs to the Rust file of the same room that names it.
const PARTS: &[Source] = &[
    source!("common/divided"),
    source!("common/grid"),
    source!("common/philox"),
    source!("common/quad_tree"),
    source!("common/softmax"),
    source!("common/step"),
    source!("common/tree"),
    source!("ops/attention/args"),
    source!("ops/attention/blocks"),
    source!("ops/batch_part"),
    source!("ops/bf16"),
    source!("ops/cell"),
    source!("ops/exp_less_one"),
    source!("ops/hyperbolic"),
    source!("ops/logistic"),
    source!("ops/partner"),
    source!("ops/product/args"),
    source!("ops/product/packed/args"),
    source!("ops/product/packed/bands"),
    source!("ops/product/packed/lanes"),
    source!("ops/product/strip"),
    source!("ops/product/strip_taps"),
    source!("ops/product/tile"),
    source!("ops/rectify"),
    source!("ops/texels"),
    source!("optim/diffgrad_part"),
    source!("optim/update"),
    source!("optim/weights"),
    source!("sparsity/structure/exchange_args"),
    source!("sparsity/structure/exchange_gains_part"),
    source!("sparsity/update/sigmoid"),
    source!("sparsity/select/sum_before"),
    source!("sparsity/select/topk_part"),
];

/// The whole text of a shader: each `//#use path` line replaced by that file, at its first mention.
pub fn expand(source: &Source) -> Result<String> {
    assemble([], [*source])
}

/// Constants, and files behind one another, each with what it includes: a file at its first mention.
pub(super) fn assemble(
    consts: impl IntoIterator<Item = (&'static str, u32)>,
    sources: impl IntoIterator<Item = Source>,
) -> Result<String> {
    let mut text: String =
        consts.into_iter().map(|(name, value)| format!("const {name} = {value}u;\n")).collect();
    let mut seen = Vec::new();
    for source in sources {
        include(&source, &mut seen, &mut text)?;
    }
    Ok(text)
}

fn include(source: &Source, seen: &mut Vec<&'static str>, text: &mut String) -> Result<()> {
    seen.push(source.path);
    for (number, line) in source.text.lines().enumerate() {
        match line.trim().strip_prefix("//#use ") {
            Some(path) if seen.contains(&path.trim()) => {}
            Some(path) => {
                let part = PARTS.iter().find(|part| part.path == path.trim()).ok_or_else(|| {
                    Error::internal(format!("shader {} includes `{path}`, which is not a part", source.path))
                        .at(format!("shaders/{}.wgsl:{}", source.path, number + 1))
                })?;
                include(part, seen, text)?;
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_included_once() {
        let twice = Source { path: "t", text: "//#use common/grid\n//#use common/grid\nconst A = 1;\n" };
        let text = expand(&twice).unwrap();
        assert_eq!(text.matches("struct Grid").count(), 1);
        assert!(text.ends_with("const A = 1;\n"));
    }

    #[test]
    fn constants_come_first_and_parts_last() {
        let [body, part] = ["//#use common/grid\nbody\n", "//#use common/grid\npart\n"]
            .map(|text| Source { path: "t", text });
        let text = assemble([("ROWS", 16), ("QUADS", 4)], [body, part]).unwrap();
        assert!(text.starts_with("const ROWS = 16u;\nconst QUADS = 4u;\n"), "{text}");
        assert!(text.ends_with("body\npart\n"), "{text}");
        assert_eq!(text.matches("struct Grid").count(), 1);
    }

    #[test]
    fn an_unknown_part_is_named_with_its_line() {
        let bad = Source { path: "t", text: "\n//#use common/gird\n" };
        let error = expand(&bad).unwrap_err().to_string();
        assert!(error.contains("common/gird") && error.contains("shaders/t.wgsl:2"), "{error}");
    }
}
