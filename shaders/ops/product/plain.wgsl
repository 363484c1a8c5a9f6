// A linear layer's three products, one invocation per output element: the yardstick for the variants.
// forward:     y[o,c] = bias[o] + sum_k weight[o,k] x[k,c], then ReLU if asked for
// input_grad:  d_x[k,c] = sum_o weight[o,k] d_y[o,c], 0 where x is not positive if asked for
// weight_grad: d_weight[o,k] = sum_c d_y[o,c] x[k,c];  d_bias[o] = sum_c d_y[o,c]
// weight, d_weight: (rows, inner). x, d_x: (inner, cols). y, d_y: (rows, cols). bias, d_bias: (rows,).
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
    var sum = bias[o];
    for (var k = 0u; k < args.inner; k++) { sum += weight[o * args.inner + k] * x[k * args.cols + c]; }
    y[i] = select(sum, rectified(sum), args.relu != 0u);
}

@compute @workgroup_size(WG)
fn input_grad(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let k = i / args.cols;
    let c = i % args.cols;
    if !(group < grid.end && k < args.inner) { return; }
    var sum = select(0.0, d_x[i], args.accumulate != 0u);
    for (var o = 0u; o < args.rows; o++) { sum += weight[o * args.inner + k] * d_y[o * args.cols + c]; }
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
    var sum = 0.0;
    var total = 0.0;
    for (var c = 0u; c < args.cols; c++) {
        let d = d_y[o * args.cols + c];
        sum += d * x[k * args.cols + c];
        total += d;
    }
    d_weight[i] = sum;
    if k == 0u { d_bias[o] = total; }
}
