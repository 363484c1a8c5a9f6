// One step of a GRU beside its products, as PyTorch and cuDNN have it.   Cho et al., 2014.
//   forward:  r, z = sigmoid of x + m with m = weight h + bias;  n = tanh(x_n + r m_n);  h = (1 - z) n + z h.
//   backward: of h, to what the sigmoids and tanh are taken of, and to m.
// Of x and products three lines: r, z, n. Of gates four: r, z, m_n, n; after the backward pass the gradients of m, and below them
// that of x_n. `began`: h before the step. A sample keeps h in steps that it does not have.
//#use ops/cell

fn step_forward(unit: u32, quad: u32) {
    let r = sigmoids(x[then(0u, unit, quad)] + product[now(0u, unit, quad)]);
    let z = sigmoids(x[then(1u, unit, quad)] + product[now(1u, unit, quad)]);
    let m = product[now(2u, unit, quad)];
    let n = tanhs(x[then(2u, unit, quad)] + r * m);
    let before = state[now(0u, unit, quad)];
    var h = (vec4<f32>(1.0) - z) * n + z * before;
    if RAGGED { h = select(before, h, is_there(args.at, quad)); }
    if args.flag != 0u {
        h_before[then(0u, unit, quad)] = before;
        gates[then(0u, unit, quad)] = r;
        gates[then(1u, unit, quad)] = z;
        gates[then(2u, unit, quad)] = m;
        gates[then(3u, unit, quad)] = n;
    }
    state[now(0u, unit, quad)] = h;
    y[then(0u, unit, quad)] = h;
}

fn step_backward(unit: u32, quad: u32) {
    let one = vec4<f32>(1.0);
    let r = gates[then(0u, unit, quad)];
    let z = gates[then(1u, unit, quad)];
    let m = gates[then(2u, unit, quad)];
    let n = gates[then(3u, unit, quad)];
    let past = later(d_past[now(0u, unit, quad)]);
    let of_h = d_y[then(0u, unit, quad)] + later(d_h[now(0u, unit, quad)]) + past;
    d_past[now(0u, unit, quad)] = of_h * z;
    if RAGGED { d_past[now(0u, unit, quad)] = select(of_h, of_h * z, is_there(args.at, quad)); }
    let d_n = of_step(of_h * (one - z) * (one - n * n), quad);
    let d_z = of_step(of_h * (began[then(0u, unit, quad)] - n) * z * (one - z), quad);
    let d_r = d_n * m * r * (one - r);
    let d_m = d_n * r;
    gates[then(0u, unit, quad)] = d_r;
    gates[then(1u, unit, quad)] = d_z;
    gates[then(2u, unit, quad)] = d_m;
    gates[then(3u, unit, quad)] = d_n;
    d_product[now(0u, unit, quad)] = d_r;
    d_product[now(1u, unit, quad)] = d_z;
    d_product[now(2u, unit, quad)] = d_m;
}
