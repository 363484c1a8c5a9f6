// d_weight = d_y x^T; d_bias = sum of d_y over the columns. In 64 x 64 tiles through workgroup memory: for GPUs.
// d_y: (rows, cols). x: (inner, cols). d_weight: (rows, inner). d_bias: (rows,).
// Workgroups: ceil(rows / 64) * ceil(inner / 64).
// Left open: part d_weight_*.
//#use common/grid
//#use ops/product/args
//#use ops/product/tile
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let quads = args.cols / 4u;
    let tiles = (args.inner + TILE - 1u) / TILE;
    let row_0 = group / tiles * TILE;
    let input_0 = group % tiles * TILE;

    var sum: array<vec4<f32>, 4>;
    for (var c = 0u; c < quads; c += DEPTH / 4u) {
        let quad = c + lane % 4u;
        let dy = d_y[min(row_0 + lane / 4u, args.rows - 1u) * quads + min(quad, quads - 1u)];
        left_along(lane, select(vec4<f32>(0.0), dy, quad < quads));
        right_along(lane, x[min(input_0 + lane / 4u, args.inner - 1u) * quads + min(quad, quads - 1u)]);
        workgroupBarrier();
        add_tile(lane, &sum);
        workgroupBarrier();
    }

    for (var r = 0u; r < 4u; r++) {
        let row = row_0 + lane / 16u * 4u + r;
        if group < grid.end && row < args.rows { write_d_weight(row, input_0 / 4u + lane % 16u, sum[r]); }
    }
    let row = row_0 + lane;
    if group < grid.end && input_0 == 0u && lane < TILE && row < args.rows {
        var total = vec4<f32>(0.0);
        for (var c = 0u; c < quads; c++) { total += d_y[row * quads + c]; }
        d_bias[row] = total.x + total.y + total.z + total.w;
    }
}
