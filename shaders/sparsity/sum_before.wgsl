// The sum of a number of each invocation over all invocations before it, in two levels. Needs WG = ROW * ROW.
const ROW = 16u;

var<workgroup> sums: array<u32, WG>;
var<workgroup> rows: array<u32, ROW>; // sums of ROW lanes each

// The sum of `sums` over all lanes before this one. Everybody has written `sums` and waited.
fn sum_before(lane: u32) -> u32 {
    if lane < ROW {
        var sum = 0u;
        for (var j = 0u; j < ROW; j++) { sum += sums[lane * ROW + j]; }
        rows[lane] = sum;
    }
    workgroupBarrier();
    var before = 0u;
    for (var r = 0u; r < lane / ROW; r++) { before += rows[r]; }
    for (var other = lane / ROW * ROW; other < lane; other++) { before += sums[other]; }
    return before;
}
