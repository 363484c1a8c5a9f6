// d_values[entry] = d_y[row] . x[input] at the kept entries of a packed weight alone; d_bias = sum of d_y over columns;
// entries and columns are shared by lanes.
// d_y: (rows, cols). x: (channels, its columns). d_values: as values. d_bias: (rows,).
// A workgroup makes EACH rows of blocks, one after another. It holds a run of LANES * LOADS loads of d_y, PER quads each
// (one of f32, two of bf16), for all entries of a row, and adds the lanes' parts of a product in order of lane.
// Workgroups: ceil(rows / EACH).
// Left open: HEIGHT, LOADS, EACH; parts sites_*, entries_*, x_*, d_y_*.
//#use common/grid
//#use ops/product/packed/args
//#use ops/product/packed/lanes
@group(0) @binding(8) var<storage, read_write> d_values: array<f32>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;

// For each row of a block, a run of d_y.
alias Run = array<array<array<vec4<f32>, PER>, LOADS>, HEIGHT>;

// The products of a run of d_y with that of one input.
fn products(dys: ptr<function, Run>, first: u32, from_load: array<u32, LOADS>) -> array<f32, HEIGHT> {
    var sum: array<vec4<f32>, HEIGHT>; // zero at first
    for (var l = 0u; l < LOADS; l++) {
        let xs = x_load(first + from_load[l]);
        for (var r = 0u; r < HEIGHT; r++) {
            for (var p = 0u; p < PER; p++) { sum[r] = sum[r] + (*dys)[r][l][p] * xs[p]; }
        }
    }
    var all: array<f32, HEIGHT>;
    for (var r = 0u; r < HEIGHT; r++) { all[r] = lane_sum(sum[r].x + sum[r].y + sum[r].z + sum[r].w); }
    return all;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32, @builtin(subgroup_invocation_id) place: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let loads = args.cols / (4u * PER);
    for (var n = 0u; n < EACH; n++) {
        let row = group * EACH + n;
        if row < args.rows {
            let start = starts[row];
            let end = starts[row + 1u];
            for (var run = 0u; run < loads; run += LANES * LOADS) {
                let load_0 = run + lane;
                var from_load: array<u32, LOADS>; // where they read
                for (var l = 0u; l < LOADS; l++) { from_load[l] = load_at(min(load_0 + l * LANES, loads - 1u)); }
                var dys: Run;
                var total: array<vec4<f32>, HEIGHT>;
                for (var l = 0u; l < LOADS; l++) {
                    let load = load_0 + l * LANES;
                    for (var r = 0u; r < HEIGHT; r++) {
                        let read = d_y_load((row * HEIGHT + r) * loads + min(load, loads - 1u));
                        for (var p = 0u; p < PER; p++) {
                            // Past the last column the last ones are read again, and count nothing.
                            dys[r][l][p] = select(vec4<f32>(0.0), read[p], load < loads);
                            total[r] = total[r] + dys[r][l][p];
                        }
                    }
                }
                for (var first = start; first < end; first += SHARED) {
                    let own = first + place % SHARED;
                    let at = column(min(own, end - 1u), row) * unit();
                    let all_0 = products(&dys, subgroupBroadcast(at, 0u), from_load);
                    let all_1 = products(&dys, subgroupBroadcast(at, 1u), from_load);
                    let all_2 = products(&dys, subgroupBroadcast(at, 2u), from_load);
                    let all_3 = products(&dys, subgroupBroadcast(at, 3u), from_load);
                    if place < SHARED && own < end {
                        for (var r = 0u; r < HEIGHT; r++) {
                            let low = select(all_0[r], all_1[r], place == 1u);
                            let sum = select(low, select(all_2[r], all_3[r], place == 3u), place > 1u);
                            let to = own * HEIGHT + r;
                            if run == 0u { d_values[to] = sum; } else { d_values[to] = d_values[to] + sum; }
                        }
                    }
                }
                for (var r = 0u; r < HEIGHT; r++) {
                    let sum = lane_sum(total[r].x + total[r].y + total[r].z + total[r].w);
                    let at = row * HEIGHT + r;
                    if lane == 0u {
                        if run == 0u { d_bias[at] = sum; } else { d_bias[at] = d_bias[at] + sum; }
                    }
                }
            }
        }
    }
}
