// d_x = weight^T d_y, added to what is there if args.accumulate, then 0 where x is not positive if args.relu.
// weight: (rows, inner). d_y: (rows, cols). x, d_x: (inner, cols). Blocked in registers: for software adapters.
// A load of x is PER quads of columns.
// An invocation makes INPUTS quads of inputs by QUADS quads of columns, pair by pair of them; a workgroup is DOWN by ACROSS
// of those.
// Workgroups: ceil(inner / (4 DOWN INPUTS)) * ceil(cols / (4 ACROSS QUADS)).
// Left open: INPUTS, QUADS; parts weight_*, x_*, d_y_*, d_x_*.
//#use common/grid
//#use ops/product/args
const DOWN = 1u;
const ACROSS = 8u;

// The quad number q of an invocation, counted from its first.
fn nth(q: u32) -> u32 {
    return q / 2u * (2u * ACROSS) + q % 2u;
}

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let quads = args.cols / 4u;
    let tiles = (quads + ACROSS * QUADS - 1u) / (ACROSS * QUADS);
    let input_0 = (group / tiles * DOWN + lane / ACROSS) * INPUTS; // in quads of inputs
    let quad_0 = group % tiles * (ACROSS * QUADS) + 2u * (lane % ACROSS);

    // As in forward_block: constant loops, clamped reads. Four rows a round, so that `sum` is touched once for
    // four products; the rows past the end are the last one again, weighted with zero.
    var sum: array<array<array<vec4<f32>, QUADS>, 4>, INPUTS>; // [input / 4][input % 4][quad]
    for (var row = 0u; row < args.rows; row += 4u) {
        var dy: array<array<vec4<f32>, QUADS>, 4>;
        for (var j = 0u; j < 4u; j++) {
            let first = min(row + j, args.rows - 1u) * quads;
            for (var q = 0u; q < QUADS; q++) { dy[j][q] = d_y_quad(first + min(quad_0 + nth(q), quads - 1u)); }
        }
        for (var i = 0u; i < INPUTS; i++) {
            var w: array<vec4<f32>, 4>;
            for (var j = 0u; j < 4u; j++) {
                w[j] = select(vec4<f32>(0.0), weight_quad(row + j, input_0 + i), row + j < args.rows);
            }
            for (var m = 0u; m < 4u; m++) {
                for (var q = 0u; q < QUADS; q++) {
                    sum[i][m][q] = sum[i][m][q] + w[0][m] * dy[0][q] + w[1][m] * dy[1][q]
                        + w[2][m] * dy[2][q] + w[3][m] * dy[3][q];
                }
            }
        }
    }

    for (var i = 0u; i < INPUTS; i++) {
        for (var m = 0u; m < 4u; m++) {
            let input = (input_0 + i) * 4u + m;
            for (var q = 0u; q < QUADS; q += 2u) {
                let quad = quad_0 + nth(q);
                if input < args.inner && quad < quads {
                    let at = input * quads + quad;
                    var value = array<vec4<f32>, 2>(sum[i][m][q], sum[i][m][q + 1u]);
                    let both = quad + 1u < quads;
                    for (var l = 0u; l < 2u; l += PER) {
                        let own = at + select(0u, l, both);
                        if args.accumulate != 0u {
                            for (var p = 0u; p < PER; p++) { value[l + p] += before(own + p); }
                        }
                        if args.relu != 0u {
                            let load = x_load(own / PER);
                            for (var p = 0u; p < PER; p++) {
                                value[l + p] = select(vec4<f32>(0.0), value[l + p], load[p] > vec4<f32>(0.0));
                            }
                        }
                    }
                    put(at, value, both);
                }
            }
        }
    }
}
