// The sum of a number of each of a workgroup's WG invocations, by a fixed tree: the same bits every time. Who includes this
// says what is added: `alias Summed = f32;`. WG is a power of two. Everybody calls it; the result is everybody's.
var<workgroup> branches: array<Summed, WG>;

fn tree(lane: u32, own: Summed) -> Summed {
    branches[lane] = own;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half { branches[lane] += branches[lane + half]; }
        workgroupBarrier();
    }
    return branches[0];
}
