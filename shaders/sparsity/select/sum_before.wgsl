// The sum of a number of each invocation over all invocations before it, in two levels. Needs WG = ROW * ROW.
const ROW = 16u;

var<workgroup> sums: array<u32, WG>;     // of each invocation; then of those before it in its row
var<workgroup> rows: array<u32, ROW>;    // of each row; then of those before it
var<workgroup> total: u32;

// The sum of `sums` over all invocations before this one; `total` is that of all. Everybody has written `sums` and waited.
fn sum_before(lane: u32) -> u32 {
    if lane < ROW {
        var sum = 0u;
        for (var i = lane * ROW; i < (lane + 1u) * ROW; i++) {
            let own = sums[i];
            sums[i] = sum;
            sum += own;
        }
        rows[lane] = sum;
    }
    workgroupBarrier();
    if lane == 0u {
        var sum = 0u;
        for (var r = lane; r < ROW; r++) {
            let own = rows[r];
            rows[r] = sum;
            sum += own;
        }
        total = sum;
    }
    workgroupBarrier();
    return rows[lane / ROW] + sums[lane];
}
