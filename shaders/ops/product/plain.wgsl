// The three products of a layer, one invocation per output element: the yardstick for the variants.
// forward:     y[o,c] = bias[o] + sum over taps and channels of weight[o,tap,k] x[k, what c reads by tap], then ReLU if asked for
// input_grad:  d_x[k,c] = sum_o weight[o,tap,k] d_y[o, what reads c by tap], 0 where x is not positive if asked for
// weight_grad: d_weight[o,tap,k] = sum_c d_y[o,c] x[k, what c reads by tap];  d_bias[o] = sum_c d_y[o,c]
// weight, d_weight: (rows, taps, channels), channels of a group. x, d_x: (channels, their columns). y, d_y: (rows, cols). bias, d_bias: (rows,).
// Left open: part sites_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/args
const WG = 64u;

@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> d_y: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_x: array<f32>;
@group(0) @binding(8) var<storage, read_write> d_weight: array<f32>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let o = i / args.cols;
    let c = i % args.cols;
    if !(group < grid.end && o < args.rows) { return; }
    let place = y_place(c / 4u);
    var sum = bias[o];
    for (var tap = 0u; tap < taps(); tap++) {
        let source = x_from(place, tap);
        if source.open {
            for (var k = 0u; k < channels(); k++) {
                sum += weight[(o * taps() + tap) * channels() + k]
                    * x[(first_channel(o) + k) * x_cols() + source.at * 4u + c % 4u];
            }
        }
    }
    y[i] = select(sum, rectified(sum), args.relu != 0u);
}

@compute @workgroup_size(WG)
fn input_grad(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let channel = i / x_cols();
    let c = i % x_cols();
    if !(group < grid.end && channel < x_channels()) { return; }
    let rows = rows_of(channel / channels());
    let k = channel % channels();
    let place = x_place(c / 4u);
    var sum = select(0.0, d_x[i], args.onto == GOES_ON);
    for (var tap = 0u; tap < taps(); tap++) {
        let source = y_from(place, tap);
        if source.open {
            for (var o = rows.x; o < rows.y; o++) {
                sum += weight[(o * taps() + tap) * channels() + k] * d_y[o * args.cols + source.at * 4u + c % 4u];
            }
        }
    }
    if args.onto == ADDS { sum += d_x[i]; }
    d_x[i] = select(sum, 0.0, args.relu != 0u && !(x[i] > 0.0));
}

@compute @workgroup_size(WG)
fn weight_grad(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let o = i / args.inner;
    let k = i % args.inner;
    if !(group < grid.end && o < args.rows) { return; }
    let seat = x_seat(k);
    var sum = 0.0;
    var total = 0.0;
    for (var site = 0u; site < sites(); site++) {
        let source = x_at(seat, site);
        for (var c = 0u; c < 4u * site_quads(); c++) {
            let d = d_y[o * args.cols + site * 4u * site_quads() + c];
            if source.open { sum += d * x[first_channel(o) * x_cols() + source.at * 4u + c]; }
            total += d;
        }
    }
    d_weight[i] = sum;
    if k == 0u { d_bias[o] = total; }
}
