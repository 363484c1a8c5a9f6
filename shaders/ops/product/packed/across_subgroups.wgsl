// Adds the sums of a chunk up over its ACROSS invocations (a power of two) within subgroups, of whatever size they are, then
// over these through workgroup memory. A workgroup has one chunk.
//#needs subgroups
var<workgroup> parts: array<f32, SUMS * ACROSS / 4u>; // [sum][subgroup]: no subgroup is smaller than 4

@compute @workgroup_size(ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32, @builtin(subgroup_size) size: u32,
        @builtin(subgroup_invocation_id) place: u32, @builtin(subgroup_id) subgroup: u32,
        @builtin(num_subgroups) subgroups: u32) {
    let c = chunk_of(group_index(id, groups), 0u);
    var own = sums_of(c, lane);
    for (var half = min(size, ACROSS) / 2u; half > 0u; half /= 2u) {
        for (var e = 0u; e <= EACH; e++) {
            for (var r = 0u; r < HEIGHT; r++) {
                let i = e * HEIGHT + r;
                own[i] += subgroupShuffleXor(own[i], half);
            }
        }
    }
    if place == 0u {
        for (var e = 0u; e <= EACH; e++) {
            for (var r = 0u; r < HEIGHT; r++) {
                let i = e * HEIGHT + r;
                parts[i * ACROSS / 4u + subgroup] = own[i];
            }
        }
    }
    workgroupBarrier();
    for (var i = lane; i < SUMS; i += ACROSS) {
        var sum = parts[i * ACROSS / 4u];
        for (var k = 1u; k < subgroups; k++) { sum += parts[i * ACROSS / 4u + k]; }
        leave(c, i, sum);
    }
}
