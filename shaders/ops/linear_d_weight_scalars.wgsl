// The gradient (rows, inner) of a linear layer's weight for any `inner`, written one input at a time.
@group(0) @binding(4) var<storage, read_write> d_weight: array<f32>;

fn write_d_weight(row: u32, quad: u32, value: vec4<f32>) {
    for (var m = 0u; m < 4u; m++) {
        let input = 4u * quad + m;
        if input < args.inner { d_weight[row * args.inner + input] = value[m]; }
    }
}
