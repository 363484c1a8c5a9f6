// Attention without a matrix of scores, by blocks of BLOCK x BLOCK: y = softmax(scale q k) v.   Dao et al., 2022; Milakov &
// Gimelshein, 2018.
//   forward:   y, with a running largest score and a running sum, and total = largest + log(sum), for each query.
//   d_queries: the gradients of queries; p = exp(s - total) is computed again (+= if ADDS).
//   d_keys:    those of keys and values (+= if ADDS).
// d_s = p (d_p - delta) scale, with delta as in `ops/attention/softmax`; if DROPS, some probabilities are dropped after the softmax.
// y, d_y: (heads depth, queries, batch). total, delta: (heads, queries, batch).
// One invocation for BLOCK queries (in `d_keys`, keys) and a quad of the batch: it alone writes what it makes, so that sums
// over blocks of the others stand in memory, and no number of channels is too large for its registers.
//#use common/grid
//#use ops/attention/args
const WG = 64u;
const BLOCK = 4u;
// Below every finite score.
const LEAST = -3.0e38;

override DROPS = false;
override ADDS = false;

@group(0) @binding(2) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> keys: array<vec4<f32>>; // and values
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> new_total: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> total: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> delta: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> d_queries_out: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read_write> d_keys_out: array<vec4<f32>>; // and of values

alias Block = array<array<vec4<f32>, BLOCK>, BLOCK>; // (queries, keys)

// A quad of a step of a channel: steps past the last one stand for that.
fn at_query(channel: u32, query: u32, quad: u32) -> u32 {
    return (channel * args.queries + min(query, args.queries - 1u)) * args.batch_quads + quad;
}
fn at_key(begin: u32, channel: u32, key: u32, quad: u32) -> u32 {
    return (begin + channel * args.keys + min(key, args.keys - 1u)) * args.batch_quads + quad;
}
fn at_row(head: u32, query: u32, quad: u32) -> u32 { return at_query(head, query, quad); }

fn scores(head: u32, query_0: u32, key_0: u32, quad: u32) -> Block {
    var sum: Block; // zero at first
    for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
        var left: array<vec4<f32>, BLOCK>;
        var right: array<vec4<f32>, BLOCK>;
        for (var r = 0u; r < BLOCK; r++) {
            left[r] = args.scale * queries[at_query(c, query_0 + r, quad)];
            right[r] = keys[at_key(args.key_at, c, key_0 + r, quad)];
        }
        for (var r = 0u; r < BLOCK; r++) {
            for (var k = 0u; k < BLOCK; k++) { sum[r][k] = sum[r][k] + left[r] * right[k]; }
        }
    }
    return sum;
}

// The gradients of what y takes of each value.
fn d_shares(head: u32, query_0: u32, key_0: u32, quad: u32) -> Block {
    var sum: Block; // zero at first
    for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
        var left: array<vec4<f32>, BLOCK>;
        var right: array<vec4<f32>, BLOCK>;
        for (var r = 0u; r < BLOCK; r++) {
            left[r] = d_y[at_query(c, query_0 + r, quad)];
            right[r] = keys[at_key(args.value_at, c, key_0 + r, quad)];
        }
        for (var r = 0u; r < BLOCK; r++) {
            for (var k = 0u; k < BLOCK; k++) { sum[r][k] = sum[r][k] + left[r] * right[k]; }
        }
    }
    return sum;
}

// The factor that dropout gives a probability.
fn factor(head: u32, query: u32, key: u32, quad: u32) -> vec4<f32> {
    if DROPS { return drawn(pair(head, query, key), quad); }
    return vec4<f32>(1.0);
}

// Whether a query of a block, which may be past the last one, attends to a key.
fn open(query: u32, key: u32) -> bool { return query < args.queries && attends(query, key); }

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let blocks = (args.queries + BLOCK - 1u) / BLOCK;
    let i = group * WG + lane;
    let quad = i % args.batch_quads;
    let head = i / args.batch_quads / blocks;
    if head >= args.heads { return; }
    let query_0 = i / args.batch_quads % blocks * BLOCK;
    let end = select(args.keys, min(args.keys, query_0 + BLOCK), args.causal != 0u);
    var largest: array<vec4<f32>, BLOCK>;
    var sums: array<vec4<f32>, BLOCK>;
    for (var r = 0u; r < BLOCK; r++) { largest[r] = vec4<f32>(LEAST); }
    for (var key_0 = 0u; key_0 < end; key_0 += BLOCK) {
        var share = scores(head, query_0, key_0, quad);
        var shrink: array<vec4<f32>, BLOCK>;
        for (var r = 0u; r < BLOCK; r++) {
            var high = largest[r];
            for (var k = 0u; k < BLOCK; k++) {
                high = select(high, max(high, share[r][k]), attends(query_0 + r, key_0 + k));
            }
            shrink[r] = exp(largest[r] - high);
            largest[r] = high;
            sums[r] = sums[r] * shrink[r];
            for (var k = 0u; k < BLOCK; k++) {
                let p = select(vec4<f32>(0.0), exp(share[r][k] - high), attends(query_0 + r, key_0 + k));
                sums[r] = sums[r] + p;
                share[r][k] = p * factor(head, query_0 + r, key_0 + k, quad);
            }
        }
        for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
            var value: array<vec4<f32>, BLOCK>;
            for (var k = 0u; k < BLOCK; k++) { value[k] = keys[at_key(args.value_at, c, key_0 + k, quad)]; }
            for (var r = 0u; r < BLOCK; r++) {
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
    for (var r = 0u; r < BLOCK; r++) {
        if query_0 + r < args.queries { new_total[at_row(head, query_0 + r, quad)] = largest[r] + log(sums[r]); }
    }
    for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
        for (var r = 0u; r < BLOCK; r++) {
            if query_0 + r < args.queries { y[at_query(c, query_0 + r, quad)] /= sums[r]; }
        }
    }
}

