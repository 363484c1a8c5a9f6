// Where the kernels of a recurrent cell find a unit's numbers: those of one step are (units, batch), those of all steps
// (units, time, batch). One invocation a quad of samples of a unit.
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
}
@group(0) @binding(1) var<uniform> args: Args;

// Of a step.
fn now(unit: u32, quad: u32) -> u32 { return unit * args.quads + quad; }
// Of all steps.
fn then(unit: u32, quad: u32) -> u32 { return (unit * args.steps + args.at) * args.quads + quad; }

fn sigmoids(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(sigmoid_of(x.x), sigmoid_of(x.y), sigmoid_of(x.z), sigmoid_of(x.w));
}
fn tanhs(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(tanh_of(x.x), tanh_of(x.y), tanh_of(x.z), tanh_of(x.w));
}
// What comes from a later step: nothing in the first step of a backward pass.
fn later(d: vec4<f32>) -> vec4<f32> { return select(d, vec4<f32>(0.0), vec4<bool>(args.flag != 0u)); }
