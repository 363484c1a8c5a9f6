// y = bias + weight x, then ReLU if args.relu. In 64 x 64 tiles through workgroup memory: for GPUs.
// weight: (rows, inner). bias: (rows,). x: (inner, cols). y: (rows, cols).
// Workgroups: ceil(rows / 64) * ceil(cols / 64).
// Left open: part weight_*.
//#use common/grid
//#use ops/rectify
//#use ops/product/args
//#use ops/product/tile
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let quads = args.cols / 4u;
    let tiles = (args.cols + TILE - 1u) / TILE;
    let row_0 = group / tiles * TILE;
    let quad_0 = group % tiles * (TILE / 4u);
    let quad = quad_0 + lane % 16u;

    // No return before a barrier: workgroups past the end of the grid compute and write nothing.
    var sum: array<vec4<f32>, 4>;
    for (var k = 0u; k < args.inner; k += DEPTH) {
        let w_k = k + lane % 4u * 4u;
        left_along(lane, select(vec4<f32>(0.0), weight_quad(row_0 + lane / 4u, w_k / 4u), w_k < args.inner));
        right_across(lane, x[min(k + lane / 16u, args.inner - 1u) * quads + min(quad, quads - 1u)]);
        workgroupBarrier();
        add_tile(lane, &sum);
        workgroupBarrier();
    }

    for (var r = 0u; r < 4u; r++) {
        let row = row_0 + lane / 16u * 4u + r;
        if group < grid.end && row < args.rows && quad < quads {
            let value = sum[r] + bias[row];
            y[row * quads + quad] = select(value, rectified_quad(value), args.relu != 0u);
        }
    }
}
