// d_x = weight^T d_y, added to what is there if args.onto says so, then 0 where x is not positive if args.relu.
// weight: (rows, taps, channels). d_y: (rows, cols). x, d_x: (channels, their columns). Blocked in registers: for software
// adapters.
// A load of x is PER quads of columns.
// An invocation makes INPUTS quads of channels by QUADS quads of columns, pair by pair of them; a workgroup is DOWN by ACROSS
// of those.
// Workgroups: ceil(channels / (4 DOWN INPUTS)) * ceil(columns of x / (4 ACROSS QUADS)).
// Left open: INPUTS, QUADS; parts sites_*, weight_*, x_*, d_y_*, d_x_*.
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
    let y_quads = args.cols / 4u;
    let quads = x_cols() / 4u;
    let tiles = (quads + ACROSS * QUADS - 1u) / (ACROSS * QUADS);
    let input_0 = (group / tiles * DOWN + lane / ACROSS) * INPUTS; // in quads of inputs
    let quad_0 = group % tiles * (ACROSS * QUADS) + 2u * (lane % ACROSS);

    // As in forward_block: constant loops, clamped reads. Four rows a round, so that `sum` is touched once for
    // four products; the rows past the end are the last one again, weighted with zero.
    var places: array<Place, QUADS>;
    for (var q = 0u; q < QUADS; q++) { places[q] = x_place(min(quad_0 + nth(q), quads - 1u)); }
    var sum: array<array<array<vec4<f32>, QUADS>, 4>, INPUTS>; // [input / 4][input % 4][quad]
    for (var tap = 0u; tap < taps(); tap++) {
        var source: array<From, QUADS>;
        var any_open = false;
        for (var q = 0u; q < QUADS; q++) {
            source[q] = y_from(places[q], tap);
            any_open = any_open || source[q].open;
        }
        // With a stride most taps reach nothing: then the loop has no round.
        let rows = select(0u, args.rows, any_open);
        for (var row = 0u; row < rows; row += 4u) {
            var dy: array<array<vec4<f32>, QUADS>, 4>;
            for (var j = 0u; j < 4u; j++) {
                let first = min(row + j, args.rows - 1u) * y_quads;
                for (var q = 0u; q < QUADS; q++) { dy[j][q] = held(d_y_quad(first + source[q].at), source[q].open); }
            }
            for (var i = 0u; i < INPUTS; i++) {
                let first = tap * channels() + 4u * (input_0 + i);
                let end = (tap + 1u) * channels();
                var w: array<vec4<f32>, 4>;
                for (var j = 0u; j < 4u; j++) {
                    w[j] = select(vec4<f32>(0.0), weight_quad(row + j, first, end), row + j < args.rows);
                }
                for (var m = 0u; m < 4u; m++) {
                    for (var q = 0u; q < QUADS; q++) {
                        sum[i][m][q] = sum[i][m][q] + w[0][m] * dy[0][q] + w[1][m] * dy[1][q]
                            + w[2][m] * dy[2][q] + w[3][m] * dy[3][q];
                    }
                }
            }
        }
    }

    for (var i = 0u; i < INPUTS; i++) {
        for (var m = 0u; m < 4u; m++) {
            let input = (input_0 + i) * 4u + m;
            for (var q = 0u; q < QUADS; q += 2u) {
                let quad = quad_0 + nth(q);
                if input < channels() && quad < quads {
                    let at = input * quads + quad;
                    var value = array<vec4<f32>, 2>(sum[i][m][q], sum[i][m][q + 1u]);
                    let both = quad + 1u < quads;
                    for (var l = 0u; l < 2u; l += PER) {
                        let own = at + select(0u, l, both);
                        if args.onto != REPLACES {
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
