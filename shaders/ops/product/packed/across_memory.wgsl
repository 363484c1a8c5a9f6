// Adds the sums of a chunk up over its ACROSS invocations (a multiple of 4) through workgroup memory: in runs of ACROSS / 4,
// then the four runs.
const RUN = ACROSS / 4u;
const PITCH = ACROSS + 1u; // so that invocations that add up different sums meet different banks
var<workgroup> parts: array<f32, DOWN * SUMS * PITCH>;

@compute @workgroup_size(DOWN * ACROSS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let across = lane % ACROSS;
    let c = chunk_of(group_index(id, groups), lane / ACROSS);
    let own = sums_of(c, across);
    let base = lane / ACROSS * SUMS * PITCH;
    for (var e = 0u; e <= EACH; e++) {
        for (var r = 0u; r < HEIGHT; r++) {
            let i = e * HEIGHT + r;
            parts[base + i * PITCH + across] = own[i];
        }
    }
    workgroupBarrier();
    for (var i = across; i < SUMS * 4u; i += ACROSS) {
        let first = base + i / 4u * PITCH + i % 4u * RUN;
        var sum = parts[first];
        for (var k = 1u; k < RUN; k++) { sum += parts[first + k]; }
        parts[first] = sum;
    }
    workgroupBarrier();
    for (var i = across; i < SUMS; i += ACROSS) {
        let first = base + i * PITCH;
        leave(c, i, (parts[first] + parts[first + RUN]) + (parts[first + 2u * RUN] + parts[first + 3u * RUN]));
    }
}
