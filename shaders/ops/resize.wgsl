// Images of another size: each number is a sum over the same few rows and columns of what is read, by weights of each axis.
//   y = sum over a, b of row_weight[a] column_weight[b] x[row[a], column[b]], a from row_start[h] to before row_start[h + 1], b
//   likewise (+= if ADDS). The host makes the lists: of the forward pass, and turned round those of the backward pass.
// x: (channels, height, width, batch). y: (channels, out_height, out_width, batch). One invocation per quad of the batch in y.
//#use common/divided
//#use common/grid
const WG = 64u;

override ADDS = false;

struct Args {
    len: u32, // quads that are written
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    quads: u32, // of the batch
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> row_start: array<u32>;
@group(0) @binding(3) var<storage, read> row: array<u32>;
@group(0) @binding(4) var<storage, read> row_weight: array<f32>;
@group(0) @binding(5) var<storage, read> column_start: array<u32>;
@group(0) @binding(6) var<storage, read> column: array<u32>;
@group(0) @binding(7) var<storage, read> column_weight: array<f32>;
@group(0) @binding(8) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let at = divided(i, args.quads);
    let line = divided(at, args.out_width);
    let channel = divided(line, args.out_height);
    let h = line - channel * args.out_height;
    let w = at - line * args.out_width;
    let quad = i - at * args.quads;
    var sum = vec4<f32>(0.0);
    for (var a = row_start[h]; a < row_start[h + 1u]; a++) {
        let first = (channel * args.height + row[a]) * args.width;
        var own = vec4<f32>(0.0);
        for (var b = column_start[w]; b < column_start[w + 1u]; b++) {
            own += column_weight[b] * x[(first + column[b]) * args.quads + quad];
        }
        sum += row_weight[a] * own;
    }
    if ADDS {
        y[i] += sum;
    } else {
        y[i] = sum;
    }
}
