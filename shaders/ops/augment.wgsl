// Assembles a batch of varied pictures from a data set that lives on the device; plain ones: ops/batch.
// `draw` says how each column is varied, a function of (seed, epoch, sample) alone; `vary` looks up each value where the
// variation says that it comes from: x = value * scale + shift. What lies outside of a picture is 0 as stored.
// samples: (set, channels, height, width), as bytes four to a word, or as the bits of floats. draws: (cols, 3) quads:
// across (a, b, c, brightness) and down (a, b, c, contrast), of which the pixel (y, x) comes from a x + b y + c; and the
// square that is cut out (top, left, bottom, right). x: (features, cols).
// `draw`: one invocation per column. `vary`: one per EACH features of four columns.
//#use common/grid
//#use common/philox
//#use common/step
//#use ops/batch_part
const WG = 64u;
const EACH = 16u;
const AUGMENT = 7u; // the stream of src/random.rs

struct How {
    height: u32,
    width: u32,
    flip: u32,         // 1: every second picture is mirrored
    crop: u32,         // pixels
    shift_down: u32,   // pixels
    shift_across: u32, // pixels
    rotate: f32,       // radians
    zoom: f32,
    brightness: f32,
    contrast: f32,
    cutout: u32,       // pixels
    between: u32,      // 1: a value may come from between pixels
    coloured: u32,     // 1: brightness or contrast are varied
    floats: u32,       // 1: samples are floats
    least: f32,        // what a stored value can be
    most: f32,
}
struct Epoch { seed_low: u32, seed_high: u32, epoch: u32 }
@group(0) @binding(2) var<storage, read> samples: array<u32>;
@group(0) @binding(8) var<storage, read_write> draws: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read> drawn: array<vec4<f32>>;
@group(0) @binding(11) var<uniform> how: How;
@group(0) @binding(12) var<uniform> epoch: Epoch;

// A whole number from -most to most.
fn whole(word: u32, most: u32) -> f32 {
    return f32(multiply_high(word, 2u * most + 1u)) - f32(most);
}

// A number from -1 up to 1.
fn signed_unit(word: u32) -> f32 {
    return 2.0 * unit(word) - 1.0;
}

// (cos, sin) of an angle within half a turn, by the series of a quarter of it: built-in ones may be far off.
fn direction(angle: f32) -> vec2<f32> {
    let quarter = angle * 0.25;
    let square = quarter * quarter;
    let series = 1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0)));
    let sine = quarter * series;
    let cosine = sqrt(max(1.0 - sine * sine, 0.0));
    let half = vec2<f32>(1.0 - 2.0 * sine * sine, 2.0 * sine * cosine);
    return vec2<f32>(1.0 - 2.0 * half.y * half.y, 2.0 * half.x * half.y);
}

fn words(sample: u32, block: u32) -> vec4<u32> {
    return philox4x32_10(vec4<u32>(block, sample, epoch.epoch, AUGMENT), vec2<u32>(epoch.seed_low, epoch.seed_high));
}

@compute @workgroup_size(WG)
fn draw(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.cols) { return; }
    let sample = order[step.first + min(col, max(step.live, 1u) - 1u)];
    // Each variation has its own word, whatever else is varied.
    let first = words(sample, 0u);
    let second = words(sample, 1u);
    let third = words(sample, 2u);

    let mirror = select(1.0, -1.0, how.flip == 1u && first.x >> 31u == 1u);
    let down = whole(first.y, how.crop) + whole(first.w, how.shift_down);
    let across = whole(first.z, how.crop) + whole(second.x, how.shift_across);
    var turn = vec2<f32>(1.0, 0.0);
    if how.rotate > 0.0 { turn = direction(how.rotate * signed_unit(second.y)); }
    var size = 1.0;
    if how.zoom > 0.0 { size = 1.0 / (1.0 + how.zoom * signed_unit(second.z)); }
    // About the centre: back by the offset, turned and scaled back, mirrored.
    let centre = 0.5 * vec2<f32>(f32(how.width) - 1.0, f32(how.height) - 1.0);
    let moved = centre + vec2<f32>(across, down);
    let x_from = mirror * size * vec2<f32>(turn.x, -turn.y);
    let y_from = size * vec2<f32>(turn.y, turn.x);
    let gain = 1.0 + how.brightness * signed_unit(second.w);
    let contrast = 1.0 + how.contrast * signed_unit(third.x);
    let corner = vec2<f32>(f32(multiply_high(third.y, how.height)), f32(multiply_high(third.z, how.width)))
        - f32(how.cutout / 2u);
    draws[3u * col] = vec4<f32>(x_from, centre.x - x_from.x * moved.x - x_from.y * moved.y, gain);
    draws[3u * col + 1u] = vec4<f32>(y_from, centre.y - y_from.x * moved.x - y_from.y * moved.y, contrast);
    draws[3u * col + 2u] = vec4<f32>(corner, corner + f32(how.cutout));
}

