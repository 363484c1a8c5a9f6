// What a recurrent layer begins a window with, and what it leaves to the next.
//   clear: state = 0.
//   open:  state = what was carried, or 0 in the first batch of an epoch.
//   leave: carried = state, and 0 where there is no sample.
// state, carried: (units, batch). One invocation per quad.
//#use common/grid
//#use common/step
const WG = 64u;

struct Args {
    len: u32,   // quads
    quads: u32, // of a batch
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> carried: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> last: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> left: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn clear(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    state[i] = vec4<f32>(0.0);
}

@compute @workgroup_size(WG)
fn open(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    state[i] = select(carried[i], vec4<f32>(0.0), vec4<bool>(step.first == 0u));
}

@compute @workgroup_size(WG)
fn leave(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let col = vec4<u32>(i % args.quads * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    left[i] = select(vec4<f32>(0.0), last[i], col < vec4<u32>(step.live));
}
