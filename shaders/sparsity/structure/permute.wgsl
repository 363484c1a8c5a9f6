// Inputs, outputs and biases in another order: place i gets what was at order[i].
// before, after: (rows, inner), of `columns`; blocks of rows of one matrix, of `rows`. order: by place.
// One invocation per element.
//#use common/grid
const WG = 64u;

struct Args {
    rows: u32,         // of `after`
    inner: u32,
    first: u32,        // row of the matrix that `after` begins with; 0 of `columns`
    before_first: u32, // that `before` begins with
    before_rows: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> before: array<f32>;
@group(0) @binding(4) var<storage, read_write> after: array<f32>;

@compute @workgroup_size(WG)
fn columns(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let row = i / args.inner;
    if !(group < grid.end && row < args.rows) { return; }
    after[i] = before[row * args.inner + min(order[i % args.inner], args.inner - 1u)];
}

// Only the rows that come from this block.
@compute @workgroup_size(WG)
fn rows(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let row = i / args.inner;
    if !(group < grid.end && row < args.rows) { return; }
    let origin = order[args.first + row] - args.before_first; // wraps around for rows of blocks before
    if origin < args.before_rows { after[i] = before[origin * args.inner + i % args.inner]; }
}

// What `after` has goes to `before`, of the same shape, and leaves zeros behind.
@compute @workgroup_size(WG)
fn take_back(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i / args.inner < args.rows) { return; }
    before[i] = after[i];
    after[i] = 0.0;
}
