// Patches of an image as the steps of a sequence: y[(c, h, w), (i, j), b] = x[c, i P + h, j P + w, b] with patches of P x P sites.
//   forward:  y from x.
//   backward: d_x from d_y, the other way (+= if ADDS).
// x, d_x: (channels, height, width, batch). y, d_y: (channels P P, height / P * width / P, batch).
// One invocation a quad of x.
//#use common/grid
//#use common/divided
const WG = 256u;

override ADDS = false;

struct Args {
    quads: u32,       // of x
    batch_quads: u32, // of a site
    height: u32,
    width: u32,
    size: u32,        // P
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_x: array<vec4<f32>>;

// Where a quad of x lies in y.
fn in_y(i: u32) -> u32 {
    let site = divided(i, args.batch_quads);
    let line = divided(site, args.width);
    let channel = divided(line, args.height);
    let row = line - channel * args.height;
    let column = site - line * args.width;
    let down = divided(row, args.size);
    let right = divided(column, args.size);
    let across = args.width / args.size;
    let tap = (channel * args.size + row - down * args.size) * args.size + column - right * args.size;
    let step = down * across + right;
    return (tap * (args.height / args.size * across) + step) * args.batch_quads + i - site * args.batch_quads;
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    y[in_y(i)] = x[i];
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let value = d_y[in_y(i)];
    if ADDS {
        d_x[i] += value;
    } else {
        d_x[i] = value;
    }
}
