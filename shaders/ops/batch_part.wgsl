// Columns of a batch: which sample each holds, its label, and where its values go. Used by ops/batch and ops/augment.
override WHOLE = false;   // this dispatch holds the whole set
override ALIGNED = false; // every sample begins at a multiple of four bytes
override BY_CHANNEL = false; // each channel has its own scale and shift

struct Args {
    features: u32,
    cols: u32,
    plane: u32,
    begin: u32, // this dispatch holds samples begin .. end of the set
    end: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(4) var<storage, read> labels: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;
@group(0) @binding(6) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> label: array<u32>;
@group(0) @binding(9) var<storage, read> normal: array<f32>;

// Four columns side by side, and the first of EACH features of them.
struct Place {
    quad: u32,
    feature: u32,
    sample: vec4<u32>,
    live: vec4<bool>, // the column holds a sample
    mine: vec4<bool>, // it is for this dispatch to write
}

fn place(quad: u32, feature: u32) -> Place {
    var at: Place;
    at.quad = quad;
    at.feature = feature;
    for (var c = 0u; c < 4u; c++) {
        let col = at.quad * 4u + c;
        let is_live = col < step.live;
        let sample = order[step.first + min(col, max(step.live, 1u) - 1u)];
        at.sample[c] = sample - args.begin;
        at.live[c] = is_live;
        // The first part of the set clears the empty columns.
        at.mine[c] = WHOLE || select(args.begin == 0u, sample >= args.begin && sample < args.end, is_live);
    }
    return at;
}

fn put_labels(at: Place) {
    if at.feature != 0u { return; }
    for (var c = 0u; c < 4u; c++) {
        let sample = at.sample[c] + args.begin;
        if at.mine[c] {
            label[at.quad * 4u + c] = select(0u, extractBits(labels[sample / 4u], sample % 4u * 8u, 8u), at.live[c]);
        }
    }
}

fn scaled(at: Place, feature: u32, value: vec4<f32>) -> vec4<f32> {
    var i = 0u;
    if BY_CHANNEL { i = 2u * (feature / args.plane); }
    return select(vec4<f32>(0.0), value * normal[i] + normal[i + 1u], at.live);
}

// Four columns of one feature; those of another part of the set stay as they are.
fn put(at: Place, feature: u32, own: vec4<f32>) {
    let i = feature * (args.cols / 4u) + at.quad;
    if WHOLE || all(at.mine) { x[i] = own; } else { x[i] = select(x[i], own, at.mine); }
}
