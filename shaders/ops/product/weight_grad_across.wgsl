// d_weight = d_y x^T; d_bias = sum of d_y over the columns. With invocations side by side along the columns, for rows of few
// inputs: blocks of inputs would mostly be empty there. Of a convolution in groups ROWS is 1, since each reads its own.
// d_y: (rows, cols). x: (channels, its columns). d_weight: (rows, inner), inner = taps * channels. d_bias: (rows,).
// The ACROSS invocations of a workgroup make ROWS rows of INPUTS quads of inputs, each from every ACROSSth load of a site, and
// add up what they have in their order.
// Workgroups: ceil(rows / ROWS) * ceil(inner / (4 INPUTS)).
// Left open: ROWS, INPUTS, ACROSS; parts sites_*, d_weight_*, x_*, d_y_*.
//#use common/grid
//#use ops/product/args
const SUMS = ROWS * INPUTS;

@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;

// Of each invocation its sums, and behind them those of the biases.
var<workgroup> shares: array<vec4<f32>, ACROSS * (SUMS + ROWS)>;

fn added(number: u32) -> vec4<f32> {
    var sum = shares[number];
    for (var l = 1u; l < ACROSS; l++) { sum += shares[l * (SUMS + ROWS) + number]; }
    return sum;
}

@compute @workgroup_size(ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let tiles = ((args.inner + 3u) / 4u + INPUTS - 1u) / INPUTS;
    let row_0 = group / tiles * ROWS;
    let input_0 = group % tiles * INPUTS; // in quads of inputs

    // As in forward_block: constant loops, clamped reads. No return before the barrier.
    var seats: array<array<Seat, 4>, INPUTS>;
    for (var i = 0u; i < INPUTS; i++) {
        for (var m = 0u; m < 4u; m++) {
            seats[i][m] = x_seat(min(4u * (input_0 + i) + m, args.inner - 1u));
            seats[i][m].at += first_channel(min(row_0, args.rows - 1u)) * (x_cols() / 4u);
        }
    }
    var sum: array<array<vec4<f32>, INPUTS>, ROWS>; // [row][input / 4], one input a component
    var total: array<vec4<f32>, ROWS>;
    for (var site = 0u; site < sites(); site++) {
        var source: array<array<From, 4>, INPUTS>;
        for (var i = 0u; i < INPUTS; i++) {
            for (var m = 0u; m < 4u; m++) { source[i][m] = x_at(seats[i][m], site); }
        }
        for (var c = PER * lane; c < site_quads(); c += PER * ACROSS) {
            var xs: array<array<array<vec4<f32>, PER>, 4>, INPUTS>;
            for (var i = 0u; i < INPUTS; i++) {
                for (var m = 0u; m < 4u; m++) {
                    xs[i][m] = x_load((source[i][m].at + c) / PER);
                    for (var p = 0u; p < PER; p++) { xs[i][m][p] = held(xs[i][m][p], source[i][m].open); }
                }
            }
            for (var p = 0u; p < PER; p++) {
                for (var r = 0u; r < ROWS; r++) {
                    let first = min(row_0 + r, args.rows - 1u) * (args.cols / 4u) + site * site_quads();
                    let dy = d_y_quad(first + c + p);
                    total[r] += dy;
                    for (var i = 0u; i < INPUTS; i++) {
                        sum[r][i] += vec4<f32>(
                            dot(dy, xs[i][0][p]), dot(dy, xs[i][1][p]), dot(dy, xs[i][2][p]), dot(dy, xs[i][3][p]));
                    }
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        for (var i = 0u; i < INPUTS; i++) { shares[lane * (SUMS + ROWS) + r * INPUTS + i] = sum[r][i]; }
        shares[lane * (SUMS + ROWS) + SUMS + r] = total[r];
    }
    workgroupBarrier();
    for (var number = lane; number < SUMS + ROWS; number += ACROSS) {
        let row = row_0 + select(number - SUMS, number / INPUTS, number < SUMS);
        if group < grid.end && row < args.rows {
            let all = added(number);
            if number < SUMS {
                write_d_weight(row, input_0 + number % INPUTS, all);
            } else if input_0 == 0u {
                d_bias[row] = all.x + all.y + all.z + all.w;
            }
        }
    }
}
