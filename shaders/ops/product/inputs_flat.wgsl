// The inputs of a row one after another, whatever their taps: for few channels, of which a quad would mostly be empty.
fn rounds() -> u32 { return 1u; }
fn inputs() -> u32 { return args.inner; }

// Where input k reads; `pitch` is the way from one channel to the next.
fn x_input(place: Place, source: From, k: u32, pitch: u32) -> From {
    let own = depth_of(min(k, args.inner - 1u), channels());
    let at = x_from(place, own.tap);
    return From(own.within * pitch + at.at, at.open);
}
