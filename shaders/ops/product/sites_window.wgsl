// Where the operands of a convolution's products are. Columns are (site, batch): y (rows, sites of y, batch), x (channels,
// sites of x, batch), weight (rows, taps, channels). The site of y at (h, w) reads x at (h, w) stride + tap dilation -
// padding; where that lies outside there is nothing to read, and 0 is taken (`held`).
// Channels lie in groups, of which a row of the weight reads one: `channels` are those of a group.
// A place is the site and batch of a quad of columns of the result; a seat is the channel and tap of an input of a row.
//#use common/divided
struct Window {
    channels: u32, // of a group
    groups: u32,
    group_rows: u32, // rows that read the same group
    skip: u32, // rows of the weight before the first one here
    height: u32, // of x
    width: u32,
    out_height: u32, // of y
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
    dilation: u32,
    quads: u32, // of the batch
}
@group(0) @binding(15) var<uniform> window: Window;

struct Place { h: u32, w: u32, b: u32 }
struct Seat { at: u32, h: u32, w: u32 }
struct From { at: u32, open: bool }
struct Depth { tap: u32, within: u32 }

fn taps() -> u32 { return window.kernel_height * window.kernel_width; }
fn channels() -> u32 { return window.channels; }
fn x_channels() -> u32 { return window.channels * window.groups; }
// The first channel that a row reads.
fn first_channel(row: u32) -> u32 { return (row + window.skip) / window.group_rows * window.channels; }
// The rows that read a group, of those that are here: from the first to before the last.
fn rows_of(group: u32) -> vec2<u32> {
    let first = group * window.group_rows;
    let there = vec2<u32>(first, first + window.group_rows);
    return min(max(there, vec2<u32>(window.skip)) - window.skip, vec2<u32>(args.rows));
}
fn x_cols() -> u32 { return window.height * window.width * window.quads * 4u; }
fn sites() -> u32 { return window.out_height * window.out_width; }
fn site_quads() -> u32 { return window.quads; }

fn place(quad: u32, width: u32) -> Place {
    let site = quad / window.quads;
    return Place(site / width, site % width, quad % window.quads);
}
fn y_place(quad: u32) -> Place { return place(quad, window.out_width); }
fn x_place(quad: u32) -> Place { return place(quad, window.width); }

// Past 0 numbers wrap around to large ones, which are outside as well.
fn x_from_site(h: u32, w: u32, at: u32) -> From {
    let open = h < window.height && w < window.width;
    return From(at + select(0u, (h * window.width + w) * window.quads, open), open);
}

// The quad of x that a quad of y reads by a tap, of the first channel.
fn x_from(place: Place, tap: u32) -> From {
    let down = divided(tap, window.kernel_width);
    let across = tap - down * window.kernel_width;
    return x_from_site(place.h * window.stride + down * window.dilation - window.padding,
                       place.w * window.stride + across * window.dilation - window.padding, place.b);
}

// The quad of y that reads a quad of x by a tap, of the first row.
fn y_from(place: Place, tap: u32) -> From {
    let down = divided(tap, window.kernel_width);
    let across = tap - down * window.kernel_width;
    return y_from_site(place.h + window.padding - down * window.dilation,
                       place.w + window.padding - across * window.dilation, place.b, window.stride);
}

// The quad of y at (h, w) / stride, where h and w count sites of x from its border on: closed where the stride does not divide
// them, or outside y.
fn y_from_site(h: u32, w: u32, at: u32, stride: u32) -> From {
    var y_h = h;
    var y_w = w;
    var open = h < window.height + window.padding && w < window.width + window.padding;
    if stride > 1u {
        y_h = divided(h, stride);
        y_w = divided(w, stride);
        open = open && y_h * stride == h && y_w * stride == w;
    }
    open = open && y_h < window.out_height && y_w < window.out_width;
    return From(at + select(0u, (y_h * window.out_width + y_w) * window.quads, open), open);
}

// The tap of a depth, and where it is among the `each` depths of that tap.
fn depth_of(k: u32, each: u32) -> Depth {
    let tap = divided(k, each);
    return Depth(tap, k - tap * each);
}

fn x_seat(input: u32) -> Seat {
    let tap = input / window.channels;
    let down = tap / window.kernel_width;
    let across = tap % window.kernel_width;
    return Seat(input % window.channels * (x_cols() / 4u), down * window.dilation - window.padding,
                across * window.dilation - window.padding);
}

// The first quad of x that an input of a row reads for a site of y.
fn x_at(seat: Seat, site: u32) -> From {
    let h = divided(site, window.out_width);
    let w = site - h * window.out_width;
    return x_from_site(h * window.stride + seat.h, w * window.stride + seat.w, seat.at);
}

fn held(value: vec4<f32>, open: bool) -> vec4<f32> {
    return select(vec4<f32>(0.0), value, open);
}
