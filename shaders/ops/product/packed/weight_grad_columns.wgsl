// d_values[entry] = d_y[row] . x[input] at the kept entries of a packed weight alone; d_bias = sum of d_y over columns: for
// GPUs, with the invocations of a chunk side by side along the columns, so that all they load is coalesced.
// d_y: (rows, cols). x: (channels, its columns). d_values: as values. d_bias: (rows,).
// chunks: pairs (row of blocks, first entry): at most EACH entries of one row, so that uneven rows are split evenly. A
// row without entries has a chunk, too, for its bias; chunks that are not used have row NONE.
// d_y is loaded once for EACH entries, PER quads of columns at a time: one of f32, two of bf16. What the ACROSS
// invocations of a chunk have summed up is added over them at the end (`add_up`), in an order that depends on nothing else.
// Workgroups: ceil(chunks / DOWN).
// Left open: HEIGHT, EACH, DOWN, ACROSS; parts sites_*, entries_*, x_*, d_y_*, and across_memory or across_subgroups.
//#use common/grid
//#use ops/product/packed/args
@group(0) @binding(8) var<storage, read_write> d_values: array<f32>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<f32>;
@group(0) @binding(11) var<storage, read> starts: array<u32>;
@group(0) @binding(13) var<storage, read> chunks: array<u32>;

// The sums of a chunk: of each value of each entry, and behind them of each bias.
const SUMS = (EACH + 1u) * HEIGHT;
alias Sums = array<f32, SUMS>;

struct Chunk { row: u32, first: u32, end: u32, counts: bool }

fn chunk_of(group: u32, down: u32) -> Chunk {
    let i = group * DOWN + down;
    // No return before a barrier: chunks past the end compute and write nothing.
    let own = min(i, args.chunks - 1u);
    let row = chunks[2u * own];
    let used = row < args.rows;
    let safe = min(row, args.rows - 1u);
    let first = select(starts[safe], chunks[2u * own + 1u], used);
    return Chunk(safe, first, min(first + EACH, starts[safe + 1u]), group < grid.end && i < args.chunks && used);
}

fn sums_of(c: Chunk, across: u32) -> Sums {
    let loads = args.cols / (4u * PER);
    // Past the row's end its last entry is read again; nothing of it is written. (Of a row without entries, which N:M does
    // not have, the entry before serves as well as any.)
    var at: array<u32, EACH>;
    for (var e = 0u; e < EACH; e++) { at[e] = column(min(c.first + e, max(c.end, 1u) - 1u), c.row) * unit(); }
    var sums: Sums; // zero at first
    for (var load = across; load < loads; load += ACROSS) {
        var xs: array<array<vec4<f32>, PER>, EACH>;
        let from_load = load_at(load);
        for (var e = 0u; e < EACH; e++) { xs[e] = x_load(at[e] + from_load); }
        for (var r = 0u; r < HEIGHT; r++) {
            let dys = d_y_load((c.row * HEIGHT + r) * loads + load);
            for (var p = 0u; p < PER; p++) {
                for (var e = 0u; e < EACH; e++) { sums[e * HEIGHT + r] += dot(dys[p], xs[e][p]); }
                sums[EACH * HEIGHT + r] += dot(dys[p], vec4<f32>(1.0));
            }
        }
    }
    return sums;
}

// Puts sum number i of a chunk, which is complete, where it belongs.
fn leave(c: Chunk, i: u32, sum: f32) {
    if i < EACH * HEIGHT {
        if c.counts && c.first + i / HEIGHT < c.end { d_values[c.first * HEIGHT + i] = sum; }
    } else if c.counts && c.first == starts[c.row] {
        d_bias[c.row * HEIGHT + i - EACH * HEIGHT] = sum;
    }
}
