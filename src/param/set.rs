//! The parameters of a model in one owner, in the order in which its layers declared them.

use std::ops::{Index, IndexMut};
use std::slice;

use super::Param;

/// Which parameter of a set: its number, in the order of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(pub usize);

/// All parameters of a model.
#[derive(Default)]
pub struct ParamSet {
    all: Vec<Param>,
}

impl ParamSet {
    /// Takes in a parameter.
    pub fn declare(&mut self, param: Param) -> ParamId {
        self.all.push(param);
        ParamId(self.all.len() - 1)
    }
    pub fn len(&self) -> usize {
        self.all.len()
    }
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
    pub fn iter(&self) -> slice::Iter<'_, Param> {
        self.all.iter()
    }
    pub fn iter_mut(&mut self) -> slice::IterMut<'_, Param> {
        self.all.iter_mut()
    }
    pub fn ids(&self) -> impl Iterator<Item = ParamId> + use<> {
        (0..self.all.len()).map(ParamId)
    }
    /// Parameters with their ids.
    pub fn pairs(&self) -> impl Iterator<Item = (ParamId, &Param)> {
        self.ids().zip(&self.all)
    }
    /// The id of the parameter of this name.
    pub fn named(&self, name: &str) -> Option<ParamId> {
        self.all.iter().position(|param| param.name == name).map(ParamId)
    }
    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.all.iter().map(Param::bytes).sum()
    }
}

impl Index<ParamId> for ParamSet {
    type Output = Param;
    fn index(&self, id: ParamId) -> &Param {
        &self.all[id.0]
    }
}

impl IndexMut<ParamId> for ParamSet {
    fn index_mut(&mut self, id: ParamId) -> &mut Param {
        &mut self.all[id.0]
    }
}

impl<'a> IntoIterator for &'a ParamSet {
    type Item = &'a Param;
    type IntoIter = slice::Iter<'a, Param>;
    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

impl FromIterator<Param> for ParamSet {
    fn from_iter<I: IntoIterator<Item = Param>>(params: I) -> Self {
        Self { all: params.into_iter().collect() }
    }
}
