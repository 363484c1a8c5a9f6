// Every kernel sees one row of workgroups, 0 .. grid.end. The host folds it into two
// dimensions when it is longer than 65,535, and cuts a long one into several dispatches.
struct Grid {
    first: u32, // the first workgroup of this dispatch
    end: u32,   // one past the last
}
@group(0) @binding(0) var<uniform> grid: Grid;

// The number of this workgroup in the whole row. A kernel returns at once if !(it < grid.end).
fn group_index(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return grid.first + id.y * groups.x + id.x;
}
