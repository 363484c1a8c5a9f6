// The products of attention, sample by sample: c[m, n] = scale sum over k of a[m, k] b[k, n], for each head (+= if ADDS).
// a, b, c: rows of batch_quads quads; a row's number is the sum of indices by strides, from where an operand begins.
// An invocation makes BLOCK x BLOCK rows of c for a quad of the batch; neighbours have neighbouring quads.
// Where attention is causal, m and n or k are steps of queries and keys, by args.causal:
//   1: n is a key, m its query: blocks above the diagonal are left as they are.
//   2: k is a key, m its query: it ends with the block of m.
//   3: k is a query, m its key: it begins with the block of m.
// Left open: part product_by_*.
//#use common/grid
const WG = 64u;
const BLOCK = 4u;

override ADDS = false;

struct Args {
    batch_quads: u32,
    heads: u32,
    rows: u32,    // m
    columns: u32, // n
    inner: u32,   // k
    causal: u32,
    scale: f32,
    a_at: u32,
    a_head: u32,
    a_row: u32,
    a_inner: u32,
    b_at: u32,
    b_head: u32,
    b_inner: u32,
    b_column: u32,
    c_at: u32,
    c_head: u32,
    c_row: u32,
    c_column: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(4) var<storage, read_write> c: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let down = (args.rows + BLOCK - 1u) / BLOCK;
    let across = (args.columns + BLOCK - 1u) / BLOCK;
    let i = group * WG + lane;
    let quad = i % args.batch_quads;
    let block = i / args.batch_quads;
    let head = block / (down * across);
    if head >= args.heads { return; }
    let row_0 = block / across % down * BLOCK;
    let column_0 = block % across * BLOCK;
    if args.causal == 1u && column_0 > row_0 { return; }
    let first = select(0u, row_0, args.causal == 3u);
    let end = select(args.inner, min(args.inner, row_0 + BLOCK), args.causal == 2u);

    // Rows past an edge are read again, and not written.
    var a_rows: array<u32, BLOCK>;
    var b_rows: array<u32, BLOCK>;
    for (var r = 0u; r < BLOCK; r++) {
        a_rows[r] = args.a_at + head * args.a_head + min(row_0 + r, args.rows - 1u) * args.a_row;
        b_rows[r] = args.b_at + head * args.b_head + min(column_0 + r, args.columns - 1u) * args.b_column;
    }
    var sum: array<array<vec4<f32>, BLOCK>, BLOCK>; // zero at first
    for (var k = first; k < end; k++) {
        var left: array<vec4<f32>, BLOCK>;
        var right: array<vec4<f32>, BLOCK>;
        for (var r = 0u; r < BLOCK; r++) {
            left[r] = a_quad((a_rows[r] + k * args.a_inner) * args.batch_quads + quad);
            right[r] = b_quad((b_rows[r] + k * args.b_inner) * args.batch_quads + quad);
        }
        for (var r = 0u; r < BLOCK; r++) {
            for (var n = 0u; n < BLOCK; n++) { sum[r][n] = sum[r][n] + left[r] * right[n]; }
        }
    }
    for (var r = 0u; r < BLOCK; r++) {
        for (var n = 0u; n < BLOCK; n++) {
            let row = row_0 + r;
            let column = column_0 + n;
            if row < args.rows && column < args.columns {
                let at = args.c_at + head * args.c_head + row * args.c_row + column * args.c_column;
                let to = at * args.batch_quads + quad;
                if ADDS {
                    c[to] += args.scale * sum[r][n];
                } else {
                    c[to] = args.scale * sum[r][n];
                }
            }
        }
    }
}
