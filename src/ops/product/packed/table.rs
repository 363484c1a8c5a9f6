//! The variants of the packed products, as data.

use super::variant::Body::{self, Chunks, Columns, Lanes, Rounds, Rows, Shared, Split, Subgroups};
use super::variant::Kind::{Eight, Four, Groups, Single};
use super::variant::Reads::{Bf16, Buffers, Texels, Words};
use super::variant::{PLAIN, PLAIN_CHUNKS, Variant, variant};
use crate::ops::variants::Product::{Forward, InputGrad, WeightGrad};

/// As many entries at a time as a GPU's registers hold the operands of, two quads each: by the height of blocks.
const ROUNDS: Body = Rounds { round: 4, quads: 2, down: 4, across: 16 };
const ROUNDS_OF_2: Body = Rounds { round: 2, quads: 2, down: 4, across: 16 };
const ROUNDS_OF_1: Body = Rounds { round: 1, quads: 2, down: 4, across: 16 };
/// Beside blocks of 8 rows.
const NARROW_ROUNDS: Body = Rounds { round: 2, quads: 1, down: 2, across: 32 };
const NARROW_ROUNDS_OF_1: Body = Rounds { round: 1, quads: 1, down: 2, across: 32 };
/// As much an invocation as registers hold.
const SOFTWARE: Body = Rows { quads: 4, each: 4, down: 1, across: 8 };
const SHARED: Body = Shared { round: 4, across: 32 };
const SUBGROUPS_4: Body = Subgroups { each: 4, across: 32 };
const SUBGROUPS_8: Body = Subgroups { each: 8, across: 32 };
const COLUMNS_4: Body = Columns { each: 4, down: 2, across: 32 };
const COLUMNS_8: Body = Columns { each: 8, down: 2, across: 32 };
/// Beside blocks of 8 rows, whose sums fill workgroup memory.
const COLUMNS_TALL: Body = Columns { each: 4, down: 1, across: 32 };
const LANES: Body = Lanes { quads: 4, each: 4 };

