// Attention without a matrix of scores: the gradients of keys and values, by blocks of queries (+= if ADDS).   Dao et al., 2022.
// d_key = sum over queries of d_s q, d_value = sum of p d_y, with p and d_s as in `ops/attention/streamed`.
// One invocation for KEYS keys and a quad of the batch, which alone writes their gradients.
//#use common/grid
//#use ops/attention/blocks
const WG = 64u;
const ROWS = 4u;
const KEYS = 2u;

override DROPS = false;
override ADDS = false;

@group(0) @binding(4) var<storage, read_write> d_keys: array<vec4<f32>>; // and of values

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let blocks = (args.keys + KEYS - 1u) / KEYS;
    let i = group * WG + lane;
    let quad = i % args.batch_quads;
    let head = i / args.batch_quads / blocks;
    if head >= args.heads { return; }
    let key_0 = i / args.batch_quads % blocks * KEYS;
    // Blocks of queries are the same in every part.
    let first = select(0u, key_0 / ROWS * ROWS, args.causal != 0u);
    for (var query_0 = max(first, args.begin); query_0 < args.end; query_0 += ROWS) {
        var p = scores(head, query_0, key_0, quad);
        for (var r = 0u; r < ROWS; r++) {
            let sum = total[at_row(head, query_0 + r, quad)];
            for (var k = 0u; k < KEYS; k++) {
                p[r][k] = select(vec4<f32>(0.0), exp(p[r][k] - sum), attends(query_0 + r, key_0 + k, quad));
            }
        }
        var d = d_shares(head, query_0, key_0, quad);
        for (var r = 0u; r < ROWS; r++) {
            let own = delta[at_row(head, query_0 + r, quad)];
            for (var k = 0u; k < KEYS; k++) {
                let kept = factor(head, query_0 + r, key_0 + k, quad);
                d[r][k] = p[r][k] * (d[r][k] * kept - own) * args.scale;
                p[r][k] = p[r][k] * kept;
            }
        }
        // One loop for each, so that fewer numbers are held at once.
        for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
            var left: array<vec4<f32>, ROWS>;
            for (var r = 0u; r < ROWS; r++) { left[r] = d_y[at_query(c, query_0 + r, quad)]; }
            for (var k = 0u; k < KEYS; k++) {
                let more = p[0][k] * left[0] + p[1][k] * left[1] + p[2][k] * left[2] + p[3][k] * left[3];
                let at = at_key(args.value_at, c, key_0 + k, quad);
                if key_0 + k < args.keys {
                    if !ADDS && query_0 == first {
                        d_keys[at] = more;
                    } else {
                        d_keys[at] += more;
                    }
                }
            }
        }
        for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
            var left: array<vec4<f32>, ROWS>;
            for (var r = 0u; r < ROWS; r++) { left[r] = queries[at_query(c, query_0 + r, quad)]; }
            for (var k = 0u; k < KEYS; k++) {
                let more = d[0][k] * left[0] + d[1][k] * left[1] + d[2][k] * left[2] + d[3][k] * left[3];
                let at = at_key(args.key_at, c, key_0 + k, quad);
                if key_0 + k < args.keys {
                    if !ADDS && query_0 == first {
                        d_keys[at] = more;
                    } else {
                        d_keys[at] += more;
                    }
                }
            }
        }
    }
}
