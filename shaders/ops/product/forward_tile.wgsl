// y = bias + weight x, then ReLU if args.relu. In tiles through workgroup memory: for GPUs.
// weight: (rows, taps, channels). bias: (rows,). x: (channels, its columns). y: (rows, cols).
// Workgroups: ceil(rows / LINES) * ceil(cols / COLUMNS) * slices.
// Left open: LINES, COLUMNS, SUMS, QUADS, DEPTH; parts sites_*, steps_*, weight_*, tile_whole or tile_slices.
//#use common/grid
//#use ops/rectify
//#use ops/product/args
//#use ops/product/tile
const LEFT_ALONG = true;   // the weight: four channels of a row and tap
const RIGHT_ALONG = false; // x: four columns of an input
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

fn lines() -> u32 { return args.rows; }
fn quads() -> u32 { return args.cols / 4u; }

fn finish(row: u32, quad: u32, sum: vec4<f32>) {
    let value = sum + bias[row];
    y[row * quads() + quad] = select(value, rectified_quad(value), args.relu != 0u);
}

// The place of the columns that an invocation brings.
fn place_of(w: Work, lane: u32) -> Place {
    let line = right_part(max(lane, LEFT) - LEFT, 0u).line;
    return y_place(min((w.column + line) / 4u, quads() - 1u));
}

fn load(w: Work, place: Place, k: u32, lane: u32) -> Load {
    // Past the last depth the last step is read again; weights are 0 there.
    let first = depth_of(min(k, args.inner - min(args.inner, DEPTH)), channels());
    let source = x_from(place, first.tap);
    var all: Load;
    for (var j = 0u; j < 4u; j++) {
        if lane < LEFT {
            let at = left_part(lane, j);
            let depth = k + at.depth;
            all[j] = select(vec4<f32>(0.0), weight_quad(w.line + at.line, depth, args.inner), depth < w.end);
        } else if lane < LEFT + RIGHT {
            let at = right_part(lane - LEFT, j);
            let own = x_input(place, first, source, k, at.depth);
            all[j] = held(x[own.within * (x_cols() / 4u) + own.source.at], own.source.open);
        }
    }
    return all;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let w = work(group, args.rows, args.cols, args.inner);
    // No return before a barrier: workgroups past the end of the grid compute and write nothing.
    var sum: Sums;
    let place = place_of(w, lane);
    var next = load(w, place, w.first, lane);
    for (var k = w.first; k < w.end; k += DEPTH) {
        put(lane, next);
        workgroupBarrier();
        next = load(w, place, k + DEPTH, lane);
        add_tile(lane, &sum);
        workgroupBarrier();
    }
    for (var s = 0u; s < SUMS; s++) {
        let row = w.line + lane / ACROSS * SUMS + s;
        for (var q = 0u; q < QUADS; q++) {
            let quad = w.column / 4u + lane % ACROSS + q * ACROSS;
            if group < grid.end && row < args.rows && quad < quads() { leave(row, quad, sum[s][q], w.slice); }
        }
    }
}
