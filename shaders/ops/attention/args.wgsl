// Attention's extents, which keys a query attends to, and which probabilities dropout drops.
// queries: (heads depth, queries, batch), from row 0 of what is bound. keys, values: (heads depth, keys, batch), from the rows
// key_at and value_at on. A row has one step of one channel: batch_quads quads.
// Scores and probabilities: (heads, queries, keys, batch).
//#use common/philox
//#use common/step
struct Args {
    batch_quads: u32,
    heads: u32,
    depth: u32,       // channels of a head
    queries: u32,
    keys: u32,
    key_at: u32,
    value_at: u32,
    causal: u32,      // 1: a query attends to no key behind it
    scale: f32,       // 1 / sqrt(depth)
    seed_low: u32,
    seed_high: u32,
    stream: u32,
    layer: u32,
    threshold: u32,   // p 2^32: a smaller word drops its probability
    grown: f32,       // 1 / (1 - p)
    begin: u32,       // of `streamed`: the first of the keys that this dispatch adds, a multiple of 4; for their gradients,
    end: u32,         // of the queries
}
@group(0) @binding(1) var<uniform> args: Args;

// Whether a query attends to a key, in each sample of a quad: by positions, which may be past the last in a block, and by
// lengths, as the part `ops/lengths/ragged` has them, or `ops/lengths/whole`.
fn attends(query: u32, key: u32, quad: u32) -> vec4<bool> {
    let precedes = query < args.queries && key < args.keys && (args.causal == 0u || key <= query);
    return select(vec4<bool>(false), is_there(key, quad), precedes);
}

// The row of a probability.
fn pair(head: u32, query: u32, key: u32) -> u32 { return (head * args.queries + query) * args.keys + key; }

// What dropout multiplies a quad of probabilities by: the words of `ops/dropout`, in which they are drawn again.
fn drawn(row: u32, quad: u32) -> vec4<f32> {
    let counter = vec4<u32>(row * args.batch_quads + quad, args.layer, step.draw, args.stream);
    let words = philox4x32_10(counter, vec2<u32>(args.seed_low, args.seed_high));
    return select(vec4<f32>(args.grown), vec4<f32>(0.0), words < vec4<u32>(args.threshold));
}
