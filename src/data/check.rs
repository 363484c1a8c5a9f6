//! What every data set is checked for, whether it came from files or from arrays.

use super::{Samples, Source, Split};
use crate::error::{Error, Result};

/// Checks that all parts of a source fit each other; gives the number of values in a sample.
pub fn source(source: &Source) -> Result<usize> {
    let Source { name, shape, classes, class_names, scale, shift, train, test, .. } = source;
    let features = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let Some(features) = features.filter(|&features| features > 0 && !shape.is_empty()) else {
        return Err(wrong(
            name,
            format!("expected a sample of at least one value, found the shape {shape:?}"),
        ));
    };
    // A label is a byte: of more classes than 256, the others have no samples.
    if !(1..=65536).contains(classes) && train.tokens().is_none() {
        return Err(wrong(name, format!("expected 1 to 65536 classes, found {classes}")));
    }
    if !(class_names.is_empty() || class_names.len() == *classes) {
        return Err(wrong(name, format!("expected {classes} names of classes, found {}", class_names.len())));
    }
    if scale.len() != shift.len() || ![1, shape[0]].contains(&scale.len()) {
        let (scales, shifts) = (scale.len(), shift.len());
        let found = format!("found {scales} scales and {shifts} shifts");
        return Err(wrong(name, format!("expected one of each, or {} (one a channel), {found}", shape[0])));
    }
    for (scale, shift) in scale.iter().zip(shift) {
        if !(scale.is_finite() && *scale != 0.0 && shift.is_finite()) {
            let found = format!("found {scale} and shift {shift}");
            return Err(wrong(name, format!("expected a finite scale other than 0, {found}")));
        }
    }
    part(name, "training", train, features, *classes)?;
    part(name, "test", test, features, *classes)?;
    if std::mem::discriminant(&train.images) != std::mem::discriminant(&test.images) {
        return Err(wrong(name, "expected both parts as bytes, both as floats, or both as tokens".into()));
    }
    Ok(features)
}

fn part(name: &str, part: &str, split: &Split, features: usize, classes: usize) -> Result<()> {
    let samples = split.len();
    if let Samples::Tokens(tokens) = &split.images {
        tokens.check().map_err(|error| error.at(format!("{part} part of data set \"{name}\"")))?;
        if (tokens.reads, tokens.vocabulary) != (features, classes) {
            let found = format!("found {} of {}", tokens.reads, tokens.vocabulary);
            return Err(wrong(
                name,
                format!("{part} part: expected {features} tokens of {classes}, {found}"),
            ));
        }
        return match samples {
            0 => Err(Error::data(format!("the {part} part of data set \"{name}\" is shorter than a sample"))
                .at(format!("{} tokens; a sample takes {}", tokens.stream.len(), tokens.reads + 1))
                .hint("a longer text, or a smaller `context`")),
            _ => Ok(()),
        };
    }
    if samples == 0 || samples > u32::MAX as usize {
        return Err(wrong(name, format!("{part} part: expected 1 to {} samples, found {samples}", u32::MAX)));
    }
    if samples.checked_mul(features) != Some(split.images.len()) {
        return Err(wrong(
            name,
            format!("{part} part: expected {samples} x {features} values, found {}", split.images.len()),
        ));
    }
    if let Some(row) = split.labels.iter().position(|&label| usize::from(label) >= classes) {
        let label = split.labels[row];
        return Err(wrong(
            name,
            format!("{part} sample {row}: expected a label below {classes}, found {label}"),
        ));
    }
    if let Samples::Floats(values) = &split.images
        && let Some(at) = values.iter().position(|value| !value.is_finite())
    {
        let (row, feature, value) = (at / features, at % features, values[at]);
        return Err(wrong(
            name,
            format!("{part} sample {row}, value {feature}: expected a number, found {value}"),
        ));
    }
    Ok(())
}

fn wrong(name: &str, place: String) -> Error {
    Error::data(format!("data set \"{name}\" does not fit together")).at(place)
}
