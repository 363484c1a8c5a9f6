// The values of a packed weight in a storage buffer.
@group(0) @binding(10) var<storage, read> values: array<f32>;

fn entry_values(entry: u32) -> array<f32, HEIGHT> {
    var all: array<f32, HEIGHT>;
    for (var r = 0u; r < HEIGHT; r++) { all[r] = values[entry * HEIGHT + r]; }
    return all;
}
