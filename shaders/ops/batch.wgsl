// Assembles a batch from a data set that lives on the device: x = sample * scale + shift.
// samples: (set, features), as bytes four to a word, or as floats. labels: bytes, four to a word.
// normal: (1 or channels, 2): scale and shift; a channel is `plane` features in a row.
// order: (set,). x: (features, cols). labels_out: (cols,). Columns without a sample become 0.
// One invocation per EACH features of four columns: which samples those are is looked up once.
// `narrow_bytes`: bf16 pairs in place of floats, of a whole set; one invocation per EACH features of eight columns.
// x_pairs: (features, cols / 2), see ops/bf16.
//#use common/grid
//#use common/step
//#use ops/batch_part
//#use ops/bf16
const WG = 64u;
const EACH = 16u;

@group(0) @binding(2) var<storage, read> samples: array<u32>;
@group(0) @binding(3) var<storage, read> floats: array<f32>;
@group(0) @binding(8) var<storage, read_write> x_pairs: array<vec4<u32>>;

// The four bytes from byte i on; those past the end of the set are never used.
fn four_bytes(i: u32) -> u32 {
    let word = samples[i / 4u];
    if ALIGNED || i % 4u == 0u { return word; }
    let next = samples[min(i / 4u + 1u, arrayLength(&samples) - 1u)];
    return (word >> (i % 4u * 8u)) | (next << (32u - i % 4u * 8u));
}

// Four features from `first` on, of four columns: a word a column.
fn features_of(at: Place, first: u32) -> vec4<u32> {
    var bytes: vec4<u32>;
    for (var c = 0u; c < 4u; c++) {
        if at.live[c] && at.mine[c] { bytes[c] = four_bytes(at.sample[c] * args.features + first); }
    }
    return bytes;
}

fn byte_of(words: vec4<u32>, f: u32) -> vec4<f32> {
    return vec4<f32>((words >> vec4<u32>(8u * f)) & vec4<u32>(255u));
}

@compute @workgroup_size(WG)
fn from_bytes(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let quads = args.cols / 4u;
    let i = group * WG + lane;
    let at = place(i % quads, i / quads * EACH);
    if !(group < grid.end && at.feature < args.features && any(at.mine)) { return; }
    put_labels(at);
    for (var first = at.feature; first < min(at.feature + EACH, args.features); first += 4u) {
        let bytes = features_of(at, first);
        for (var f = 0u; f < 4u; f++) {
            if ALIGNED || first + f < args.features { put(at, first + f, scaled(at, first + f, byte_of(bytes, f))); }
        }
    }
}

@compute @workgroup_size(WG)
fn narrow_bytes(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let octets = args.cols / 8u;
    let i = group * WG + lane;
    let octet = i % octets;
    let low = place(2u * octet, i / octets * EACH);
    let high = place(2u * octet + 1u, i / octets * EACH);
    if !(group < grid.end && low.feature < args.features) { return; }
    put_labels(low);
    put_labels(high);
    for (var first = low.feature; first < min(low.feature + EACH, args.features); first += 4u) {
        let low_bytes = features_of(low, first);
        let high_bytes = features_of(high, first);
        for (var f = 0u; f < 4u; f++) {
            if ALIGNED || first + f < args.features {
                let feature = first + f;
                x_pairs[feature * octets + octet] = pairs(scaled(low, feature, byte_of(low_bytes, f)),
                                                          scaled(high, feature, byte_of(high_bytes, f)));
            }
        }
    }
}

@compute @workgroup_size(WG)
fn from_floats(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let quads = args.cols / 4u;
    let i = group * WG + lane;
    let at = place(i % quads, i / quads * EACH);
    if !(group < grid.end && at.feature < args.features && any(at.mine)) { return; }
    put_labels(at);
    for (var f = at.feature; f < min(at.feature + EACH, args.features); f++) {
        var value: vec4<f32>;
        for (var c = 0u; c < 4u; c++) {
            if at.live[c] && at.mine[c] { value[c] = floats[at.sample[c] * args.features + f]; }
        }
        put(at, f, scaled(at, f, value));
    }
}
