// The depths of a tile's step, all of one tap: its channels (rows, for the input gradient) are a multiple of DEPTH. The
// arithmetic of a tap is done once for all of them.
struct Read { within: u32, source: From }

// What depth `at` of a step reads of x, of depths (tap, channel); `first` and `source` are those of depth 0.
fn x_input(place: Place, first: Depth, source: From, k: u32, at: u32) -> Read {
    return Read(first.within + at, source);
}

// Depth `at` of the step from k on, of depths (tap, row).
fn w_input(first: Depth, k: u32, at: u32) -> Depth {
    return Depth(first.tap, first.within + at);
}

// The same of d_y, of depths (tap, row).
fn y_input(place: Place, first: Depth, source: From, k: u32, at: u32) -> Read {
    return Read(first.within + at, source);
}
