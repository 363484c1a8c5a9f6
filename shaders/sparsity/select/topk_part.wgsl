// What selections by radix have in common. Keys are the bits of |score|, which order as u32.
const BINS = 2048u;
const INFINITY = 0x7f800000u;
const EXCLUDED = 0x7f7fffffu; // the largest finite number
const ALL = 0xffffffffu;      // to take at the k-th key: all

// Entries of `counts`, four a tensor.
const KEPT = 0u;
const GROWN = 1u;
const DROPPED = 2u;
const NANS = 3u;

// Entries of `chosen`.
const KEY = 0u;   // the bits of the k-th key that are known; if all above them are taken, those and zeros
const TAKE = 1u;  // how many to take at it
const FLOOR = 2u; // no key below is counted
const LEVEL = 3u; // how many of its bits are not known: that of the round that comes next

struct Budget { keep: u32 }

// Bit j of a word of the mask, if the key of element j is kept; `rank` is the number of ties before it.
fn kept(k: u32, j: u32, threshold: u32, take: u32, rank: ptr<function, u32>) -> u32 {
    let is_tie = k == threshold;
    let is_kept = (k > threshold && k != EXCLUDED) || (is_tie && *rank < take);
    *rank += select(0u, 1u, is_tie);
    return select(0u, 1u << j, is_kept);
}
