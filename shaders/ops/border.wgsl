// Images with zeros around and between their sites: y[c, first + step h, first + step w] = x[c, h, w].
// x: (channels, height, width, run). y: (channels, y_height, y_width, run), 0 elsewhere. A run is the batch, in vec4 of words:
// words are copied whatever they mean. One invocation a vec4 of y.
//#use common/grid
//#use common/divided
struct Args {
    channels: u32,
    height: u32,
    width: u32,
    y_height: u32,
    y_width: u32,
    first: u32,
    step: u32,
    run: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<u32>>;
const WG = 64u;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let each = args.y_height * args.y_width * args.run; // of a channel
    let channel = divided(i, each);
    if !(group < grid.end && channel < args.channels) { return; }
    let within = i - channel * each;
    let site = divided(within, args.run);
    let row = divided(site, args.y_width);
    // Before the first site numbers wrap around. Whatever their quotients are: no h below the height times the step is one.
    let down = row - args.first;
    let across = site - row * args.y_width - args.first;
    let h = divided(down, args.step);
    let w = divided(across, args.step);
    let open = h * args.step == down && w * args.step == across && h < args.height && w < args.width;
    let from_site = channel * args.height * args.width + h * args.width + w;
    y[i] = select(vec4<u32>(0u), x[select(0u, from_site * args.run + within - site * args.run, open)], open);
}
