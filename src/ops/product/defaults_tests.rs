//! What computes the products where nothing was measured, on devices that need not be here.

use crate::gpu::{Gpu, Identity};
use crate::ops::packed::Form;
use crate::ops::packed::variants::{Case, suitable};
use crate::ops::variants::{ALL, Class, FILL, Product, Shape, default, fitting};
use crate::ops::window::Window;

fn device(class: &str, subgroups: bool) -> Gpu {
    Gpu::counted_as(&Identity {
        adapter: "imagined".into(),
        backend: "Vulkan".into(),
        class: class.into(),
        driver: String::new(),
        subgroups,
        reason: "a test".into(),
    })
}

fn dense(class: &str, shape: Shape) -> [&'static str; 3] {
    Product::ALL.map(|product| default(&device(class, true), product, shape).name)
}

#[test]
fn dense_products_fill_a_gpu_or_have_nothing_better() {
    // Large, as large as a network of 1024 units at batch 128, its head, and inputs that no vec4 divides.
    let names = |shape| dense("discrete", shape);
    let tiles = |tile: &str| Product::ALL.map(|product| format!("{}/{tile}", product.name()));
    assert_eq!(names(Shape::new(4096, 4096, 4096)), tiles("tile_128x64")[..]);
    assert_eq!(names(Shape::new(1024, 1024, 1024)), tiles("tile_64x64")[..]);
    let [forward, input_grad, weight_grad] = names(Shape::new(1024, 1024, 128));
    assert_eq!([forward, input_grad], ["forward/tile_32x32", "input_grad/tile_32x32"]);
    assert_eq!(weight_grad, "weight_grad/tile_64x64");
    assert_eq!(names(Shape::new(10, 1024, 128))[0], "forward/tile_slices");
    for product in Product::ALL {
        let odd = default(&device("integrated", false), product, Shape::new(65, 63, 68));
        assert!(odd.name.ends_with("_any"), "{}", odd.name);
        for shape in [Shape::new(1024, 784, 128), Shape::new(512, 512, 128), Shape::new(300, 784, 64)] {
            let chosen = default(&device("discrete", true), product, shape);
            let filled = chosen.groups(shape) >= FILL;
            let most = fitting(product, shape)
                .filter(|one| one.class == Class::Gpu)
                .map(|one| one.groups(shape))
                .max();
            assert!(filled || Some(chosen.groups(shape)) == most, "{} {shape:?}", chosen.name);
        }
    }
}

/// Rows of 64 or 192 inputs leave blocks of 128 half or a quarter empty.
#[test]
fn weight_gradients_of_a_software_adapter_fill_their_blocks() {
    let name = |rows, inner| dense("cpu", Shape::new(rows, inner, 6272))[2];
    assert_eq!([(192, 64), (64, 192)].map(|(rows, inner)| name(rows, inner)), ["weight_grad/32x2_texels"; 2]);
    let others = [(16, 64), (512, 128), (512, 784), (64, 256)];
    assert_eq!(others.map(|(rows, inner)| name(rows, inner)), ["weight_grad/16x4_texels"; 4]);
}

/// A convolution of 3x3 kernels over 14x14 sites, batch 128.
fn convolution(rows: usize, channels: usize, groups: usize) -> Shape {
    let window = Window { padding: 1, groups, ..Window::of([14; 2], [3; 2]) };
    let inner = channels / groups * window.taps();
    Shape { window: Some(window), ..Shape::new(rows, inner, 14 * 14 * 128) }
}

