// The softmax of attention: scores become probabilities p in their place, and gradients of these those of scores.
//   main:          p[j] = exp(s[j] - largest) / sum over all keys j that a query attends to, and 0 elsewhere: of a sample
//                  without keys everywhere.
//   delta:         delta = sum over the channels of a head of d_y y, which is the sum of d_p p over the keys.
//   differentiate: d_s = p (d_p - delta) scale, in the place of d_p; 0 where a query does not attend.
// If DROPS, d_p are gradients of what dropout left of p.
// p, d: (heads, queries, keys, batch). y, d_y: (heads depth, queries, batch). delta: (heads, queries, batch).
// Where attention is causal, keys behind the last block of BLOCK that a query may attend to are neither read nor written.
// One invocation a quad of the batch, for a query in `main` and `delta`, for a query and a key in `differentiate`.
//#use common/grid
//#use common/divided
//#use ops/attention/args
const WG = 64u;
const BLOCK = 4u; // as in the products

override DROPS = false;

@group(0) @binding(2) var<storage, read_write> p: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> probabilities: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> delta_in: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> delta_out: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> d: array<vec4<f32>>;

// One past the last key whose block a query may attend to.
fn end_of(query: u32) -> u32 {
    return select(args.keys, min(args.keys, (query / BLOCK + 1u) * BLOCK), args.causal != 0u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.heads * args.queries * args.batch_quads) { return; }
    let quad = i % args.batch_quads;
    let row = i / args.batch_quads;
    let query = row % args.queries;
    let first = row * args.keys * args.batch_quads + quad;
    let end = end_of(query);
    // Memory is what takes time: the sum is made along with the largest score, and is measured anew where that grows.
    // Milakov & Gimelshein 2018, "Online normalizer calculation for softmax".
    var largest = p[first];
    var sum = vec4<f32>(0.0);
    for (var key = 0u; key < end; key++) {
        let score = p[first + key * args.batch_quads];
        let part = select(exp(-abs(score - largest)), vec4<f32>(1.0), score == largest); // both may be -inf
        let grown = select(sum + part, sum * part + 1.0, score > largest);
        let open = attends(query, key, quad);
        sum = select(sum, grown, open);
        largest = select(largest, max(largest, score), open);
    }
    // Where a sample has no key.
    sum = select(sum, vec4<f32>(1.0), sum == vec4<f32>(0.0));
    for (var key = 0u; key < end; key++) {
        let at = first + key * args.batch_quads;
        p[at] = select(vec4<f32>(0.0), exp(p[at] - largest) / sum, attends(query, key, quad));
    }
}

@compute @workgroup_size(WG)
fn delta(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.heads * args.queries * args.batch_quads) { return; }
    let quad = i % args.batch_quads;
    let row = i / args.batch_quads;
    let head = row / args.queries;
    let query = row - head * args.queries;
    var sum = vec4<f32>(0.0);
    for (var channel = 0u; channel < args.depth; channel++) {
        let at = ((head * args.depth + channel) * args.queries + query) * args.batch_quads + quad;
        sum += y[at] * d_y[at];
    }
    delta_out[i] = sum;
}

@compute @workgroup_size(WG)
fn differentiate(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.heads * args.queries * args.keys * args.batch_quads) { return; }
    let row = divided(i, args.batch_quads);
    let quad = i - row * args.batch_quads;
    let of_query = divided(row, args.keys);
    let key = row - of_query * args.keys;
    let query = of_query % args.queries;
    if key >= end_of(query) { return; }
    var d_p = d[i];
    if DROPS { d_p *= drawn(row, quad); }
    let value = probabilities[i] * (d_p - delta_in[of_query * args.batch_quads + quad]) * args.scale;
    d[i] = select(vec4<f32>(0.0), value, attends(query, key, quad));
}
