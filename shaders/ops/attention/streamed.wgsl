// Attention without a matrix of scores, by blocks of keys: y = softmax(scale q k) v.   Dao et al., 2022; Milakov & Gimelshein,
// 2018.
//   forward:   y, with a running largest score and a running sum, and total = largest + log(sum), for each query.
//   d_queries: the gradients of queries; p = exp(s - total) is computed again (+= if ADDS).
// d_s = p (d_p - delta) scale, with delta as in `ops/attention/softmax`; if DROPS, some probabilities are dropped after the softmax.
// A part of the keys follows another where one dispatch would take too long: total is then what those before it had, and y their
// mean of values.
// y, d_y: (heads depth, queries, batch). total, delta: (heads, queries, batch).
// One invocation for ROWS queries and a quad of the batch: it alone writes what it makes, so that sums over blocks of keys stand
// in memory, and no number of channels is too large for its registers.
//#use common/grid
//#use ops/attention/blocks
const WG = 64u;
const ROWS = 2u;
const KEYS = 4u;
// Below every finite score: the largest of no scores.
const LEAST = -3.0e38;

override DROPS = false;
override ADDS = false;

@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> new_total: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> d_queries_out: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let blocks = (args.queries + ROWS - 1u) / ROWS;
    let i = group * WG + lane;
    let quad = i % args.batch_quads;
    let head = i / args.batch_quads / blocks;
    if head >= args.heads { return; }
    let query_0 = i / args.batch_quads % blocks * ROWS;
    let end = select(args.end, min(args.end, query_0 + ROWS), args.causal != 0u);
    var largest: array<vec4<f32>, ROWS>;
    var sums: array<vec4<f32>, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        largest[r] = vec4<f32>(LEAST);
        if args.begin > 0u {
            largest[r] = new_total[at_row(head, query_0 + r, quad)];
            sums[r] = vec4<f32>(1.0);
        }
    }
    for (var key_0 = args.begin; key_0 < end; key_0 += KEYS) {
        var share = scores(head, query_0, key_0, quad);
        var shrink: array<vec4<f32>, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            var high = largest[r];
            for (var k = 0u; k < KEYS; k++) {
                high = select(high, max(high, share[r][k]), attends(query_0 + r, key_0 + k, quad));
            }
            shrink[r] = exp(largest[r] - high);
            largest[r] = high;
            sums[r] = sums[r] * shrink[r];
            for (var k = 0u; k < KEYS; k++) {
                let p = select(vec4<f32>(0.0), exp(share[r][k] - high), attends(query_0 + r, key_0 + k, quad));
                sums[r] = sums[r] + p;
                share[r][k] = p * factor(head, query_0 + r, key_0 + k, quad);
            }
        }
        for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
            var value: array<vec4<f32>, KEYS>;
            for (var k = 0u; k < KEYS; k++) { value[k] = keys[at_key(args.value_at, c, key_0 + k, quad)]; }
            for (var r = 0u; r < ROWS; r++) {
                let more = share[r][0] * value[0] + share[r][1] * value[1] + share[r][2] * value[2] + share[r][3] * value[3];
                let at = at_query(c, query_0 + r, quad);
                if query_0 + r < args.queries {
                    if key_0 == 0u {
                        y[at] = more;
                    } else {
                        y[at] = y[at] * shrink[r] + more;
                    }
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        // Where a sample has no key.
        sums[r] = select(sums[r], vec4<f32>(1.0), sums[r] == vec4<f32>(0.0));
        if query_0 + r < args.queries { new_total[at_row(head, query_0 + r, quad)] = largest[r] + log(sums[r]); }
    }
    for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
        for (var r = 0u; r < ROWS; r++) {
            if query_0 + r < args.queries { y[at_query(c, query_0 + r, quad)] /= sums[r]; }
        }
    }
}

@compute @workgroup_size(WG)
fn d_queries(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let blocks = (args.queries + ROWS - 1u) / ROWS;
    let i = group * WG + lane;
    let quad = i % args.batch_quads;
    let head = i / args.batch_quads / blocks;
    if head >= args.heads { return; }
    let query_0 = i / args.batch_quads % blocks * ROWS;
    let end = select(args.end, min(args.end, query_0 + ROWS), args.causal != 0u);
    for (var key_0 = args.begin; key_0 < end; key_0 += KEYS) {
        var d = scores(head, query_0, key_0, quad);
        let d_share = d_shares(head, query_0, key_0, quad);
        for (var r = 0u; r < ROWS; r++) {
            let sum = total[at_row(head, query_0 + r, quad)];
            let own = delta[at_row(head, query_0 + r, quad)];
            for (var k = 0u; k < KEYS; k++) {
                let d_p = d_share[r][k] * factor(head, query_0 + r, key_0 + k, quad);
                let value = exp(d[r][k] - sum) * (d_p - own) * args.scale;
                d[r][k] = select(vec4<f32>(0.0), value, attends(query_0 + r, key_0 + k, quad));
            }
        }
        for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
            var right: array<vec4<f32>, KEYS>;
            for (var k = 0u; k < KEYS; k++) { right[k] = keys[at_key(args.key_at, c, key_0 + k, quad)]; }
            for (var r = 0u; r < ROWS; r++) {
                let more = d[r][0] * right[0] + d[r][1] * right[1] + d[r][2] * right[2] + d[r][3] * right[3];
                let at = at_query(c, query_0 + r, quad);
                if query_0 + r < args.queries {
                    if !ADDS && key_0 == 0u {
                        d_queries_out[at] = more;
                    } else {
                        d_queries_out[at] += more;
                    }
                }
            }
        }
    }
}
