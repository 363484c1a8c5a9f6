// One step of an LSTM beside its products.   Hochreiter & Schmidhuber, 1997; Gers, Schmidhuber & Cummins, 2000 (forget gate).
//   forward:  i, f, o = sigmoid, g = tanh of x + weight h;  c = f c + i g;  h = o tanh(c).
//   backward: of h and c, to what the sigmoids and tanh are taken of, which takes the place of i, f, g and o.
// Gates: i, f, g, o. c_before, and `began`: c before the step. A sample keeps h and c in steps that it does not have.
//#use ops/cell
@group(0) @binding(13) var<storage, read_write> c_before: array<vec4<f32>>;

fn step_forward(unit: u32, quad: u32) {
    let i = sigmoids(x[then(0u, unit, quad)] + product[now(0u, unit, quad)]);
    let f = sigmoids(x[then(1u, unit, quad)] + product[now(1u, unit, quad)]);
    let g = tanhs(x[then(2u, unit, quad)] + product[now(2u, unit, quad)]);
    let o = sigmoids(x[then(3u, unit, quad)] + product[now(3u, unit, quad)]);
    let before = state[now(1u, unit, quad)];
    var c = f * before + i * g;
    var h = o * tanhs(c);
    if RAGGED {
        c = select(before, c, is_there(args.at, quad));
        h = select(state[now(0u, unit, quad)], h, is_there(args.at, quad));
    }
    if args.flag != 0u {
        h_before[then(0u, unit, quad)] = state[now(0u, unit, quad)];
        c_before[then(0u, unit, quad)] = before;
        gates[then(0u, unit, quad)] = i;
        gates[then(1u, unit, quad)] = f;
        gates[then(2u, unit, quad)] = g;
        gates[then(3u, unit, quad)] = o;
    }
    state[now(0u, unit, quad)] = h;
    state[now(1u, unit, quad)] = c;
    y[then(0u, unit, quad)] = h;
    if args.cells != 0u { y[then(1u, unit, quad)] = c; }
}

fn step_backward(unit: u32, quad: u32) {
    let one = vec4<f32>(1.0);
    let i = gates[then(0u, unit, quad)];
    let f = gates[then(1u, unit, quad)];
    let g = gates[then(2u, unit, quad)];
    let o = gates[then(3u, unit, quad)];
    let before = began[then(0u, unit, quad)];
    let bent = tanhs(f * before + i * g);
    var of_h = d_y[then(0u, unit, quad)] + later(d_h[now(0u, unit, quad)]);
    if RAGGED { of_h += later(d_past[now(0u, unit, quad)]); }
    var past = later(d_past[now(1u, unit, quad)]);
    if args.cells != 0u { past += d_y[then(1u, unit, quad)]; }
    let of_c = past + of_h * o * (one - bent * bent);
    d_past[now(1u, unit, quad)] = of_c * f;
    if RAGGED {
        d_past[now(0u, unit, quad)] = select(of_h, vec4<f32>(0.0), is_there(args.at, quad));
        d_past[now(1u, unit, quad)] = select(past, of_c * f, is_there(args.at, quad));
    }
    let d_i = of_step(of_c * g * i * (one - i), quad);
    let d_f = of_step(of_c * before * f * (one - f), quad);
    let d_g = of_step(of_c * i * (one - g * g), quad);
    let d_o = of_step(of_h * bent * o * (one - o), quad);
    gates[then(0u, unit, quad)] = d_i;
    gates[then(1u, unit, quad)] = d_f;
    gates[then(2u, unit, quad)] = d_g;
    gates[then(3u, unit, quad)] = d_o;
    d_product[now(0u, unit, quad)] = d_i;
    d_product[now(1u, unit, quad)] = d_f;
    d_product[now(2u, unit, quad)] = d_g;
    d_product[now(3u, unit, quad)] = d_o;
}
