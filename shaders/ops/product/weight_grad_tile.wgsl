// d_weight = d_y x^T; d_bias = sum of d_y over the columns. In tiles through workgroup memory: for GPUs.
// d_y: (rows, cols). x: (channels, its columns). d_weight: (rows, inner), inner = taps * channels. d_bias: (rows,).
// Workgroups: ceil(rows / LINES) * ceil(inner / COLUMNS) * slices.
// Left open: LINES, COLUMNS, SUMS, QUADS, DEPTH; parts sites_*, d_weight_*, tile_whole or tile_slices.
//#use common/grid
//#use ops/product/args
//#use ops/product/tile
const LEFT_ALONG = true;  // d_y: four columns of a row
const RIGHT_ALONG = true; // x: four columns of an input
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;

// Behind the inputs of a row comes one quad more, whose first number is the bias's gradient.
fn inputs() -> u32 { return (args.inner + 3u) / 4u; }
fn lines() -> u32 { return args.rows; }
fn quads() -> u32 { return inputs() + 1u; }

fn finish(row: u32, quad: u32, sum: vec4<f32>) {
    if quad < inputs() {
        write_d_weight(row, quad, sum);
    } else {
        d_bias[row] = sum.x;
    }
}

// The inputs of which an invocation brings columns.
fn seats_of(w: Work, lane: u32) -> array<Seat, 4> {
    var seats: array<Seat, 4>;
    for (var j = 0u; j < 4u; j++) {
        let line = right_part(max(lane, LEFT) - LEFT, j).line;
        seats[j] = x_seat(min(w.column + line, args.inner - 1u));
    }
    return seats;
}

fn load(w: Work, seats: array<Seat, 4>, k: u32, lane: u32) -> Load {
    let run = args.cols / 4u;
    var all: Load;
    for (var j = 0u; j < 4u; j++) {
        if lane < LEFT {
            let at = left_part(lane, j);
            let column = k + at.depth;
            let dy = d_y[min(w.line + at.line, args.rows - 1u) * run + min(column / 4u, run - 1u)];
            all[j] = select(vec4<f32>(0.0), dy, column < w.end);
        } else if lane < LEFT + RIGHT {
            let at = right_part(lane - LEFT, j);
            let quad = min((k + at.depth) / 4u, run - 1u);
            let site = quad / site_quads();
            let source = x_at(seats[j], site);
            all[j] = held(x[source.at + quad - site * site_quads()], source.open);
        }
    }
    return all;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let w = work(group, args.rows, args.inner, args.cols);
    let sums_bias = w.column == 0u && lane < LINES / 4u;
    var sum: Sums;
    var total: vec4<f32>; // of the biases of four rows
    let seats = seats_of(w, lane);
    var next = load(w, seats, w.first, lane);
    for (var k = w.first; k < w.end; k += DEPTH) {
        put(lane, next);
        workgroupBarrier();
        next = load(w, seats, k + DEPTH, lane);
        add_tile(lane, &sum);
        if sums_bias {
            for (var d = 0u; d < DEPTH; d++) { total += left[d * LEFT_PITCH + lane]; }
        }
        workgroupBarrier();
    }
    for (var s = 0u; s < SUMS; s++) {
        let row = w.line + lane / ACROSS * SUMS + s;
        for (var q = 0u; q < QUADS; q++) {
            let quad = w.column / 4u + lane % ACROSS + q * ACROSS;
            if group < grid.end && row < args.rows && quad < inputs() { leave(row, quad, sum[s][q], w.slice); }
        }
    }
    if group < grid.end && sums_bias {
        for (var r = 0u; r < 4u; r++) {
            let row = w.line + 4u * lane + r;
            if row < args.rows { leave(row, inputs(), vec4<f32>(total[r], 0.0, 0.0, 0.0), w.slice); }
        }
    }
}
