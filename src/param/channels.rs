//! Channels that hang together: which rows and columns of which parameters are kept or removed as one.
//!
//! A *channel* here is of the whole network: outputs of layers that are added up, normalised, gated or passed on by a
//! depthwise convolution are one and the same. Its *filters* are the rows of weights that compute it. Channels that are
//! chosen among together make a *width*: those of a layer, or of all layers whose outputs are added up.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{ParamId, ParamSet};
use crate::error::Result;

/// Number of a channel among those of the network that can be removed.
pub type ChannelId = u32;

/// The channels of a network that can be removed, and what belongs to each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Numbers of channels are below that.
    pub count: usize,
    /// Those that may go; their channels follow one another.
    pub widths: Vec<Width>,
    /// By parameter.
    pub axes: Vec<Axes>,
}

/// Channels that are chosen among together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Width {
    pub channels: Range<ChannelId>,
    /// The weights that have their filters.
    pub filters: Vec<ParamId>,
    /// The scales of norms that they pass.
    pub scales: Vec<ParamId>,
}

impl Width {
    pub fn len(&self) -> usize {
        self.channels.len()
    }
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }
    /// Where its channels are among all.
    pub fn range(&self) -> Range<usize> {
        self.channels.start as usize..self.channels.end as usize
    }
}

/// Which channel each row and each column of a parameter belongs to; `None`: one that is never removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    pub rows: Vec<Option<ChannelId>>,
    /// Numbers of a row, tap by tap. Of a convolution by groups, those of each group's rows, one group behind another.
    pub columns: Vec<Option<ChannelId>>,
    /// Groups of a convolution.
    pub groups: usize,
}

impl Axes {
    /// Those of a parameter with so many rows and columns that loses nothing.
    pub fn whole(rows: usize, columns: usize) -> Self {
        Self { rows: vec![None; rows], columns: vec![None; columns], groups: 1 }
    }
    /// Whether it loses nothing, whatever is removed.
    pub fn is_whole(&self) -> bool {
        self.rows.iter().chain(&self.columns).all(Option::is_none)
    }
    /// Numbers of a row.
    fn inner(&self) -> usize {
        self.columns.len() / self.groups
    }
    /// The columns of a row.
    fn columns_of(&self, row: usize) -> &[Option<ChannelId>] {
        let group = row * self.groups / self.rows.len();
        &self.columns[group * self.inner()..][..self.inner()]
    }
    /// Of each number in order, whether it is left where these channels are kept.
    fn left(&self, kept: &[bool]) -> Vec<bool> {
        let is_left = |channel: &Option<ChannelId>| channel.is_none_or(|channel| kept[channel as usize]);
        let of_row = |(row, own): (usize, &Option<ChannelId>)| {
            let stays = is_left(own);
            self.columns_of(row).iter().map(move |column| stays && is_left(column)).collect::<Vec<_>>()
        };
        self.rows.iter().enumerate().flat_map(of_row).collect()
    }
    /// The mask of what is left, one bit a number.
    pub fn mask(&self, kept: &[bool]) -> Vec<u32> {
        let left = self.left(kept);
        let indices: Vec<u32> = (0..).zip(&left).filter(|(_, left)| **left).map(|(i, _)| i).collect();
        super::mask_of(&indices, left.len())
    }
    /// What is left of numbers in the parameter's order.
    pub fn gather<T: Copy>(&self, values: &[T], kept: &[bool]) -> Vec<T> {
        values.iter().zip(self.left(kept)).filter(|(_, left)| *left).map(|(value, _)| *value).collect()
    }
    /// How many rows are left.
    pub fn rows_left(&self, kept: &[bool]) -> usize {
        self.rows.iter().filter(|own| own.is_none_or(|channel| kept[channel as usize])).count()
    }
    /// The share of the numbers that is left where each width keeps so many of its channels.
    fn density(&self, shares: &[f64]) -> f64 {
        let mean = |all: &[Option<ChannelId>]| {
            let sum: f64 = all.iter().map(|channel| channel.map_or(1.0, |own| shares[own as usize])).sum();
            sum / all.len().max(1) as f64
        };
        // Groups of a convolution go whole: what a row has left does not depend on others.
        mean(&self.rows) * if self.groups > 1 { 1.0 } else { mean(&self.columns) }
    }
}

