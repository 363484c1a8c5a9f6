// Which steps a sample has, where all samples have every one: a part of kernels that can overlook padding.
const RAGGED = false;

fn is_there(at: u32, quad: u32) -> vec4<bool> { return vec4<bool>(true); }
