// What a device can do at most: arithmetic without loads, loads by quads and by texels, and a plain copy.
// x, y: (len,) as quads. Each invocation works on `rounds` quads, WG * groups apart.
//#use common/grid
//#use ops/texels
const WG = 64u;

struct Args { quads: u32, rounds: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var x_texels: texture_2d<f32>;

// 64 multiplications and additions a round, on eight independent sums.
@compute @workgroup_size(WG)
fn arithmetic(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let i = group_index(id, groups) * WG + lane;
    if !(i < args.quads) { return; }
    var a = vec4<f32>(f32(i));
    var b = a + 1.0;
    var c = a + 2.0;
    var d = a + 3.0;
    for (var r = 0u; r < args.rounds; r++) {
        a = a * 0.5 + b;
        b = b * 0.5 + c;
        c = c * 0.5 + d;
        d = d * 0.5 + a;
        a = a * 0.25 + b;
        b = b * 0.25 + c;
        c = c * 0.25 + d;
        d = d * 0.25 + a;
    }
    y[i] = a + b + c + d;
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
    for (var r = 0u; r < args.rounds; r++) { sum += textureLoad(x_texels, texel((i + r * WG) % args.quads), 0); }
    y[i] = sum;
}
