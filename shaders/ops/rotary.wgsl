// Rotary positions: pairs (x, x') of a head's channels, d / 2 apart, turned by an angle that grows with the step,
// y = x cos - x' sin and y' = x' cos + x sin (+= if ADDS).   Su et al., 2021; paired by halves as GPT-NeoX does.
// x, y: (channels, steps, batch). turns: (d / 2, steps, 2): cosine and sine. One invocation a quad of y.
// The backward pass turns the other way, by -1 as args.sign. Channels from args.turned on are copied.
//#use common/grid
//#use common/divided
const WG = 256u;

override ADDS = false;

struct Args {
    quads: u32,       // of y
    batch_quads: u32, // of a step
    steps: u32,
    half: u32,        // d / 2
    turned: u32,      // channels that are turned
    sign: f32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> turns: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.quads) { return; }
    let row = divided(i, args.batch_quads);
    let channel = divided(row, args.steps);
    var value = x[i];
    if channel < args.turned {
        let of_half = divided(channel, args.half);
        let turn = 2u * ((channel - of_half * args.half) * args.steps + row - channel * args.steps);
        let apart = args.half * args.steps * args.batch_quads;
        let is_first = of_half % 2u == 0u;
        let other = x[select(i - apart, i + apart, is_first)];
        value = value * turns[turn] + other * (select(args.sign, -args.sign, is_first) * turns[turn + 1u]);
    }
    if ADDS {
        y[i] += value;
    } else {
        y[i] = value;
    }
}
