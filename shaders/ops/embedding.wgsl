// Rows of a table by token, and the gradient of the table.
// table, d_table: (rows, channels), those from token `begin` on. tokens: (cols,). y, d_y: (channels, cols).
// keys: a power of two of them: the columns in the order of (token, column), as token * len + column, then u32::MAX.
//#use common/grid
const WG = 64u;
const EACH = 16u; // channels of one invocation of `gather`
const NONE = 0xffffffffu;

struct Args {
    rows: u32,
    channels: u32,
    cols: u32,
    begin: u32,
    len: u32,     // of keys
    padding: u32, // a token whose row has no gradient, or NONE
    block: u32,   // keys that a workgroup sorts, a power of two
    width: u32,   // of the sequences that `merge_far` and `merge_near` make
    apart: u32,   // how far the keys lie that `merge_far` compares
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;
@group(0) @binding(6) var<storage, read> d_y: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_table: array<f32>;

// One invocation per EACH channels of a column: neighbours write neighbours.
@compute @workgroup_size(WG)
fn gather(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let first = i / max(args.cols, 1u) * EACH;
    if !(group < grid.end && first < args.channels) { return; }
    let col = i % args.cols;
    let row = tokens[col] - args.begin; // wraps round where it lies before: no row then
    if row >= args.rows { return; }
    for (var c = first; c < min(first + EACH, args.channels); c++) {
        y[c * args.cols + col] = table[row * args.channels + c];
    }
}

// Keys are sorted by a bitonic network (Batcher 1968); they differ, so that their order is one. What lies within a block is one
// workgroup's: `sort` for sequences up to a block, `merge_near` for the last steps of longer ones.
const SORT = 256u;

// Puts a pair of keys into the order that its place in the network asks for.
fn exchange(pair: u32, width: u32, apart: u32) {
    let low = pair / apart * 2u * apart + pair % apart;
    let rising = (low & width) == 0u;
    let a = keys[low];
    let b = keys[low + apart];
    if (a > b) == rising {
        keys[low] = b;
        keys[low + apart] = a;
    }
}

@compute @workgroup_size(SORT)
fn sort(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let first = group * args.block;
    for (var i = first + lane; i < first + args.block; i += SORT) {
        keys[i] = NONE;
        if i < args.cols { keys[i] = tokens[i] * args.len + i; }
    }
    storageBarrier();
    for (var width = 2u; width <= args.block; width *= 2u) {
        for (var apart = width / 2u; apart > 0u; apart /= 2u) {
            for (var pair = lane; pair < args.block / 2u; pair += SORT) { exchange(first / 2u + pair, width, apart); }
            storageBarrier();
        }
    }
}

// One invocation per pair.
@compute @workgroup_size(WG)
fn merge_far(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let pair = group * WG + lane;
    if !(group < grid.end && pair < args.len / 2u) { return; }
    exchange(pair, args.width, args.apart);
}

@compute @workgroup_size(SORT)
fn merge_near(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    for (var apart = args.block / 2u; apart > 0u; apart /= 2u) {
        for (var pair = lane; pair < args.block / 2u; pair += SORT) {
            exchange(group * args.block / 2u + pair, args.width, apart);
        }
        storageBarrier();
    }
}

// The first place in `keys` that is not below `key`.
fn place(key: u32) -> u32 {
    var low = 0u;
    var high = args.cols;
    while low < high {
        let middle = (low + high) / 2u;
        if keys[middle] < key { low = middle + 1u; } else { high = middle; }
    }
    return low;
}

// Each row's gradient is the sum over the columns with its token, in their order; 0 where there is none.
// One invocation per number of the table.
@compute @workgroup_size(WG)
fn scatter(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.rows * args.channels) { return; }
    let token = args.begin + i / args.channels;
    let channel = i % args.channels;
    var sum = 0.0;
    if token != args.padding {
        for (var at = place(token * args.len); at < args.cols && keys[at] / args.len == token; at++) {
            sum += d_y[channel * args.cols + keys[at] % args.len];
        }
    }
    d_table[i] = sum;
}
