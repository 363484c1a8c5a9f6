// Where the operands of a linear layer's products are: every column of the result reads its own column of x or d_y.
// A place says where a quad of columns (bf16: two) of the result is; a tap is a position of a kernel, of which there is one.
struct Place { quad: u32 }
struct Seat { at: u32 }
struct From { at: u32, open: bool }
struct Depth { tap: u32, within: u32 }

fn taps() -> u32 { return 1u; }
fn channels() -> u32 { return args.inner; }
fn x_channels() -> u32 { return args.inner; }
fn first_channel(row: u32) -> u32 { return 0u; }
fn rows_of(group: u32) -> vec2<u32> { return vec2<u32>(0u, args.rows); }
fn x_cols() -> u32 { return args.cols; }
fn y_place(quad: u32) -> Place { return Place(quad); }
fn x_place(quad: u32) -> Place { return Place(quad); }
fn x_from(place: Place, tap: u32) -> From { return From(place.quad, true); }
fn y_from(place: Place, tap: u32) -> From { return From(place.quad, true); }
fn depth_of(k: u32, each: u32) -> Depth { return Depth(0u, k); }
fn x_seat(input: u32) -> Seat { return Seat(input * (args.cols / 4u)); }
fn sites() -> u32 { return 1u; }
fn site_quads() -> u32 { return args.cols / 4u; }
fn x_at(seat: Seat, site: u32) -> From { return From(seat.at, true); }
fn held(value: vec4<f32>, open: bool) -> vec4<f32> { return value; }
