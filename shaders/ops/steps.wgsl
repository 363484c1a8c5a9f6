// The steps of sequences: some of them, others beside them, numbers added to each.
//   take:  y[c, t, b] = x[c, t + skip, b] (+= if ADDS).
//   place: y[c, t, b] = x[c, t - skip, b] where there is such a step of x, and fill[c] elsewhere (+= if ADDS).
//   shift: y[c, t, b] = x[c, t, b] + table[c, t].
//   sums:  d_table[r] = the sum of d_y[r stride, b] over the batch, for each of `rows` rows.
// x, y, d_y: (channels, steps, batch). table: (channels, steps). fill: (channels,). d_table: (rows,).
// One invocation a quad of y; in `sums` LANES invocations share a row, and a workgroup has ROWS of them.
//#use common/grid
//#use common/divided
const WG = 256u;
const ROWS = 16u;
const LANES = 16u;

override ADDS = false;

struct Args {
    quads: u32,       // of y
    batch_quads: u32, // of a step
    steps: u32,       // of y
    x_steps: u32,
    skip: u32,
    rows: u32,
    stride: u32,      // from a row of d_y to the next, in rows
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> fill: array<f32>;
@group(0) @binding(4) var<storage, read> table: array<f32>;
@group(0) @binding(5) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> d_table: array<f32>;

// Channel, step and quad of the batch.
fn place_of(i: u32) -> vec3<u32> {
    let row = divided(i, args.batch_quads);
    let channel = divided(row, args.steps);
    return vec3<u32>(channel, row - channel * args.steps, i - row * args.batch_quads);
}

fn write(i: u32, value: vec4<f32>) {
    if ADDS {
        y[i] += value;
    } else {
        y[i] = value;
    }
}

@compute @workgroup_size(WG)
fn take(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let at = place_of(i);
    write(i, x[(at.x * args.x_steps + at.y + args.skip) * args.batch_quads + at.z]);
}

@compute @workgroup_size(WG)
fn place(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let at = place_of(i);
    var value = vec4<f32>(fill[at.x]);
    if at.y >= args.skip && at.y - args.skip < args.x_steps {
        value = x[(at.x * args.x_steps + at.y - args.skip) * args.batch_quads + at.z];
    }
    write(i, value);
}

@compute @workgroup_size(WG)
fn shift(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    y[i] = x[i] + table[divided(i, args.batch_quads)];
}

var<workgroup> branches: array<f32, WG>;

@compute @workgroup_size(WG)
fn sums(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let row = group * ROWS + lane / LANES;
    var own = 0.0;
    if row < args.rows {
        for (var quad = lane % LANES; quad < args.batch_quads; quad += LANES) {
            let d = d_y[row * args.stride * args.batch_quads + quad];
            own += (d.x + d.y) + (d.z + d.w);
        }
    }
    branches[lane] = own;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane % LANES < half { branches[lane] += branches[lane + half]; }
        workgroupBarrier();
    }
    if lane % LANES == 0u && row < args.rows { d_table[row] = branches[lane]; }
}
