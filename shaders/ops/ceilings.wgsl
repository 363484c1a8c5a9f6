// What a device can do at most: arithmetic without loads, loads by quads and by texels, and a plain copy.
// x, y: (len,) as quads. Each invocation works on `rounds` quads, WG * groups apart.
//#use common/grid
//#use ops/texels
const WG = 64u;

struct Args { quads: u32, rounds: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var x_texels: texture_storage_2d<rgba32float, read>;

// 192 multiplications and additions a round, on twelve sums that do not wait for one another.
@compute @workgroup_size(WG)
fn arithmetic(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let i = group_index(id, groups) * WG + lane;
    if !(i < args.quads) { return; }
    var a = vec4<f32>(f32(i));
    var b = a + 1.0;
    var c = a + 2.0;
    for (var r = 0u; r < args.rounds; r++) {
        a = a * 0.5 + 1.0; b = b * 0.5 + 1.0; c = c * 0.5 + 1.0;
        a = a * 0.5 + 2.0; b = b * 0.5 + 2.0; c = c * 0.5 + 2.0;
        a = a * 0.5 + 3.0; b = b * 0.5 + 3.0; c = c * 0.5 + 3.0;
        a = a * 0.5 + 4.0; b = b * 0.5 + 4.0; c = c * 0.5 + 4.0;
        a = a * 0.5 + 5.0; b = b * 0.5 + 5.0; c = c * 0.5 + 5.0;
        a = a * 0.5 + 6.0; b = b * 0.5 + 6.0; c = c * 0.5 + 6.0;
        a = a * 0.5 + 7.0; b = b * 0.5 + 7.0; c = c * 0.5 + 7.0;
        a = a * 0.5 + 8.0; b = b * 0.5 + 8.0; c = c * 0.5 + 8.0;
    }
    y[i] = a + b + c;
}

@compute @workgroup_size(WG)
fn quads(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let i = group_index(id, groups) * WG + lane;
    if !(i < args.quads) { return; }
    var sum = vec4<f32>(0.0);
    for (var r = 0u; r < args.rounds; r++) { sum += x[(i + r * WG) % args.quads]; }
    y[i] = sum;
}

@compute @workgroup_size(WG)
fn texels(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let i = group_index(id, groups) * WG + lane;
    if !(i < args.quads) { return; }
    var sum = vec4<f32>(0.0);
    for (var r = 0u; r < args.rounds; r++) { sum += textureLoad(x_texels, texel((i + r * WG) % args.quads)); }
    y[i] = sum;
}