@compute @workgroup_size(WG)
fn d_queries(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let blocks = (args.queries + BLOCK - 1u) / BLOCK;
    let i = group * WG + lane;
    let quad = i % args.batch_quads;
    let head = i / args.batch_quads / blocks;
    if head >= args.heads { return; }
    let query_0 = i / args.batch_quads % blocks * BLOCK;
    let end = select(args.keys, min(args.keys, query_0 + BLOCK), args.causal != 0u);
    var totals: array<vec4<f32>, BLOCK>;
    var deltas: array<vec4<f32>, BLOCK>;
    for (var r = 0u; r < BLOCK; r++) {
        totals[r] = total[at_row(head, query_0 + r, quad)];
        deltas[r] = delta[at_row(head, query_0 + r, quad)];
    }
    for (var key_0 = 0u; key_0 < end; key_0 += BLOCK) {
        var d = scores(head, query_0, key_0, quad);
        let d_share = d_shares(head, query_0, key_0, quad);
        for (var r = 0u; r < BLOCK; r++) {
            for (var k = 0u; k < BLOCK; k++) {
                let d_p = d_share[r][k] * factor(head, query_0 + r, key_0 + k, quad);
                let value = exp(d[r][k] - totals[r]) * (d_p - deltas[r]) * args.scale;
                d[r][k] = select(vec4<f32>(0.0), value, open(query_0 + r, key_0 + k));
            }
        }
        for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
            var right: array<vec4<f32>, BLOCK>;
            for (var k = 0u; k < BLOCK; k++) { right[k] = keys[at_key(args.key_at, c, key_0 + k, quad)]; }
            for (var r = 0u; r < BLOCK; r++) {
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

@compute @workgroup_size(WG)
fn d_keys(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let blocks = (args.keys + BLOCK - 1u) / BLOCK;
    let i = group * WG + lane;
    let quad = i % args.batch_quads;
    let head = i / args.batch_quads / blocks;
    if head >= args.heads { return; }
    let key_0 = i / args.batch_quads % blocks * BLOCK;
    let first = select(0u, key_0, args.causal != 0u);
    for (var query_0 = first; query_0 < args.queries; query_0 += BLOCK) {
        var p = scores(head, query_0, key_0, quad);
        for (var r = 0u; r < BLOCK; r++) {
            let sum = total[at_row(head, query_0 + r, quad)];
            for (var k = 0u; k < BLOCK; k++) {
                p[r][k] = select(vec4<f32>(0.0), exp(p[r][k] - sum), open(query_0 + r, key_0 + k));
            }
        }
        var d = d_shares(head, query_0, key_0, quad);
        for (var r = 0u; r < BLOCK; r++) {
            let own = delta[at_row(head, query_0 + r, quad)];
            for (var k = 0u; k < BLOCK; k++) {
                let kept = factor(head, query_0 + r, key_0 + k, quad);
                d[r][k] = p[r][k] * (d[r][k] * kept - own) * args.scale;
                p[r][k] = p[r][k] * kept;
            }
        }
        for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
            var left: array<vec4<f32>, BLOCK>;
            var d_left: array<vec4<f32>, BLOCK>;
            for (var r = 0u; r < BLOCK; r++) {
                left[r] = queries[at_query(c, query_0 + r, quad)];
                d_left[r] = d_y[at_query(c, query_0 + r, quad)];
            }
            for (var k = 0u; k < BLOCK; k++) {
                let more = d[0][k] * left[0] + d[1][k] * left[1] + d[2][k] * left[2] + d[3][k] * left[3];
                let share = p[0][k] * d_left[0] + p[1][k] * d_left[1] + p[2][k] * d_left[2] + p[3][k] * d_left[3];
                let at = at_key(args.key_at, c, key_0 + k, quad);
                let at_value = at_key(args.value_at, c, key_0 + k, quad);
                if key_0 + k < args.keys {
                    if !ADDS && query_0 == first {
                        d_keys_out[at] = more;
                        d_keys_out[at_value] = share;
                    } else {
                        d_keys_out[at] += more;
                        d_keys_out[at_value] += share;
                    }
                }
            }
        }
    }
}
