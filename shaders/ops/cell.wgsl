// What the kernels of recurrent cells have in common: entry points, bindings, and where they find a unit's numbers. A cell has
// `step_forward` and `step_backward`, which are given a unit and a quad of samples.
// state: (states units, batch), h and, of an LSTM, below it c. product, d_product: (gates units, batch), weight h and its gradient.
// x, gates: (gates units, time, batch). y, d_y: (units, time, batch), h of each step; if args.cells, below it c. h_before, began:
// (units, time, batch), what each step began with. d_h: (units, batch), from the later step by its product; d_past: as state, from
// there past the product. One invocation per quad of samples of a unit.
//#use common/grid
//#use ops/logistic
//#use ops/hyperbolic
const WG = 64u;

struct Args {
    units: u32,
    quads: u32,  // of a batch
    steps: u32,
    at: u32,     // the step
    flag: u32,   // forward: whether a backward pass follows; backward: whether it is the first step of that
    cells: u32,  // 1: y has c, too
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> product: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> gates: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> h_before: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> d_h: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read> began: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> d_past: array<vec4<f32>>;
@group(0) @binding(12) var<storage, read_write> d_product: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let number = group * WG + lane;
    if !(group < grid.end && number < args.units * args.quads) { return; }
    step_forward(number / args.quads, number % args.quads);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let number = group * WG + lane;
    if !(group < grid.end && number < args.units * args.quads) { return; }
    step_backward(number / args.quads, number % args.quads);
}

// Of a step: the number of a line of units.
fn now(line: u32, unit: u32, quad: u32) -> u32 { return (line * args.units + unit) * args.quads + quad; }
// Of all steps.
fn then(line: u32, unit: u32, quad: u32) -> u32 {
    return ((line * args.units + unit) * args.steps + args.at) * args.quads + quad;
}

fn sigmoids(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(sigmoid_of(x.x), sigmoid_of(x.y), sigmoid_of(x.z), sigmoid_of(x.w));
}
fn tanhs(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(tanh_of(x.x), tanh_of(x.y), tanh_of(x.z), tanh_of(x.w));
}
// What comes from a later step: nothing in the first step of a backward pass.
fn later(d: vec4<f32>) -> vec4<f32> { return select(d, vec4<f32>(0.0), vec4<bool>(args.flag != 0u)); }
// A number of a step that a sample has, 0 otherwise.
fn of_step(d: vec4<f32>, quad: u32) -> vec4<f32> { return select(vec4<f32>(0.0), d, is_there(args.at, quad)); }