fn stored(i: u32) -> f32 {
    if how.floats == 1u { return bitcast<f32>(samples[i]); }
    return f32(extractBits(samples[i / 4u], i % 4u * 8u, 8u));
}

// A pixel of the channel that begins at `plane`.
fn pixel(plane: u32, y: i32, x: i32) -> f32 {
    if !(y >= 0 && x >= 0 && y < i32(how.height) && x < i32(how.width)) { return 0.0; }
    return stored(plane + u32(y) * how.width + u32(x));
}

// The value at (y, x), of the four pixels around it if it lies between them.
fn sampled(plane: u32, y: f32, x: f32) -> f32 {
    let row = i32(floor(y));
    let column = i32(floor(x));
    let here = pixel(plane, row, column);
    if how.between == 0u { return here; }
    let right = x - floor(x);
    let above = here + (pixel(plane, row, column + 1) - here) * right;
    let below_here = pixel(plane, row + 1, column);
    let below = below_here + (pixel(plane, row + 1, column + 1) - below_here) * right;
    return above + (below - above) * (y - floor(y));
}

// Brightness scales a value, contrast its distance from the channel's mean.
fn coloured(value: f32, gain: f32, contrast: f32, channel: u32) -> f32 {
    if how.coloured == 0u { return value; }
    var i = 0u;
    if BY_CHANNEL { i = 2u * channel; }
    let mean = -normal[i + 1u] / normal[i];
    let bright = clamp(value * gain, how.least, how.most);
    return clamp(mean + (bright - mean) * contrast, how.least, how.most);
}

@compute @workgroup_size(WG)
fn vary(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let quads = args.cols / 4u;
    let i = group * WG + lane;
    let at = place(i % quads, i / quads * EACH);
    if !(group < grid.end && at.feature < args.features && any(at.mine)) { return; }
    put_labels(at);
    var across: array<vec4<f32>, 4>;
    var down: array<vec4<f32>, 4>;
    var cut: array<vec4<f32>, 4>;
    for (var c = 0u; c < 4u; c++) {
        across[c] = drawn[3u * (at.quad * 4u + c)];
        down[c] = drawn[3u * (at.quad * 4u + c) + 1u];
        cut[c] = drawn[3u * (at.quad * 4u + c) + 2u];
    }
    for (var f = at.feature; f < min(at.feature + EACH, args.features); f++) {
        let channel = f / args.plane;
        let inside = f % args.plane;
        let pixel_at = vec2<f32>(f32(inside % how.width), f32(inside / how.width));
        var value: vec4<f32>;
        var is_cut: vec4<bool>;
        for (var c = 0u; c < 4u; c++) {
            if !(at.live[c] && at.mine[c]) { continue; }
            let x_from = across[c].x * pixel_at.x + across[c].y * pixel_at.y + across[c].z;
            let y_from = down[c].x * pixel_at.x + down[c].y * pixel_at.y + down[c].z;
            let own = sampled(at.sample[c] * args.features + channel * args.plane, y_from, x_from);
            value[c] = coloured(own, across[c].w, down[c].w, channel);
            is_cut[c] = all(pixel_at.yx >= cut[c].xy) && all(pixel_at.yx < cut[c].zw);
        }
        put(at, f, select(scaled(at, f, value), vec4<f32>(0.0), is_cut));
    }
}
