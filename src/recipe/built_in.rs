//! The recipes that come with the program, by name.

/// Name and text of each.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("digits-dense", include_str!("../../assets/recipes/digits-dense.toml")),
    ("digits-dual-cnn", include_str!("../../assets/recipes/digits-dual-cnn.toml")),
    ("digits-gmp-90", include_str!("../../assets/recipes/digits-gmp-90.toml")),
    ("digits-held", include_str!("../../assets/recipes/digits-held.toml")),
    ("digits-rigl-90", include_str!("../../assets/recipes/digits-rigl-90.toml")),
    ("fashion-asp", include_str!("../../assets/recipes/fashion-asp.toml")),
    ("fashion-cnn-dense", include_str!("../../assets/recipes/fashion-cnn-dense.toml")),
    ("fashion-cnn-filters-50", include_str!("../../assets/recipes/fashion-cnn-filters-50.toml")),
    ("fashion-cnn-gmp-90", include_str!("../../assets/recipes/fashion-cnn-gmp-90.toml")),
    ("fashion-cnn-gmp-95", include_str!("../../assets/recipes/fashion-cnn-gmp-95.toml")),
    ("fashion-cnn-granet-95", include_str!("../../assets/recipes/fashion-cnn-granet-95.toml")),
    ("fashion-cnn-rigl-95", include_str!("../../assets/recipes/fashion-cnn-rigl-95.toml")),
    ("fashion-cnn-static-95", include_str!("../../assets/recipes/fashion-cnn-static-95.toml")),
    ("fashion-dense", include_str!("../../assets/recipes/fashion-dense.toml")),
    ("fashion-dense-pskd", include_str!("../../assets/recipes/fashion-dense-pskd.toml")),
    ("fashion-dual-cnn", include_str!("../../assets/recipes/fashion-dual-cnn.toml")),
    ("fashion-gmp-90", include_str!("../../assets/recipes/fashion-gmp-90.toml")),
    ("fashion-gmp-98", include_str!("../../assets/recipes/fashion-gmp-98.toml")),
    ("fashion-granet-98", include_str!("../../assets/recipes/fashion-granet-98.toml")),
    ("fashion-grasp-98", include_str!("../../assets/recipes/fashion-grasp-98.toml")),
    ("fashion-imp-98", include_str!("../../assets/recipes/fashion-imp-98.toml")),
    ("fashion-mini-gmp-90", include_str!("../../assets/recipes/fashion-mini-gmp-90.toml")),
    ("fashion-mobilenet", include_str!("../../assets/recipes/fashion-mobilenet.toml")),
    ("fashion-mobilenet-gmp", include_str!("../../assets/recipes/fashion-mobilenet-gmp.toml")),
    ("fashion-nm", include_str!("../../assets/recipes/fashion-nm.toml")),
    ("fashion-ofa", include_str!("../../assets/recipes/fashion-ofa.toml")),
    ("fashion-ofa-plain", include_str!("../../assets/recipes/fashion-ofa-plain.toml")),
    ("fashion-oneshot-98", include_str!("../../assets/recipes/fashion-oneshot-98.toml")),
    ("fashion-residual-gmp-90", include_str!("../../assets/recipes/fashion-residual-gmp-90.toml")),
    ("fashion-residual-rigl-98", include_str!("../../assets/recipes/fashion-residual-rigl-98.toml")),
    ("fashion-resnet20-dense", include_str!("../../assets/recipes/fashion-resnet20-dense.toml")),
    ("fashion-resnet20-gmp-95", include_str!("../../assets/recipes/fashion-resnet20-gmp-95.toml")),
    ("fashion-resnet20-granet-95", include_str!("../../assets/recipes/fashion-resnet20-granet-95.toml")),
    ("fashion-resnet20-nm", include_str!("../../assets/recipes/fashion-resnet20-nm.toml")),
    ("fashion-resnet20-pskd", include_str!("../../assets/recipes/fashion-resnet20-pskd.toml")),
    ("fashion-resnet20-rigl-95", include_str!("../../assets/recipes/fashion-resnet20-rigl-95.toml")),
    ("fashion-resnet20-set-95", include_str!("../../assets/recipes/fashion-resnet20-set-95.toml")),
    ("fashion-resnet20-static-95", include_str!("../../assets/recipes/fashion-resnet20-static-95.toml")),
    ("fashion-rigl-98", include_str!("../../assets/recipes/fashion-rigl-98.toml")),
    ("fashion-set-98", include_str!("../../assets/recipes/fashion-set-98.toml")),
    ("fashion-snfs-98", include_str!("../../assets/recipes/fashion-snfs-98.toml")),
    ("fashion-snip-98", include_str!("../../assets/recipes/fashion-snip-98.toml")),
    ("fashion-static-98", include_str!("../../assets/recipes/fashion-static-98.toml")),
    ("fashion-str", include_str!("../../assets/recipes/fashion-str.toml")),
    ("fashion-topkast-98", include_str!("../../assets/recipes/fashion-topkast-98.toml")),
    ("fashion-unfreeze", include_str!("../../assets/recipes/fashion-unfreeze.toml")),
    ("fashion-vit", include_str!("../../assets/recipes/fashion-vit.toml")),
    ("fashion-vit-nm", include_str!("../../assets/recipes/fashion-vit-nm.toml")),
    ("seq2seq-gmp", include_str!("../../assets/recipes/seq2seq-gmp.toml")),
    ("shakespeare-gpt", include_str!("../../assets/recipes/shakespeare-gpt.toml")),
    ("shakespeare-gpt-nm", include_str!("../../assets/recipes/shakespeare-gpt-nm.toml")),
    ("shakespeare-lstm-gmp", include_str!("../../assets/recipes/shakespeare-lstm-gmp.toml")),
    ("transformer-gmp", include_str!("../../assets/recipes/transformer-gmp.toml")),
];

/// The text of a built-in recipe.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Distribution, Duration, Model, Recipe};

    #[test]
    fn all_parse_and_come_back() {
        for (name, text) in BUILT_IN {
            let recipe = Recipe::parse(text, name, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(recipe.run.name, *name);
            assert_eq!(Recipe::parse(&recipe.to_toml(), "again", &[]).unwrap(), recipe, "{name}");
            assert!(text.starts_with("# "), "{name} does not say what it is");
            if recipe.sparsity.method != "none" {
                assert!(!name.contains("-dense"), "{name}");
            }
            // A run of any length that its epochs could make must meet its schedule.
            for steps_per_epoch in [23, 47, 469] {
                let by_epochs = steps_per_epoch * u64::from(recipe.run.epochs);
                let total = recipe.run.steps.map_or(by_epochs, u64::from);
                recipe.sparsity.schedule.check(total, steps_per_epoch).unwrap();
            }
        }
    }

    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/recipes");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|file| file.strip_suffix(".toml").map(String::from))
            .collect();
        files.sort();
        assert_eq!(files, BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn a_recipe_says_what_its_name_does() {
        let recipe = Recipe::parse(built_in("fashion-gmp-90").unwrap(), "fashion-gmp-90", &[]).unwrap();
        assert_eq!(recipe.sparsity.target(), 0.9);
        assert_eq!(recipe.sparsity.spread(), Distribution::Global);
        assert_eq!(recipe.sparsity.schedule.end, Duration::Percent(75.0));
        assert_eq!(recipe.model, Model::Mlp { hidden: vec![512, 512], activation: "relu".into() });
        assert_eq!(built_in("fashion-gmp-91"), None);
    }
}
