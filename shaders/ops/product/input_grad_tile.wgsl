// d_x = weight^T d_y, added to what is there if args.onto says so, then 0 where x is not positive if args.relu.
// weight: (rows, taps, channels). d_y: (rows, cols). x, d_x: (channels, their columns). In tiles through workgroup memory:
// for GPUs. The depth is (tap, row).
// Workgroups: ceil(channels / LINES) * ceil(columns of x / COLUMNS) * slices.
// Left open: LINES, COLUMNS, SUMS, QUADS, DEPTH; parts sites_*, steps_*, weight_*, tile_whole or tile_slices.
//#use common/grid
//#use ops/product/args
//#use ops/product/tile
const LEFT_ALONG = false;  // the weight: four channels of a row and tap
const RIGHT_ALONG = false; // d_y: four columns of a row
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;

fn lines() -> u32 { return channels(); }
fn quads() -> u32 { return x_cols() / 4u; }

fn finish(input: u32, quad: u32, sum: vec4<f32>) {
    let at = input * quads() + quad;
    var value = sum;
    if args.onto != REPLACES { value += d_x[at]; }
    if args.relu != 0u { value = select(vec4<f32>(0.0), value, x[at] > vec4<f32>(0.0)); }
    d_x[at] = value;
}

// The place of the columns that an invocation brings.
fn place_of(w: Work, lane: u32) -> Place {
    let line = right_part(max(lane, LEFT) - LEFT, 0u).line;
    return x_place(min((w.column + line) / 4u, quads() - 1u));
}

fn load(w: Work, place: Place, k: u32, lane: u32) -> Load {
    let last = taps() * args.rows - 1u;
    // As in forward_tile.
    let first = depth_of(min(k, last + 1u - min(last + 1u, DEPTH)), args.rows);
    let source = y_from(place, first.tap);
    var all: Load;
    for (var j = 0u; j < 4u; j++) {
        if lane < LEFT {
            let at = left_part(lane, j);
            let depth = k + at.depth;
            let own = w_input(first, k, at.depth);
            let number = own.tap * channels() + w.line + at.line;
            let end = (own.tap + 1u) * channels();
            all[j] = select(vec4<f32>(0.0), weight_quad(own.within, number, end), depth < w.end);
        } else if lane < LEFT + RIGHT {
            let at = right_part(lane - LEFT, j);
            let own = y_input(place, first, source, k, at.depth);
            all[j] = held(d_y[own.within * (args.cols / 4u) + own.source.at], own.source.open);
        }
    }
    return all;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let w = work(group, lines(), x_cols(), taps() * args.rows);
    let place = place_of(w, lane);
    var sum: Sums;
    var next = load(w, place, w.first, lane);
    for (var k = w.first; k < w.end; k += DEPTH) {
        put(lane, next);
        workgroupBarrier();
        next = load(w, place, k + DEPTH, lane);
        add_tile(lane, &sum);
        workgroupBarrier();
    }
    for (var s = 0u; s < SUMS; s++) {
        let input = w.line + lane / ACROSS * SUMS + s;
        for (var q = 0u; q < QUADS; q++) {
            let quad = w.column / 4u + lane % ACROSS + q * ACROSS;
            if group < grid.end && input < lines() && quad < quads() { leave(input, quad, sum[s][q], w.slice); }
        }
    }
}
