// What attention without a matrix of scores computes of a block of ROWS queries by KEYS keys, for a quad of the batch: a part of
// `ops/attention/streamed` and `ops/attention/streamed_keys`, which say how large blocks are, and DROPS.
//#use ops/attention/args
@group(0) @binding(2) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> keys: array<vec4<f32>>; // and values
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> total: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> delta: array<vec4<f32>>;

alias Block = array<array<vec4<f32>, KEYS>, ROWS>; // (queries, keys)

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
        var left: array<vec4<f32>, ROWS>;
        var right: array<vec4<f32>, KEYS>;
        for (var r = 0u; r < ROWS; r++) { left[r] = args.scale * queries[at_query(c, query_0 + r, quad)]; }
        for (var k = 0u; k < KEYS; k++) { right[k] = keys[at_key(args.key_at, c, key_0 + k, quad)]; }
        for (var r = 0u; r < ROWS; r++) {
            for (var k = 0u; k < KEYS; k++) { sum[r][k] = sum[r][k] + left[r] * right[k]; }
        }
    }
    return sum;
}

// The gradients of what y takes of each value.
fn d_shares(head: u32, query_0: u32, key_0: u32, quad: u32) -> Block {
    var sum: Block; // zero at first
    for (var c = head * args.depth; c < (head + 1u) * args.depth; c++) {
        var left: array<vec4<f32>, ROWS>;
        var right: array<vec4<f32>, KEYS>;
        for (var r = 0u; r < ROWS; r++) { left[r] = d_y[at_query(c, query_0 + r, quad)]; }
        for (var k = 0u; k < KEYS; k++) { right[k] = keys[at_key(args.value_at, c, key_0 + k, quad)]; }
        for (var r = 0u; r < ROWS; r++) {
            for (var k = 0u; k < KEYS; k++) { sum[r][k] = sum[r][k] + left[r] * right[k]; }
        }
    }
    return sum;
}

// The factor that dropout gives a probability.
fn factor(head: u32, query: u32, key: u32, quad: u32) -> vec4<f32> {
    if DROPS { return drawn(pair(head, query, key), quad); }
    return vec4<f32>(1.0);
}