impl Channels {
    /// How many may go.
    pub fn len(&self) -> usize {
        self.widths.iter().map(Width::len).sum()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn axes(&self, param: ParamId) -> &Axes {
        &self.axes[param.0]
    }
    /// Nothing of the widths, and all that never goes.
    pub fn none_kept(&self) -> Vec<bool> {
        let mut kept = vec![true; self.count];
        self.widths.iter().for_each(|width| kept[width.range()].fill(false));
        kept
    }
    /// Whether each channel of a width passes a norm that scales it.
    pub fn is_scaled(&self, width: &Width) -> bool {
        let mut bare = vec![true; width.len()];
        let rows = width.scales.iter().flat_map(|&scale| &self.axes(scale).rows).flatten();
        for channel in rows.filter(|channel| width.channels.contains(channel)) {
            bare[(channel - width.channels.start) as usize] = false;
        }
        !bare.contains(&true)
    }
    /// Some of the widths; the channels of the others never go.
    pub fn only(&self, goes: impl Fn(&Width) -> bool) -> Self {
        let mut own = self.clone();
        own.widths.retain(|width| goes(width));
        let is_fixed = own.none_kept();
        let stays =
            |channel: &mut Option<ChannelId>| *channel = channel.filter(|&one| !is_fixed[one as usize]);
        own.axes.iter_mut().flat_map(|axes| axes.rows.iter_mut().chain(&mut axes.columns)).for_each(stays);
        own
    }
    /// The parameters that lose something, but for running statistics.
    pub fn masked<'a>(&'a self, params: &'a ParamSet) -> impl Iterator<Item = ParamId> + 'a {
        params.ids().filter(|&id| params[id].learns() && !self.axes(id).is_whole())
    }
    /// The name of a width: that of the first weight with its filters.
    pub fn name<'a>(&self, width: &Width, params: &'a ParamSet) -> &'a str {
        &params[width.filters[0]].name
    }

    /// Which channels are kept by masks of weights, one bit a weight: those of whose filters something is left. `None`
    /// stands for a mask that keeps all.
    pub fn kept_by(&self, mask_of: impl Fn(ParamId) -> Result<Option<Vec<u32>>>) -> Result<Vec<bool>> {
        let mut kept = self.none_kept();
        for width in &self.widths {
            for &id in &width.filters {
                let (axes, mask) = (self.axes(id), mask_of(id)?);
                let inner = axes.inner();
                let is_kept = |i: usize| mask.as_ref().is_none_or(|mask| mask[i / 32] >> (i % 32) & 1 == 1);
                for (row, channel) in axes.rows.iter().enumerate() {
                    let Some(channel) = *channel else { continue };
                    kept[channel as usize] |= (row * inner..(row + 1) * inner).any(is_kept);
                }
            }
        }
        Ok(kept)
    }

    /// By parameter, the share of its weights that is left where the widths keep so many channels.
    pub fn densities(&self, keeps: &[usize]) -> Vec<f64> {
        let mut shares = vec![1.0; self.count];
        for (width, &keep) in self.widths.iter().zip(keeps) {
            shares[width.range()].fill(keep as f64 / width.len() as f64);
        }
        self.axes.iter().map(|axes| axes.density(&shares)).collect()
    }

    /// The channels that are kept, by the names of widths, counted within each.
    pub fn lists(&self, kept: &[bool], params: &ParamSet) -> BTreeMap<String, Vec<u32>> {
        let list = |width: &Width| {
            let indices =
                (0..).zip(&kept[width.range()]).filter(|(_, kept)| **kept).map(|(i, _)| i).collect();
            (self.name(width, params).to_string(), indices)
        };
        self.widths.iter().map(list).collect()
    }

    /// The reverse of [`Channels::lists`]; `None` where they are not lists of these channels.
    pub fn kept_in(&self, lists: &BTreeMap<String, Vec<u32>>, params: &ParamSet) -> Option<Vec<bool>> {
        let mut kept = self.none_kept();
        for width in &self.widths {
            let list = lists.get(self.name(width, params))?;
            let is_sound = !list.is_empty() && list.iter().all(|&i| (i as usize) < width.len());
            if !is_sound {
                return None;
            }
            list.iter().for_each(|&i| kept[(width.channels.start + i) as usize] = true);
        }
        (lists.len() == self.widths.len()).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of channels 0 and 1, a third that stays; columns of two taps by channels 2 and 3.
    #[test]
    fn what_is_left_keeps_its_order() {
        let axes = Axes {
            rows: vec![Some(0), Some(1), None],
            columns: vec![Some(2), Some(3), Some(2), Some(3)],
            groups: 1,
        };
        let values: Vec<u32> = (0..12).collect();
        assert_eq!(axes.gather(&values, &[true; 4]), values);
        assert_eq!(axes.gather(&values, &[false, true, true, false]), [4, 6, 8, 10]);
        assert_eq!(axes.mask(&[false, true, true, false]), [0b0101_0101_0000]);
        assert_eq!(axes.density(&[0.5, 0.5, 0.25, 0.25]), 2.0 / 3.0 * 0.25);
        assert!(!axes.is_whole() && Axes::whole(3, 4).is_whole());
    }

    /// A depthwise weight of three channels, two taps each.
    #[test]
    fn a_group_has_columns_of_its_own() {
        let rows = vec![Some(0), Some(1), Some(2)];
        let columns = rows.iter().flat_map(|&channel| [channel; 2]).collect();
        let axes = Axes { rows, columns, groups: 3 };
        assert_eq!(axes.gather(&[0, 1, 2, 3, 4, 5], &[true, false, true]), [0, 1, 4, 5]);
        assert_eq!(axes.density(&[0.5; 3]), 0.5);
    }
}
