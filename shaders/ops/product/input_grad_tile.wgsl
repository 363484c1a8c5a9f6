// d_x = weight^T d_y, added to what is there if args.accumulate, then 0 where x is not positive if args.relu.
// weight: (rows, inner). d_y: (rows, cols). x, d_x: (inner, cols). In tiles through workgroup memory: for GPUs.
// Workgroups: ceil(inner / LINES) * ceil(cols / COLUMNS) * slices.
// Left open: LINES, COLUMNS, SUMS, QUADS, DEPTH; parts weight_*, tile_whole or tile_slices.
//#use common/grid
//#use ops/product/args
//#use ops/product/tile
const LEFT_ALONG = false;  // the weight: four inputs of a row
const RIGHT_ALONG = false; // d_y: four columns of a row
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;

fn lines() -> u32 { return args.inner; }
fn quads() -> u32 { return args.cols / 4u; }

fn finish(input: u32, quad: u32, sum: vec4<f32>) {
    let at = input * quads() + quad;
    var value = sum;
    if args.accumulate != 0u { value += d_x[at]; }
    if args.relu != 0u { value = select(vec4<f32>(0.0), value, x[at] > vec4<f32>(0.0)); }
    d_x[at] = value;
}

fn load(w: Work, k: u32, lane: u32) -> Load {
    var all: Load;
    for (var j = 0u; j < 4u; j++) {
        if lane < LEFT {
            let at = left_part(lane, j);
            let row = k + at.depth;
            all[j] = select(vec4<f32>(0.0), weight_quad(row, (w.line + at.line) / 4u), row < w.end);
        } else if lane < LEFT + RIGHT {
            let at = right_part(lane - LEFT, j);
            let quad = min((w.column + at.line) / 4u, quads() - 1u);
            all[j] = d_y[min(k + at.depth, args.rows - 1u) * quads() + quad];
        }
    }
    return all;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let w = work(group, args.inner, args.cols, args.rows);
    var sum: Sums;
    var next = load(w, w.first, lane);
    for (var k = w.first; k < w.end; k += DEPTH) {
        put(lane, next);
        workgroupBarrier();
        next = load(w, k + DEPTH, lane);
        add_tile(lane, &sum);
        workgroupBarrier();
    }
    for (var s = 0u; s < SUMS; s++) {
        let input = w.line + lane / ACROSS * SUMS + s;
        for (var q = 0u; q < QUADS; q++) {
            let quad = w.column / 4u + lane % ACROSS + q * ACROSS;
            if group < grid.end && input < args.inner && quad < quads() { leave(input, quad, sum[s][q], w.slice); }
        }
    }
}
