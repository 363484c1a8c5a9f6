// The gradient (rows, inner) of a linear layer's weight, written four inputs at a time. Needs inner % 4 == 0.
@group(0) @binding(8) var<storage, read_write> d_weight: array<vec4<f32>>;

fn write_d_weight(row: u32, quad: u32, value: vec4<f32>) {
    let quads = args.inner / 4u;
    if quad < quads { d_weight[row * quads + quad] = value; }
}
