// A line of taps of a row of a weight (rows, KERNEL * KERNEL), for strips.
const LINE = (KERNEL + 3u) / 4u; // quads of a line

fn taps_of(row: u32, line: u32) -> array<vec4<f32>, LINE> {
    var taps: array<vec4<f32>, LINE>;
    for (var q = 0u; q < LINE; q++) {
        taps[q] = weight_quad(row, line * KERNEL + 4u * q, (line + 1u) * KERNEL);
    }
    return taps;
}