#[test]
fn convolutions_have_kernels_of_the_device_s_class() {
    let names = |class, rows, channels, groups| dense(class, convolution(rows, channels, groups));
    let [forward, input_grad, weight_grad] = names("discrete", 64, 64, 1);
    assert_eq!([forward, input_grad], ["forward/tile_64x64", "input_grad/tile_64x64"]);
    assert_eq!(weight_grad, "weight_grad/tile_slices", "the result is small, and the depth long");
    // A step of a tile lies within one tap: other numbers of channels are read one by one.
    assert_eq!(names("discrete", 64, 3, 1)[0], "forward/tile_64x64_any");
    assert_eq!(names("discrete", 64, 24, 1)[0], "forward/tile_64x64_any");
    let depthwise = ["forward/strip", "input_grad/strip", "weight_grad/strip"];
    assert_eq!(names("discrete", 64, 64, 64), depthwise);
    assert_eq!(names("cpu", 64, 64, 64), depthwise.map(|name| format!("{name}_texels")));
    // Of strips and others it is measured which is faster.
    let shape = convolution(64, 64, 64);
    let raced =
        crate::ops::measure::dense::candidates(&device("discrete", true), Product::Forward, shape).unwrap();
    assert_eq!(raced.iter().map(|one| one.name).collect::<Vec<_>>(), ["forward/strip", "forward/direct"]);
    let grouped = |weight_grad| ["forward/direct", "input_grad/direct", weight_grad];
    assert_eq!(names("discrete", 64, 64, 4), grouped("weight_grad/1x2_across_64"));
    assert_eq!(names("cpu", 64, 64, 4), grouped("weight_grad/1x3_across"));
    assert_eq!(
        names("cpu", 64, 64, 1),
        ["forward/16x4_texels", "input_grad/4x4_texels", "weight_grad/16x4_texels"]
    );
    let first = names("cpu", 32, 1, 1);
    assert_eq!([first[0], first[2]], ["forward/16x4_any", "weight_grad/8x3_across"]);
}

#[test]
fn software_adapters_keep_their_blocks() {
    let shape = Shape::new(512, 784, 128);
    assert_eq!(
        dense("cpu", shape),
        ["forward/16x4_texels", "input_grad/4x4_texels", "weight_grad/16x4_texels"]
    );
}

#[test]
fn packed_products_have_kernels_of_the_device_s_class_for_every_form() {
    let forms = [
        Form::Free,
        Form::Block { height: 4 },
        Form::Block { height: 8 },
        Form::Groups { keep: 2, of: 4 },
        Form::Groups { keep: 1, of: 512 },
    ];
    let with = |class: &str, subgroups: bool, form: Form, narrow: bool| {
        let gpu = device(class, subgroups);
        let case = Case { form, shape: Shape::new(1024, 1024, 128), density: 0.05, narrow };
        let choices = Default::default();
        Product::ALL.map(|product| {
            let variant = case.pick(&gpu, &choices, product, case.chunk(&choices)).0;
            assert!(variant.class.suits(class == "cpu") && variant.narrow() == narrow, "{}", variant.name);
            assert!(suitable(&gpu, product, form, narrow).all(|one| one.class.suits(class == "cpu")));
            variant.name.trim_start_matches("ops/packed/")
        })
    };
    for form in forms {
        for (class, subgroups) in [("cpu", true), ("cpu", false), ("discrete", true), ("discrete", false)] {
            for narrow in [false, true] {
                with(class, subgroups, form, narrow);
            }
        }
    }
    let names = |class, subgroups| with(class, subgroups, Form::Free, false);
    assert_eq!(names("discrete", true), ["forward_rounds", "input_grad_rounds", "weight_grad_8_subgroups"]);
    assert_eq!(names("discrete", false)[2], "weight_grad_8_columns");
    assert_eq!(names("cpu", true), ["forward_lanes", "input_grad_lanes", "weight_grad_8_texels"]);
    let blocks = with("discrete", true, Form::Block { height: 8 }, true);
    assert_eq!(
        blocks,
        ["forward_h8_rounds_words", "input_grad_h8_rounds_words", "weight_grad_h8_subgroups_words"]
    );
}

#[test]
fn every_class_has_a_variant_of_every_product() {
    for product in Product::ALL {
        for class in [Class::Software, Class::Gpu, Class::Any] {
            assert!(ALL.iter().any(|variant| variant.product == product && variant.class == class));
        }
    }
}
