// An order of inputs in which N of every M keep more magnitude: Pool & Yu, 2021, by exchanges between pairs of groups.
// weight: (rows, inner). sizes: (inner, quads) |weight| by input, four rows at a time, 0 past the last row.
// bounds: (groups, 2, quads) by row, of each group: the N-th largest size and the next; 0 where there is none.
// sums: see exchange_gains_part. exchanged: how many pairs did so.
//#use sparsity/structure/exchange_args
@group(0) @binding(5) var<storage, read> weight: array<f32>;
@group(0) @binding(6) var<storage, read_write> turned: array<vec4<f32>>; // sizes, where they are written
@group(0) @binding(10) var<storage, read> sizes: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> bounds: array<vec4<u32>>;
@group(0) @binding(8) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> exchanged: array<atomic<u32>>;

// One invocation an input: each in its place, no group changed.
@compute @workgroup_size(WG)
fn begin(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.inner) { return; }
    order[i] = i;
    if i < args.groups { changed[i] = 0u; }
}

fn magnitude(row: u32, input: u32) -> f32 {
    return select(0.0, abs(weight[min(row, args.rows - 1u) * args.inner + input]), row < args.rows);
}

// One invocation an input and four rows.
@compute @workgroup_size(WG)
fn turn_around(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let input = i % args.inner;
    let q = i / args.inner;
    if !(group < grid.end && q < args.quads) { return; }
    let row = q * 4u;
    turned[input * args.quads + q] = vec4<f32>(magnitude(row, input), magnitude(row + 1u, input),
                                               magnitude(row + 2u, input), magnitude(row + 3u, input));
}

// One invocation a group that has changed in this turn and a share of the rows. Sizes are compared by their bits; the
// next largest is looked for among what is smaller than the last, or equal and behind it.
@compute @workgroup_size(WG)
fn find_bounds(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let share = i % args.shares;
    let own = i / args.shares;
    if !(group < grid.end && own < args.groups) { return; }
    if changed[own] != this_turn() { return; }
    let size = size_of(own);
    for (var q = share; q < args.quads; q += args.shares) {
        var nth = vec4<u32>(0u);
        var last = vec4<u32>(0xffffffffu);
        var last_at = vec4<u32>(0u);
        for (var turn = 0u; turn <= args.keep; turn++) {
            nth = select(nth, last, vec4<bool>(turn == args.keep));
            var best = vec4<u32>(0u);
            var best_at = vec4<u32>(size);
            for (var j = 0u; j < size; j++) {
                let s = bitcast<vec4<u32>>(sizes[member(own, j) * args.quads + q]);
                let behind = (s < last) | ((s == last) & (vec4<u32>(j) > last_at));
                let better = behind & ((s > best) | (best_at == vec4<u32>(size)));
                best = select(best, s, better);
                best_at = select(best_at, vec4<u32>(j), better);
            }
            last = best;
            last_at = best_at;
        }
        bounds[own * 2u * args.quads + q] = nth;
        bounds[(own * 2u + 1u) * args.quads + q] = last;
    }
}

struct Best { gain: f32, i: u32, j: u32 }

// Gains must exceed what rounding may feign; of equal ones the first, by i, then by j, is taken.
fn better(best: Best, gain: f32, compared: f32, i: u32, j: u32) -> Best {
    let first = i < best.i || (i == best.i && j < best.j);
    if gain > args.least * compared && (gain > best.gain || (gain == best.gain && first)) { return Best(gain, i, j); }
    return best;
}

// One invocation a pair: the exchange that gains most, if any does.
@compute @workgroup_size(WG)
fn exchange(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let k = group * WG + lane;
    if !(group < grid.end && k < (args.ring + 1u) / 2u) { return; }
    let p = pair(k);
    if !is_open(p) { return; }
    let side = (args.group + 3u) / 4u;
    var best = Best(0.0, 0u, 0u);
    for (var cell = 0u; cell < side * side; cell++) {
        var with_other: array<vec4<f32>, 4>;
        var a_own = vec4<f32>(0.0);
        var b_own = vec4<f32>(0.0);
        for (var share = 0u; share < args.all_shares; share++) {
            let at = ((k * side * side + cell) * args.all_shares + share) * 6u;
            for (var i = 0u; i < 4u; i++) { with_other[i] += sums[at + i]; }
            a_own += sums[at + 4u];
            b_own += sums[at + 5u];
        }
        for (var i = 0u; i < 4u; i++) {
            for (var j = 0u; j < 4u; j++) {
                let place = vec2<u32>(cell / side * 4u + i, cell % side * 4u + j);
                let compared = a_own[i] + b_own[j];
                if place.x < size_of(p.x) && place.y < size_of(p.y) {
                    best = better(best, with_other[i][j] - compared, compared, place.x, place.y);
                }
            }
        }
    }
    if !(best.gain > 0.0) { return; }
    let a_at = p.x * args.group + best.i;
    let b_at = p.y * args.group + best.j;
    let a = order[a_at];
    order[a_at] = order[b_at];
    order[b_at] = a;
    changed[p.x] = this_turn();
    changed[p.y] = this_turn();
    atomicAdd(&exchanged[0], 1u);
}
