// Which steps a sample has, where samples differ in length: a part of kernels that can overlook padding.
// lengths: (batch,), how many steps each sample has: perhaps none.
const RAGGED = true;
@group(0) @binding(15) var<storage, read> lengths: array<vec4<u32>>;

fn is_there(at: u32, quad: u32) -> vec4<bool> { return vec4<u32>(at) < lengths[quad]; }
