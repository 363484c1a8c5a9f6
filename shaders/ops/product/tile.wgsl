// A product left * right of two matrices in tiles of LINES by COLUMNS through workgroup memory, for GPUs. An invocation
// has SUMS by 4 QUADS sums; the depth is taken DEPTH at a time, and as much is on its way into registers meanwhile.
// Multiply-adds for each vec4 read of workgroup memory: 16 SUMS QUADS / (SUMS + 4 QUADS), which is 10.7 for 8 by 4 sums.
// A body brings the operands (`load`) and says whether each comes `along` the depth (four depths of a line in one vec4)
// or `across` it (four lines at one depth); it puts a result where it belongs (`finish`).
// Left open: LINES, COLUMNS, SUMS, QUADS, DEPTH; LEFT_ALONG, RIGHT_ALONG of the body; part tile_whole or tile_slices.
const ACROSS = COLUMNS / 4u / QUADS; // invocations side by side
const WG = LINES / SUMS * ACROSS;
const LEFT = LINES * DEPTH / 16u; // invocations that bring the left tile, four vec4 each; the next RIGHT bring the right one
const RIGHT = COLUMNS * DEPTH / 16u;
const LEFT_PITCH = LINES / 4u + 1u; // in vec4; one more, so that writes along the depth meet fewer banks twice
const RIGHT_PITCH = COLUMNS / 4u + 1u;

var<workgroup> left: array<vec4<f32>, DEPTH * LEFT_PITCH>;   // [depth][four lines]
var<workgroup> right: array<vec4<f32>, DEPTH * RIGHT_PITCH>; // [depth][four columns]

alias Load = array<vec4<f32>, 4>;
alias Sums = array<array<vec4<f32>, QUADS>, SUMS>;

// Which part of its operand an invocation brings with vec4 number j of four: the first of four lines and a depth, if the
// operand comes across, or a line and the first of four depths, if it comes along.
struct Part { line: u32, depth: u32 }

fn along(i: u32, j: u32) -> Part { return Part(i / (DEPTH / 4u) * 4u + j, i % (DEPTH / 4u) * 4u); }
fn across(i: u32, j: u32, lines: u32) -> Part {
    return Part(i % (lines / 4u) * 4u, i / (lines / 4u) + DEPTH / 4u * j);
}

fn left_part(i: u32, j: u32) -> Part {
    if LEFT_ALONG { return along(i, j); }
    return across(i, j, LINES);
}
fn right_part(i: u32, j: u32) -> Part {
    if RIGHT_ALONG { return along(i, j); }
    return across(i, j, COLUMNS);
}

// Four lines by four depths, turned around where they came along.
fn by_depth(v: Load, turned: bool, j: u32) -> vec4<f32> {
    if !turned { return v[j]; }
    return vec4<f32>(v[0][j], v[1][j], v[2][j], v[3][j]);
}

// Puts what was brought into workgroup memory.
fn put(lane: u32, v: Load) {
    if lane < LEFT {
        for (var j = 0u; j < 4u; j++) {
            let part = left_part(lane, select(j, 0u, LEFT_ALONG));
            let depth = part.depth + select(0u, j, LEFT_ALONG);
            left[depth * LEFT_PITCH + part.line / 4u] = by_depth(v, LEFT_ALONG, j);
        }
    } else if lane < LEFT + RIGHT {
        for (var j = 0u; j < 4u; j++) {
            let part = right_part(lane - LEFT, select(j, 0u, RIGHT_ALONG));
            let depth = part.depth + select(0u, j, RIGHT_ALONG);
            right[depth * RIGHT_PITCH + part.line / 4u] = by_depth(v, RIGHT_ALONG, j);
        }
    }
}

// Adds what lies in workgroup memory to the sums of lines SUMS * (lane / ACROSS) .., quads lane % ACROSS, + ACROSS, ...
fn add_tile(lane: u32, sum: ptr<function, Sums>) {
    for (var d = 0u; d < DEPTH; d++) {
        var r: array<vec4<f32>, QUADS>;
        for (var q = 0u; q < QUADS; q++) { r[q] = right[d * RIGHT_PITCH + lane % ACROSS + q * ACROSS]; }
        for (var s = 0u; s < SUMS / 4u; s++) {
            let l = left[d * LEFT_PITCH + lane / ACROSS * (SUMS / 4u) + s];
            for (var q = 0u; q < QUADS; q++) {
                (*sum)[4u * s][q] += l.x * r[q];
                (*sum)[4u * s + 1u][q] += l.y * r[q];
                (*sum)[4u * s + 2u][q] += l.z * r[q];
                (*sum)[4u * s + 3u][q] += l.w * r[q];
            }
        }
    }
}

// The tile of a workgroup: its first line and column, and the depths that it adds up.
struct Work { line: u32, column: u32, first: u32, end: u32, slice: u32 }

fn work(group: u32, lines: u32, columns: u32, depth: u32) -> Work {
    let side_by_side = (columns + COLUMNS - 1u) / COLUMNS;
    let tiles = (lines + LINES - 1u) / LINES * side_by_side;
    let slice = group / tiles;
    let tile = group % tiles;
    let each = (depth + DEPTH * slices() - 1u) / (DEPTH * slices()) * DEPTH;
    let first = slice * each;
    return Work(tile / side_by_side * LINES, tile % side_by_side * COLUMNS, first, min(first + each, depth), slice);
}
