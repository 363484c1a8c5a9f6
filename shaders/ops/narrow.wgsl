// bf16 pairs of a tensor (rows, cols), rounded to nearest even: half the bytes, all of the range.
// Eight columns are four words: word c has column 8 o + c in its low half and column 8 o + 4 + c in its high half, so
// that the low halves are one quad of columns and the high halves the next.
// x: (rows, cols), cols a multiple of 8. out: (rows, cols / 2). One invocation per eight columns.
//#use common/grid
const WG = 64u;

struct Args { octets: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;

fn rounded(value: vec4<f32>) -> vec4<u32> {
    let bits = bitcast<vec4<u32>>(value);
    let nearest = (bits + vec4<u32>(0x7fffu) + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u))) >> vec4<u32>(16u);
    // A number that is none stays none, whatever its low bits were.
    let none = (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    return select(nearest, (bits >> vec4<u32>(16u)) | vec4<u32>(0x40u), none);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.octets) { return; }
    out[i] = rounded(x[2u * i]) | (rounded(x[2u * i + 1u]) << vec4<u32>(16u));
}
