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

/// What shaders may include. Everything else belongs to the Rust file of the same path.
const PARTS: &[Source] = &[
    source!("common/grid"),
    source!("common/philox"),
    source!("common/step"),
    source!("common/tree"),
    source!("ops/bf16"),
    source!("ops/linear_args"),
    source!("ops/linear_d_weight_quads"),
    source!("ops/linear_d_weight_scalars"),
    source!("ops/linear_d_x_narrow"),
    source!("ops/linear_d_x_wide"),
    source!("ops/linear_d_y_quads"),
    source!("ops/linear_d_y_texels"),
    source!("ops/linear_forward_block"),
    source!("ops/linear_forward_tile_part"),
    source!("ops/linear_input_grad_block"),
    source!("ops/linear_input_grad_tile_part"),
    source!("ops/linear_tile"),
    source!("ops/linear_weight_grad_block"),
    source!("ops/linear_weight_grad_tile_part"),
    source!("ops/linear_weight_quads"),
    source!("ops/linear_weight_scalars"),
    source!("ops/linear_weight_texels"),
    source!("ops/linear_x_quads"),
    source!("ops/linear_x_texels"),
    source!("ops/packed/args"),
    source!("ops/packed/columns_groups"),
    source!("ops/packed/columns_list"),
    source!("ops/packed/d_y_narrow"),
    source!("ops/packed/d_y_wide"),
    source!("ops/packed/forward_lanes_part"),
    source!("ops/packed/forward_part"),
    source!("ops/packed/forward_split_part"),
    source!("ops/packed/input_grad_lanes_part"),
    source!("ops/packed/input_grad_part"),
    source!("ops/packed/input_grad_split_part"),
    source!("ops/packed/lanes"),
    source!("ops/packed/lanes_entries"),
    source!("ops/packed/out_narrow"),
    source!("ops/packed/out_wide"),
    source!("ops/packed/placed"),
    source!("ops/packed/placed_groups"),
    source!("ops/packed/placed_list"),
    source!("ops/packed/values_scalars"),
    source!("ops/packed/values_texels"),
    source!("ops/packed/weight_grad_lanes_part"),
    source!("ops/packed/weight_grad_part"),
    source!("ops/packed/x_narrow"),
    source!("ops/packed/x_wide"),
    source!("ops/texels"),
    source!("optim/update"),
    source!("sparsity/exchange_args"),
    source!("sparsity/exchange_gains_part"),
    source!("sparsity/sigmoid"),
    source!("sparsity/sum_before"),
    source!("sparsity/topk_part"),
];

/// The whole text of a shader: each `//#use path` line replaced by that file, at its first mention.
pub fn expand(source: &Source) -> Result<String> {
    let mut seen = Vec::new();
    let mut text = String::with_capacity(source.text.len() * 2);
    include(source, &mut seen, &mut text)?;
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
    fn an_unknown_part_is_named_with_its_line() {
        let bad = Source { path: "t", text: "\n//#use common/gird\n" };
        let error = expand(&bad).unwrap_err().to_string();
        assert!(error.contains("common/gird") && error.contains("shaders/t.wgsl:2"), "{error}");
    }
}
