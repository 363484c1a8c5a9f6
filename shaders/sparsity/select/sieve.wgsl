// What of a tile may be among the k largest |scores|, by two looks at it; what is left is selected from exactly.
// `guess`: a floor that more than k are thought to reach, from a sample. One workgroup.
// `sift`, `sift_texels`: marks the scores that reach the floor, and counts those that are not numbers. An invocation a word.
// score: (len,). mask: bits, i % 32 of word i / 32. A score of EXCLUDED is not marked. Keys are the bits of |score|.
//#use common/grid
//#use ops/texels
//#use sparsity/select/sum_before
//#use sparsity/select/topk_part
const WG = 256u;
const SIFTERS = 64u;
const OWN = BINS / WG;
const SHIFT = 20u;   // of the 31 bits of a key, 11 are looked at
const SAMPLE = 8192u;
const SPREAD = 2654435769u; // 2^32 over the golden ratio: multiples are spread evenly, and in no step with rows
const SPARE = 16u;   // in the sample: so that chance alone hardly ever leaves too few

struct Args { len: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<uniform> budget: Budget;
@group(0) @binding(3) var<storage, read> score: array<f32>;
@group(0) @binding(4) var<storage, read_write> guessed: array<u32>;
@group(0) @binding(5) var<storage, read> floor_key: array<u32>;
@group(0) @binding(6) var<storage, read_write> mask: array<u32>;
@group(0) @binding(7) var<storage, read_write> noted: array<atomic<u32>>;
@group(0) @binding(8) var score_texels: texture_storage_2d<rgba32float, read>;

var<workgroup> bins: array<atomic<u32>, BINS>;

// The lowest key of the bin in which twice as many of the sample are reached as k are of the tile; 0 where they are not.
@compute @workgroup_size(WG)
fn guess(@builtin(local_invocation_index) lane: u32) {
    for (var b = 0u; b < OWN; b++) { atomicStore(&bins[lane * OWN + b], 0u); }
    if lane == 0u { guessed[0] = 0u; }
    workgroupBarrier();
    for (var i = lane; i < SAMPLE; i += WG) {
        let k = bitcast<u32>(score[i * SPREAD % args.len]) & 0x7fffffffu;
        if k != EXCLUDED { atomicAdd(&bins[k >> SHIFT], 1u); }
    }
    workgroupBarrier();
    var own = 0u;
    for (var b = 0u; b < OWN; b++) { own += atomicLoad(&bins[lane * OWN + b]); }
    sums[lane] = own;
    workgroupBarrier();
    let up_to_here = sum_before(lane) + own;
    var above = total - up_to_here;
    // At most 2^20 scores for each of the sample, so that nothing overflows.
    let wanted = 2u * (budget.keep / (args.len / SAMPLE)) + SPARE;
    if above < wanted && wanted <= above + own {
        var bin = lane * OWN + OWN - 1u;
        var n = atomicLoad(&bins[bin]);
        while above + n < wanted {
            above += n;
            bin -= 1u;
            n = atomicLoad(&bins[bin]);
        }
        guessed[0] = bin << SHIFT;
    }
}

@compute @workgroup_size(SIFTERS)
fn sift(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let first = (group * SIFTERS + lane) * 32u;
    if !(group < grid.end && first < args.len) { return; }
    let floor = floor_key[0];
    var bits = 0u;
    var nans = 0u;
    for (var j = 0u; j < min(32u, args.len - first); j++) {
        let k = bitcast<u32>(score[first + j]) & 0x7fffffffu;
        bits |= select(0u, 1u << j, k >= floor && k != EXCLUDED);
        nans += select(0u, 1u, k > INFINITY);
    }
    mask[first / 32u] = bits;
    if nans != 0u { atomicAdd(&noted[0], nans); }
}

@compute @workgroup_size(SIFTERS)
fn sift_texels(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let first = (group * SIFTERS + lane) * 32u;
    if !(group < grid.end && first < args.len) { return; }
    let floor = vec4<u32>(floor_key[0]);
    var bits = 0u;
    var nans = vec4<u32>(0u);
    for (var q = 0u; q < 8u; q++) {
        let i = first / 4u + q;
        let past = vec4<u32>(4u * i) + vec4<u32>(0u, 1u, 2u, 3u) >= vec4<u32>(args.len);
        let all = bitcast<vec4<u32>>(textureLoad(score_texels, texel(i))) & vec4<u32>(0x7fffffffu);
        let k = select(all, vec4<u32>(EXCLUDED), past);
        let reached = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), (k >= floor) & (k != vec4<u32>(EXCLUDED)));
        bits |= (reached.x | reached.y | reached.z | reached.w) << (4u * q);
        nans += select(vec4<u32>(0u), vec4<u32>(1u), k > vec4<u32>(INFINITY));
    }
    mask[first / 32u] = bits;
    let all_nans = nans.x + nans.y + nans.z + nans.w;
    if all_nans != 0u { atomicAdd(&noted[0], all_nans); }
}
