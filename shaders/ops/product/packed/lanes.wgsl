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

// What SHARED lanes have read of their entries, told to all: where each is, and its values.
struct Told {
    at: array<u32, SHARED>,
    w: array<array<f32, HEIGHT>, SHARED>,
}

// Of this lane's entry, which counts nothing if not `counts`: past the end of a row its last entry is read again.
fn tell(at: u32, w: array<f32, HEIGHT>, counts: bool) -> Told {
    var all: Told;
    all.at[0] = subgroupBroadcast(at, 0u);
    all.at[1] = subgroupBroadcast(at, 1u);
    all.at[2] = subgroupBroadcast(at, 2u);
    all.at[3] = subgroupBroadcast(at, 3u);
    for (var r = 0u; r < HEIGHT; r++) {
        let own = select(0.0, w[r], counts);
        all.w[0][r] = subgroupBroadcast(own, 0u);
        all.w[1][r] = subgroupBroadcast(own, 1u);
        all.w[2][r] = subgroupBroadcast(own, 2u);
        all.w[3][r] = subgroupBroadcast(own, 3u);
    }
    return all;
}
