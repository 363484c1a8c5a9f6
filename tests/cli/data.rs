//! Somebody's own pictures and tables, from a recipe to a resumed run; `coppice data show`.

use std::path::Path;

use image::{ImageBuffer, Rgb};

use crate::program::{fails, json, run};

const RECIPE: &str = "
run = { epochs = 2, batch = 8, autotune = false, checkpoint_every = '2' }
optim = { name = 'sgd', lr = 0.05 }
model = { preset = 'mlp', hidden = [6] }

[data]
name = 'images:pictures'
size = [6, 8]
skip_damaged = true

[augment]
flip = true
rotate = 10
";

/// Two classes of twelve pictures, each of another brightness.
fn two_classes(folder: &Path, classes: [(&str, u8); 2]) {
    for (class, light) in classes {
        let folder = folder.join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..12u8 {
            let pixel = |x, y| Rgb([light + number, light + (x * 2) as u8, light + (y * 3) as u8]);
            let ending = if number % 2 == 0 { "png" } else { "jpg" };
            let picture = ImageBuffer::from_fn(9, 7, pixel);
            picture.save(folder.join(format!("{number}.{ending}"))).unwrap();
        }
    }
}

/// Light ones and dark ones; and a damaged one.
fn pictures(home: &Path) {
    two_classes(&home.join("pictures"), [("dark", 20), ("light", 200)]);
    std::fs::write(home.join("pictures/dark/x.png"), b"no picture").unwrap();
}

#[test]
fn pictures_are_shown_trained_on_moved_and_resumed() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    pictures(home);
    std::fs::write(home.join("r.toml"), RECIPE).unwrap();
    let shown = json(home, &["data", "show", "r.toml", "--png", "sheet.png", "--epoch", "1", "--json"]);
    assert_eq!(shown["class_names"], serde_json::json!(["dark", "light"]));
    assert_eq!(shown["shape"], serde_json::json!([3, 6, 8]));
    assert_eq!(
        (&shown["by_class"]["test"], &shown["samples"]["validation"]),
        (&serde_json::json!([2, 2]), &2.into())
    );
    assert_eq!(shown["warnings"][0], "1 of 25 pictures cannot be read, and are left out");
    assert!(image::image_dimensions(home.join("sheet.png")).unwrap().0 > 500);

    let whole = json(home, &["train", "r.toml", "--out", "whole", "-q", "--json"]);
    let log = std::fs::read_to_string(home.join("whole/log.txt")).unwrap();
    assert!(log.contains("warning: 1 of 25 pictures cannot be read") && log.contains("x.png"), "{log}");
    json(home, &["train", "r.toml", "--out", "all/part", "-q", "--json", "--max-steps", "3"]);
    std::fs::rename(home.join("pictures"), home.join("elsewhere")).unwrap();
    let text = fails(home, 3, &["resume", "all/part", "-q"]);
    assert!(text.contains("cannot read the folder") && text.contains("--data D"), "{text}");
    let moved = ["resume", "all/part", "-q", "--json", "--data", "images:elsewhere"];
    assert_eq!(json(home, &moved)["digest"], whole["digest"]);
    let eval = json(home, &["eval", "whole", "--data", "images:elsewhere", "--json"]);
    assert_eq!(eval["test_accuracy"], whole["test_accuracy"]);

    // Other statistics are other data.
    let config = home.join("all/part/config.toml");
    let edited = std::fs::read_to_string(&config).unwrap();
    let edited = edited.replace("size = ", "mean = [0.5]\ndeviation = [0.25]\nsize = ");
    std::fs::write(&config, edited).unwrap();
    let text = fails(home, 2, &moved);
    assert!(text.contains("data.deviation: not there then, [0.25] now"), "{text}");
}

#[test]
fn keys_of_data_are_checked_by_the_data_set() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let text = fails(
        home,
        2,
        &["data", "show", "digits-dense", "-s", "data.name=random:1x8x8", "-s", "data.size=8"],
    );
    assert!(text.starts_with("error: unknown key `data.size` of data set `random`"), "{text}");
    std::fs::write(home.join("r.toml"), RECIPE.replace("size", "sise")).unwrap();
    let text = fails(home, 2, &["plan", "r.toml"]);
    assert!(text.contains("unknown key `data.sise` of data set `images`\n  where: r.toml, line 8"), "{text}");
    assert!(text.contains("did you mean `size`?"), "{text}");
    let rows: String =
        (0..40).map(|i| format!("{},{i},{}\n", i % 5, if i < 20 { "a" } else { "b" })).collect();
    std::fs::write(home.join("t.csv"), rows).unwrap();
    let over = ["-s", "data={name='csv:t.csv',validation=0}", "-s", "augment={}"];
    std::fs::write(home.join("r.toml"), RECIPE).unwrap();
    let shown = json(home, &[&["data", "show", "r.toml", "--json"][..], &over].concat());
    assert_eq!((&shown["classes"], &shown["samples"]["train"]), (&2.into(), &32.into()));
    let text = fails(home, 2, &[&["data", "show", "r.toml", "--png", "x.png"][..], &over].concat());
    assert!(text.contains("are no pictures"), "{text}");
    let text = fails(home, 2, &["plan", "r.toml", "-s", "data={name='csv:t.csv'}"]);
    assert!(text.contains("[augment] varies pictures"), "{text}");
    let shown = run(home, &[&["data", "show", "r.toml"][..], &over].concat());
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("| a ") && text.contains("SHA-256"), "{text}");
}

/// The same test part beside another training part, whose mean and deviation are others.
#[test]
fn other_pictures_are_read_as_those_of_the_run() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for (name, train) in [("own", [("dark", 20), ("light", 200)]), ("other", [("dark", 60), ("light", 90)])] {
        two_classes(&home.join(name).join("train"), train);
        two_classes(&home.join(name).join("test"), [("dark", 30), ("light", 190)]);
    }
    for part in ["train", "test"] {
        two_classes(&home.join("swapped").join(part), [("bright", 200), ("dark", 20)]);
    }
    std::fs::write(home.join("r.toml"), RECIPE.replace("images:pictures", "images:own")).unwrap();
    let whole = json(home, &["train", "r.toml", "--out", "run", "-q", "--json"]);
    let eval = json(home, &["eval", "run", "--data", "images:other", "--json"]);
    assert_eq!(eval["test_loss"], whole["test_loss"]);
    let text = fails(home, 3, &["eval", "run", "--data", "images:swapped"]);
    assert!(text.contains("other classes than the run"), "{text}");
    assert!(text.contains("class 0: expected `dark`, found `bright`"), "{text}");
}
