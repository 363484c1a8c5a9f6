// Eight invocations, one subgroup, that read SHARED entries at once, each one, and tell each other: where every lane needs
// the same number, a software adapter would load it eight times.
//#needs subgroups
const LANES = 8u;
const SHARED = 4u; // more would be wasted at the end of short rows

// The sum of all lanes' numbers, in order of lane, for all of them.
fn lane_sum(x: f32) -> f32 {
    return subgroupBroadcast(x, 0u) + subgroupBroadcast(x, 1u) + subgroupBroadcast(x, 2u) + subgroupBroadcast(x, 3u)
        + subgroupBroadcast(x, 4u) + subgroupBroadcast(x, 5u) + subgroupBroadcast(x, 6u) + subgroupBroadcast(x, 7u);
}