/// All variants; of those for a class of devices, the first of each product and form is the fixed default.
pub const ALL: &[Variant] = &[
    variant("ops/packed/forward_lanes", Forward, Single, Texels, LANES),
    variant("ops/packed/forward_lanes_narrow", Forward, Single, Bf16, LANES),
    variant("ops/packed/forward_texels", Forward, Single, Texels, SOFTWARE),
    variant("ops/packed/forward_narrow", Forward, Single, Bf16, SOFTWARE),
    variant("ops/packed/forward_rounds", Forward, Single, Buffers, ROUNDS),
    variant("ops/packed/forward_rounds_words", Forward, Single, Words, ROUNDS),
    variant(
        "ops/packed/forward_rounds_1_quad",
        Forward,
        Single,
        Buffers,
        Rounds { round: 4, quads: 1, down: 2, across: 32 },
    ),
    variant("ops/packed/forward_shared", Forward, Single, Buffers, SHARED),
    variant("ops/packed/forward_shared_words", Forward, Single, Words, SHARED),
    variant("ops/packed/forward_split", Forward, Single, Buffers, Split { slices: 4, across: 32 }),
    variant("ops/packed/forward", Forward, Single, Buffers, PLAIN),
    variant("ops/packed/forward_h4_lanes", Forward, Four, Texels, LANES),
    variant("ops/packed/forward_h4_lanes_narrow", Forward, Four, Bf16, LANES),
    variant("ops/packed/forward_h4_texels", Forward, Four, Texels, SOFTWARE),
    variant("ops/packed/forward_h4_narrow", Forward, Four, Bf16, SOFTWARE),
    variant("ops/packed/forward_h4_rounds", Forward, Four, Buffers, ROUNDS_OF_2),
    variant("ops/packed/forward_h4_rounds_words", Forward, Four, Words, ROUNDS_OF_1),
    variant("ops/packed/forward_h4", Forward, Four, Buffers, PLAIN),
    variant("ops/packed/forward_h8_lanes", Forward, Eight, Texels, LANES),
    variant("ops/packed/forward_h8_lanes_narrow", Forward, Eight, Bf16, LANES),
    variant("ops/packed/forward_h8_texels", Forward, Eight, Texels, SOFTWARE),
    variant("ops/packed/forward_h8_narrow", Forward, Eight, Bf16, SOFTWARE),
    variant("ops/packed/forward_h8_rounds", Forward, Eight, Buffers, NARROW_ROUNDS),
    variant("ops/packed/forward_h8_rounds_words", Forward, Eight, Words, NARROW_ROUNDS_OF_1),
    variant("ops/packed/forward_h8", Forward, Eight, Buffers, PLAIN),
    variant("ops/packed/forward_nm_lanes", Forward, Groups, Texels, LANES),
    variant("ops/packed/forward_nm_lanes_narrow", Forward, Groups, Bf16, LANES),
    variant("ops/packed/forward_nm_texels", Forward, Groups, Texels, SOFTWARE),
    variant("ops/packed/forward_nm_narrow", Forward, Groups, Bf16, SOFTWARE),
    variant("ops/packed/forward_nm_rounds", Forward, Groups, Buffers, ROUNDS),
    variant("ops/packed/forward_nm_rounds_words", Forward, Groups, Words, ROUNDS),
    variant("ops/packed/forward_nm", Forward, Groups, Buffers, PLAIN),
    variant("ops/packed/input_grad_lanes", InputGrad, Single, Texels, LANES),
    variant("ops/packed/input_grad_lanes_narrow", InputGrad, Single, Bf16, LANES),
    variant("ops/packed/input_grad_texels", InputGrad, Single, Texels, SOFTWARE),
    variant("ops/packed/input_grad_narrow", InputGrad, Single, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_rounds", InputGrad, Single, Buffers, ROUNDS),
    variant("ops/packed/input_grad_rounds_words", InputGrad, Single, Words, ROUNDS),
    variant(
        "ops/packed/input_grad_rounds_1_quad",
        InputGrad,
        Single,
        Buffers,
        Rounds { round: 4, quads: 1, down: 2, across: 32 },
    ),
    variant("ops/packed/input_grad_shared", InputGrad, Single, Buffers, SHARED),
    variant("ops/packed/input_grad_shared_words", InputGrad, Single, Words, SHARED),
    variant("ops/packed/input_grad_split", InputGrad, Single, Buffers, Split { slices: 4, across: 32 }),
    variant("ops/packed/input_grad", InputGrad, Single, Buffers, PLAIN),
    variant("ops/packed/input_grad_h4_texels", InputGrad, Four, Texels, SOFTWARE),
    variant("ops/packed/input_grad_h4_narrow", InputGrad, Four, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_h4_rounds", InputGrad, Four, Buffers, ROUNDS_OF_1),
    variant("ops/packed/input_grad_h4_rounds_words", InputGrad, Four, Words, ROUNDS_OF_1),
    variant("ops/packed/input_grad_h4", InputGrad, Four, Buffers, PLAIN),
    variant("ops/packed/input_grad_h8_texels", InputGrad, Eight, Texels, SOFTWARE),
    variant("ops/packed/input_grad_h8_narrow", InputGrad, Eight, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_h8_rounds", InputGrad, Eight, Buffers, NARROW_ROUNDS_OF_1),
    variant("ops/packed/input_grad_h8_rounds_words", InputGrad, Eight, Words, NARROW_ROUNDS_OF_1),
    variant("ops/packed/input_grad_h8", InputGrad, Eight, Buffers, PLAIN),
    variant("ops/packed/input_grad_nm_lanes", InputGrad, Groups, Texels, LANES),
    variant("ops/packed/input_grad_nm_lanes_narrow", InputGrad, Groups, Bf16, LANES),
    variant("ops/packed/input_grad_nm_texels", InputGrad, Groups, Texels, SOFTWARE),
    variant("ops/packed/input_grad_nm_narrow", InputGrad, Groups, Bf16, SOFTWARE),
    variant("ops/packed/input_grad_nm_rounds", InputGrad, Groups, Buffers, ROUNDS),
    variant("ops/packed/input_grad_nm_rounds_words", InputGrad, Groups, Words, ROUNDS),
    variant("ops/packed/input_grad_nm", InputGrad, Groups, Buffers, PLAIN),
    variant("ops/packed/weight_grad_texels", WeightGrad, Single, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_narrow", WeightGrad, Single, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_subgroups", WeightGrad, Single, Buffers, SUBGROUPS_4),
    variant("ops/packed/weight_grad_subgroups_words", WeightGrad, Single, Words, SUBGROUPS_4),
    variant("ops/packed/weight_grad_columns", WeightGrad, Single, Buffers, COLUMNS_4),
    variant("ops/packed/weight_grad_columns_words", WeightGrad, Single, Words, COLUMNS_4),
    variant("ops/packed/weight_grad_8_texels", WeightGrad, Single, Texels, Chunks { each: 8, wg: 8 }),
    variant("ops/packed/weight_grad_8_narrow", WeightGrad, Single, Bf16, Chunks { each: 8, wg: 8 }),
    variant("ops/packed/weight_grad_8_subgroups", WeightGrad, Single, Buffers, SUBGROUPS_8),
    variant("ops/packed/weight_grad_8_subgroups_words", WeightGrad, Single, Words, SUBGROUPS_8),
    variant("ops/packed/weight_grad_8_columns", WeightGrad, Single, Buffers, COLUMNS_8),
    variant("ops/packed/weight_grad_8_columns_words", WeightGrad, Single, Words, COLUMNS_8),
    variant("ops/packed/weight_grad", WeightGrad, Single, Buffers, PLAIN_CHUNKS),
    variant("ops/packed/weight_grad_h4_lanes", WeightGrad, Four, Texels, LANES),
    variant("ops/packed/weight_grad_h4_texels", WeightGrad, Four, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_h4_narrow", WeightGrad, Four, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_h4_subgroups", WeightGrad, Four, Buffers, SUBGROUPS_4),
    variant("ops/packed/weight_grad_h4_subgroups_words", WeightGrad, Four, Words, SUBGROUPS_4),
    variant("ops/packed/weight_grad_h4_columns", WeightGrad, Four, Buffers, COLUMNS_4),
    variant("ops/packed/weight_grad_h4_columns_words", WeightGrad, Four, Words, COLUMNS_4),
    variant("ops/packed/weight_grad_h4", WeightGrad, Four, Buffers, PLAIN_CHUNKS),
    variant("ops/packed/weight_grad_h8_lanes", WeightGrad, Eight, Texels, LANES),
    variant("ops/packed/weight_grad_h8_texels", WeightGrad, Eight, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_h8_narrow", WeightGrad, Eight, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_h8_subgroups", WeightGrad, Eight, Buffers, SUBGROUPS_4),
    variant("ops/packed/weight_grad_h8_subgroups_words", WeightGrad, Eight, Words, SUBGROUPS_4),
    variant("ops/packed/weight_grad_h8_columns", WeightGrad, Eight, Buffers, COLUMNS_TALL),
    variant("ops/packed/weight_grad_h8_columns_words", WeightGrad, Eight, Words, COLUMNS_TALL),
    variant("ops/packed/weight_grad_h8", WeightGrad, Eight, Buffers, PLAIN_CHUNKS),
    variant("ops/packed/weight_grad_nm_texels", WeightGrad, Groups, Texels, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_nm_narrow", WeightGrad, Groups, Bf16, Chunks { each: 4, wg: 8 }),
    variant("ops/packed/weight_grad_nm_subgroups", WeightGrad, Groups, Buffers, SUBGROUPS_4),
    variant("ops/packed/weight_grad_nm_subgroups_words", WeightGrad, Groups, Words, SUBGROUPS_4),
    variant("ops/packed/weight_grad_nm_columns", WeightGrad, Groups, Buffers, COLUMNS_4),
    variant("ops/packed/weight_grad_nm_columns_words", WeightGrad, Groups, Words, COLUMNS_4),
    variant("ops/packed/weight_grad_8_nm_texels", WeightGrad, Groups, Texels, Chunks { each: 8, wg: 8 }),
    variant("ops/packed/weight_grad_8_nm_narrow", WeightGrad, Groups, Bf16, Chunks { each: 8, wg: 8 }),
    variant("ops/packed/weight_grad_8_nm_subgroups", WeightGrad, Groups, Buffers, SUBGROUPS_8),
    variant("ops/packed/weight_grad_8_nm_subgroups_words", WeightGrad, Groups, Words, SUBGROUPS_8),
    variant("ops/packed/weight_grad_8_nm_columns", WeightGrad, Groups, Buffers, COLUMNS_8),
    variant("ops/packed/weight_grad_8_nm_columns_words", WeightGrad, Groups, Words, COLUMNS_8),
    variant("ops/packed/weight_grad_nm", WeightGrad, Groups, Buffers, PLAIN_CHUNKS),
];
