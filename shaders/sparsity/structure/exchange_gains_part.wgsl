// What pairs of groups would keep if one input of each changed places: Pool & Yu, 2021, for all pairs of a turn at once.
// Of a row, a group keeps its N largest. Without input i these would be all the others of the N largest, and `edge`: the
// N-th largest of the others. So with x in the place of i it keeps max(edge, x) - max(edge, a_i) more.
// sizes: (inner, quads) |weight| by input, four rows at a time. bounds: (groups, 2, quads) the N-th largest and the next.
// sums: (pairs, cells, all_shares, 6). A cell is four inputs of one group by four of the other; an invocation adds up a
// share of the rows: max(edge_i, b_j) + max(edge_j, a_i) by i (four quads), max(edge_i, a_i), max(edge_j, b_j).
// Numbers are compared by their bits, which order as they do: some drivers guard max of floats against NaN, at a price.
//#use sparsity/structure/exchange_args
@group(0) @binding(6) var<storage, read> bounds: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> sums: array<vec4<f32>>;

fn total(bits: vec4<u32>) -> f32 {
    let v = bitcast<vec4<f32>>(bits);
    return (v.x + v.y) + (v.z + v.w);
}

fn total_of_two(one: vec4<u32>, other: vec4<u32>) -> f32 {
    let v = bitcast<vec4<f32>>(one) + bitcast<vec4<f32>>(other);
    return (v.x + v.y) + (v.z + v.w);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let at = group * WG + lane;
    let share = at % args.shares;
    let side = (args.group + 3u) / 4u;
    let cell = at / args.shares % (side * side);
    let k = at / args.shares / (side * side);
    if !(k < (args.ring + 1u) / 2u) { return; }
    let p = pair(k);
    if !is_open(p) { return; }

    var a_first: array<u32, 4>;
    var b_first: array<u32, 4>;
    for (var i = 0u; i < 4u; i++) {
        a_first[i] = member(p.x, cell / side * 4u + i) * args.quads;
        b_first[i] = member(p.y, cell % side * 4u + i) * args.quads;
    }
    let a_bound = p.x * 2u * args.quads;
    let b_bound = p.y * 2u * args.quads;
    // Loops of constant bounds are unrolled, which keeps these out of indexed memory.
    var with_other: array<array<f32, 4>, 4>;
    var a_own: array<f32, 4>;
    var b_own: array<f32, 4>;
    for (var q = share; q < args.quads; q += args.shares) {
        let a_nth = bounds[a_bound + q];
        let a_next = bounds[a_bound + args.quads + q];
        let b_nth = bounds[b_bound + q];
        let b_next = bounds[b_bound + args.quads + q];
        var a: array<vec4<u32>, 4>;
        var a_edge: array<vec4<u32>, 4>;
        for (var i = 0u; i < 4u; i++) {
            a[i] = size_quad(a_first[i] + q);
            a_edge[i] = select(a_nth, a_next, a[i] >= a_nth);
            a_own[i] += total(max(a[i], a_nth));
        }
        for (var j = 0u; j < 4u; j++) {
            let b = size_quad(b_first[j] + q);
            let b_edge = select(b_nth, b_next, b >= b_nth);
            b_own[j] += total(max(b, b_nth));
            for (var i = 0u; i < 4u; i++) {
                with_other[i][j] += total_of_two(max(a_edge[i], b), max(b_edge, a[i]));
            }
        }
    }
    let out = ((k * side * side + cell) * args.all_shares + args.first_share + share) * 6u;
    for (var i = 0u; i < 4u; i++) {
        let s = with_other[i];
        sums[out + i] = vec4<f32>(s[0], s[1], s[2], s[3]);
    }
    sums[out + 4u] = vec4<f32>(a_own[0], a_own[1], a_own[2], a_own[3]);
    sums[out + 5u] = vec4<f32>(b_own[0], b_own[1], b_own[2], b_own[3]);
}
