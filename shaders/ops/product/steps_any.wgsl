// The depths of a tile's step, each by itself: a step may reach from one tap into the next.
struct Read { within: u32, source: From }

// What depth `at` of the step from k on reads of x, of depths (tap, channel); `first` and `source` are those of depth 0.
fn x_input(place: Place, first: Depth, source: From, k: u32, at: u32) -> Read {
    let own = depth_of(min(k + at, args.inner - 1u), channels());
    return Read(own.within, x_from(place, own.tap));
}

// Depth `at` of the step from k on, of depths (tap, row).
fn w_input(first: Depth, k: u32, at: u32) -> Depth {
    return depth_of(min(k + at, taps() * args.rows - 1u), args.rows);
}

// The same of d_y, of depths (tap, row).
fn y_input(place: Place, first: Depth, source: From, k: u32, at: u32) -> Read {
    let own = depth_of(min(k + at, taps() * args.rows - 1u), args.rows);
    return Read(own.within, y_from(place, own.tap));
}
