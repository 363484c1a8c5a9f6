// The sum, by a fixed tree, of what LANES invocations of a workgroup have for each of its QUADS quads: the same bits every time.
// Invocation `lane` has something for quad `lane % QUADS`. Who includes this has WG = QUADS LANES, LANES a power of two.
// Everybody calls it; the result is everybody's. Between two calls lies a barrier.
var<workgroup> quad_branches: array<vec4<f32>, WG>;

fn total(lane: u32, own: vec4<f32>) -> vec4<f32> {
    quad_branches[lane] = own;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half * QUADS { quad_branches[lane] += quad_branches[lane + half * QUADS]; }
        workgroupBarrier();
    }
    return quad_branches[lane % QUADS];
}
