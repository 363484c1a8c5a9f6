// d_x = weight^T d_y, added to what is there if args.accumulate, then 0 where x is not positive if args.relu.
// weight: (rows, inner). d_y: (rows, cols). x, d_x: (inner, cols). 64 x 64 tiles in workgroup memory: for GPUs.
// Workgroups: ceil(inner / 64) * ceil(cols / 64).
// Left open: part weight_*.
//#use common/grid
//#use ops/product/args
//#use ops/product/tile
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let quads = args.cols / 4u;
    let tiles = (args.cols + TILE - 1u) / TILE;
    let input_0 = group / tiles * TILE;
    let quad = group % tiles * (TILE / 4u) + lane % 16u;

    var sum: array<vec4<f32>, 4>;
    for (var row = 0u; row < args.rows; row += DEPTH) {
        let w_row = row + lane / 16u;
        let w = weight_quad(w_row, input_0 / 4u + lane % 16u);
        left_across(lane, select(vec4<f32>(0.0), w, w_row < args.rows));
        right_across(lane, d_y[min(w_row, args.rows - 1u) * quads + min(quad, quads - 1u)]);
        workgroupBarrier();
        add_tile(lane, &sum);
        workgroupBarrier();
    }

    for (var r = 0u; r < 4u; r++) {
        let input = input_0 + lane / 16u * 4u + r;
        if group < grid.end && input < args.inner && quad < quads {
            let at = input * quads + quad;
            var value = sum[r];
            if args.accumulate != 0u { value += d_x[at]; }
            if args.relu != 0u { value = select(vec4<f32>(0.0), value, x[at] > vec4<f32>(0.0)); }
            d_x[at] = value;
        }
    }
}
