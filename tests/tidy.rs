//! Rules about the repository's text that a machine can hold: which room may use which, where `wgpu` and
//! printing belong, headers, lengths, leftovers. Each rule is also held against an offence of its own.

#[path = "tidy/code.rs"]
mod code;
#[path = "common/files.rs"]
mod files;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/rules.rs"]
mod rules;

use code::File;

#[test]
fn the_repository_is_tidy() {
    let files: Vec<File> = files::texts().into_iter().map(|t| File::new(&t.path, &t.text)).collect();
    let rust = files.iter().filter(|file| file.path.starts_with("src/")).count();
    assert!(rust > 20, "only {rust} files in src: the walk is wrong");
    let mut all = Vec::new();
    for rule in rules::ALL {
        for file in &files {
            let offences = (rule.check)(file);
            all.extend(
                offences
                    .iter()
                    .map(|(line, what)| format!("{}:{line}: {what}\n    why: {}", file.path, rule.why)),
            );
        }
    }
    assert!(all.is_empty(), "{} offences:\n{}", all.len(), all.join("\n"));
}

/// A note or a log of one's own in the checkout is nobody's business; a source archive has no list of what is.
#[test]
fn rules_are_for_files_that_are_tracked() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    for (path, text) in
        [("Cargo.toml", ""), ("own.log", "stray"), ("out/x.rs", ""), (".gitignore", "/out/\n")]
    {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }
    let found = || files::texts_in(root).into_iter().map(|text| text.path).collect::<Vec<_>>();
    assert_eq!(found(), [".gitignore", "Cargo.toml", "own.log"], "without git");
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(args)
            .current_dir(root)
            .env_remove("GIT_DIR")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    // Without git on the machine there is nothing more to see.
    if git(&["init", "-q"]) && git(&["add", ".gitignore"]) {
        assert_eq!(found().len(), 3, "a repository that does not track Cargo.toml is somebody else's");
        assert!(git(&["add", "Cargo.toml"]));
        assert_eq!(found(), [".gitignore", "Cargo.toml"]);
    }
}

#[test]
fn every_rule_catches_an_offence_and_spares_what_only_looks_like_one() {
    for rule in rules::ALL {
        let (path, text, line) = (rule.offence)();
        let found = (rule.check)(&File::new(path, &text));
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [line], "{}: offence in {path}, found {found:?}", rule.why);
        let (path, text) = (rule.spared)();
        let found = (rule.check)(&File::new(path, &text));
        assert!(found.is_empty(), "{}: nothing is wrong in {path}, found {found:?}", rule.why);
    }
}

#[test]
fn every_room_is_in_the_table_and_uses_only_earlier_ones() {
    let lib = include_str!("../src/lib.rs");
    let mut declared: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut listed: Vec<&str> = rooms::TABLE.iter().map(|(room, _)| *room).collect();
    for (place, (room, uses)) in rooms::TABLE.iter().enumerate() {
        for used in *uses {
            assert!(listed[..place].contains(used), "`{room}` may use `{used}`, which is not above it");
        }
    }
    declared.sort();
    listed.sort();
    assert_eq!(declared, listed, "src/lib.rs, and the table in tests/tidy/rooms.rs");
}

#[test]
fn imports_are_found_however_they_are_written() {
    let text = "//! `crate::cli` in a comment.\n\
        use crate::{\n    bind,\n    gpu::{Gpu, check},\n    optim::Optimizer,\n};\n\
        fn f() -> crate::error::Result<()> {\n    let words = \"crate::train\";\n    super::super::nn::f()\n}\n\
        #[cfg(test)]\nmod tests {\n    use crate::report::mask;\n}\n";
    let at = |path| rooms::imports(&File::new(path, text));
    let found =
        [(2, "gpu"), (2, "gpu"), (2, "optim"), (7, "error"), (9, "nn")].map(|(l, r)| (l, r.to_string()));
    assert_eq!(at("src/ops/x.rs"), found);
    assert_eq!(at("src/ops/deep/x.rs"), found[..4], "two steps up from there is not the root");
}

#[test]
fn comments_strings_and_tests_are_no_code() {
    let text = "let a = \"x \\\" // y\"; // z\nlet b = r#\"q \" w\"#; /* e\nr */ let c: &'static str = f('\"', '\\'');\n\
        #[cfg(test)]\nfn only_here() {\n    body();\n}\n#[cfg(test)]\nuse b::c;\nfn after() {}\n";
    let file = File::new("src/x.rs", text);
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let code: Vec<String> = file.code.iter().map(|line| squeezed(line)).collect();
    assert_eq!(code[..3], ["let a = ;", "let b = ;", "let c: &'static str = f( , );"]);
    let tested: Vec<usize> = (0..file.is_test.len()).filter(|&i| file.is_test[i]).map(|i| i + 1).collect();
    assert_eq!(tested, [4, 5, 6, 7, 8, 9]);
    assert!(File::new("src/x_tests.rs", "fn f() {}\n").is_test[0]);
}
