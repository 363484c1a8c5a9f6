// Mean and deviation of |gradient| over a whole tensor, weight decay included, pruned weights left out; by fixed trees.
// `add` and `mean`, then `add_squares` and `deviation`, which starts from the mean: the difference of two sums would
// lose the deviation of equal gradients.
// weight, grad: (len,). parts: (workgroups, 2), a sum and, of `add`, how many it is of. spread: mean, deviation, how many.
//#use common/grid
//#use common/tree
alias Summed = vec2<f32>;
//#use optim/weights

struct Args {
    len: u32,        // of the block; `mean` and `deviation`: how many parts
    mode: u32,
    first_part: u32, // of the block, where a tensor has several
    workgroups: u32, // and the number of its parts
    weight_decay: f32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;
@group(0) @binding(7) var<storage, read_write> spread: array<f32>;

// 1 for each of the four weights of quad i that counts: it is kept, and no padding.
fn counted(i: u32) -> vec4<f32> {
    let inside = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(args.len);
    return select(vec4<f32>(0.0), vec4<f32>(1.0), kept(i, args.mode) & inside);
}

fn magnitude(i: u32) -> vec4<f32> {
    return abs(grad[i] + args.weight_decay * weight[i]);
}

@compute @workgroup_size(WG)
fn add(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var own = vec2<f32>(0.0);
    for (var i = group * WG + lane; 4u * i < args.len; i += args.workgroups * WG) {
        let counts = counted(i);
        own += vec2<f32>(dot(counts, magnitude(i)), dot(counts, counts));
    }
    let sum = tree(lane, own);
    if lane < 2u { parts[(args.first_part + group) * 2u + lane] = sum[lane]; }
}

@compute @workgroup_size(WG)
fn add_squares(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var own = 0.0;
    for (var i = group * WG + lane; 4u * i < args.len; i += args.workgroups * WG) {
        let away = counted(i) * (magnitude(i) - spread[0]);
        own += dot(away, away);
    }
    let sum = tree(lane, vec2<f32>(own, 0.0));
    if lane < 2u { parts[(args.first_part + group) * 2u + lane] = sum[lane]; }
}

fn of_all(lane: u32) -> vec2<f32> {
    var own = vec2<f32>(0.0);
    for (var i = lane; i < args.len; i += WG) { own += vec2<f32>(parts[2u * i], parts[2u * i + 1u]); }
    return tree(lane, own);
}

@compute @workgroup_size(WG)
fn mean(@builtin(local_invocation_index) lane: u32) {
    let sum = of_all(lane);
    if lane == 0u {
        spread[0] = sum.x / max(sum.y, 1.0);
        spread[2] = sum.y;
    }
}

@compute @workgroup_size(WG)
fn deviation(@builtin(local_invocation_index) lane: u32) {
    let sum = of_all(lane);
    if lane == 0u { spread[1] = sqrt(sum.x / max(spread[2], 1.0)); }
}
