// Assembles a batch from a data set that lives on the device: x = sample * scale + shift.
// samples: (set, features), as bytes four to a word, or as floats. labels: bytes, four to a word.
// order: (set,). x: (features, cols). labels_out: (cols,). Columns without a sample become 0.
// One invocation per four features of one column.
//#use common/grid
//#use common/step
const WG = 64u;

struct Args {
    features: u32,
    cols: u32,
    scale: f32,
    shift: f32,
    begin: u32, // this dispatch holds samples begin .. end of the set
    end: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> samples: array<u32>;
@group(0) @binding(3) var<storage, read> floats: array<f32>;
@group(0) @binding(4) var<storage, read> labels: array<u32>;
@group(0) @binding(5) var<storage, read> order: array<u32>;
@group(0) @binding(6) var<storage, read_write> x: array<f32>;
@group(0) @binding(7) var<storage, read_write> label: array<u32>;

struct Place { col: u32, feature: u32, sample: u32, work: bool, live: bool }

fn place(group: u32, lane: u32) -> Place {
    var at: Place;
    let i = group * WG + lane;
    at.col = i % args.cols;
    at.feature = i / args.cols * 4u;
    at.live = at.col < step.live;
    at.work = group < grid.end && at.feature < args.features;
    if at.work && at.live {
        at.sample = order[step.first + at.col];
        at.work = at.sample >= args.begin && at.sample < args.end;
    } else if args.begin != 0u {
        at.work = false; // the first part of the set clears the empty columns
    }
    return at;
}

fn put_label(at: Place) {
    if at.feature != 0u { return; }
    if at.live {
        label[at.col] = extractBits(labels[at.sample / 4u], at.sample % 4u * 8u, 8u);
    } else {
        label[at.col] = 0u;
    }
}

@compute @workgroup_size(WG)
fn from_bytes(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let at = place(group_index(id, groups), lane);
    if !at.work { return; }
    put_label(at);
    for (var f = at.feature; f < min(at.feature + 4u, args.features); f++) {
        var value = 0.0;
        if at.live {
            let byte = (at.sample - args.begin) * args.features + f;
            value = f32(extractBits(samples[byte / 4u], byte % 4u * 8u, 8u)) * args.scale + args.shift;
        }
        x[f * args.cols + at.col] = value;
    }
}

@compute @workgroup_size(WG)
fn from_floats(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let at = place(group_index(id, groups), lane);
    if !at.work { return; }
    put_label(at);
    for (var f = at.feature; f < min(at.feature + 4u, args.features); f++) {
        var value = 0.0;
        if at.live {
            value = floats[(at.sample - args.begin) * args.features + f] * args.scale + args.shift;
        }
        x[f * args.cols + at.col] = value;
    }
}
