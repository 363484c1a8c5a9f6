// A product left * right of two matrices in 64 x 64 tiles through workgroup memory, for GPUs. 256 invocations, each
// with 4 x 4 sums; the depth is taken 16 at a time. 8.5 KiB of workgroup memory.
const TILE = 64u;
const DEPTH = 16u;
const WG = 256u;
const PITCH = TILE + 4u; // a step of 4 banks from one depth to the next

var<workgroup> left: array<f32, DEPTH * PITCH>;  // [depth][row of the tile]
var<workgroup> right: array<f32, DEPTH * PITCH>; // [depth][column of the tile]

// Every invocation brings one quad of each matrix. `along`: four depths of line lane / 4, from depth 4 * (lane % 4).
// `across`: depth lane / 16 of four lines, from line 4 * (lane % 16).
fn left_along(lane: u32, v: vec4<f32>) {
    let at = lane % 4u * 4u * PITCH + lane / 4u;
    left[at] = v.x;
    left[at + PITCH] = v.y;
    left[at + 2u * PITCH] = v.z;
    left[at + 3u * PITCH] = v.w;
}

fn left_across(lane: u32, v: vec4<f32>) {
    let at = lane / 16u * PITCH + lane % 16u * 4u;
    left[at] = v.x;
    left[at + 1u] = v.y;
    left[at + 2u] = v.z;
    left[at + 3u] = v.w;
}

fn right_along(lane: u32, v: vec4<f32>) {
    let at = lane % 4u * 4u * PITCH + lane / 4u;
    right[at] = v.x;
    right[at + PITCH] = v.y;
    right[at + 2u * PITCH] = v.z;
    right[at + 3u * PITCH] = v.w;
}

fn right_across(lane: u32, v: vec4<f32>) {
    let at = lane / 16u * PITCH + lane % 16u * 4u;
    right[at] = v.x;
    right[at + 1u] = v.y;
    right[at + 2u] = v.z;
    right[at + 3u] = v.w;
}

// Adds what lies in workgroup memory to the sums of rows 4 * (lane / 16) .. + 4, columns 4 * (lane % 16) .. + 4.
fn add_tile(lane: u32, sum: ptr<function, array<vec4<f32>, 4>>) {
    for (var d = 0u; d < DEPTH; d++) {
        let l = d * PITCH + lane / 16u * 4u;
        let r = d * PITCH + lane % 16u * 4u;
        let b = vec4<f32>(right[r], right[r + 1u], right[r + 2u], right[r + 3u]);
        (*sum)[0] += left[l] * b;
        (*sum)[1] += left[l + 1u] * b;
        (*sum)[2] += left[l + 2u] * b;
        (*sum)[3] += left[l + 3u] * b;
    }
}
