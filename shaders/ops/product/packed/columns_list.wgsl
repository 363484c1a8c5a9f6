// The inputs of a packed weight's entries, one word each.
@group(0) @binding(12) var<storage, read> columns: array<u32>;

fn column(entry: u32, row: u32) -> u32 {
    return columns[entry];
}
