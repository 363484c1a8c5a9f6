//! Kernels, what is bound to them, and the view that a CPU twin has of its bindings.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::bf16;
use super::shader::{Source, assemble};
use super::tensor::{Dtype, Span, Tensor, Uniform};
use crate::error::Result;

/// A WGSL entry point with its CPU twin: same name, same arguments, sums in f64.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub source: Source,
    /// Constants that the source leaves open.
    pub consts: Open<(&'static str, u32)>,
    /// Functions and bindings that it leaves open.
    pub parts: Open<Source>,
    /// What it is called, in pieces, where it is not the only kernel of its source and entry point.
    called: [&'static str; 2],
    pub entry: &'static str,
    /// Values of `override` constants.
    pub constants: &'static [(&'static str, f64)],
    /// Which run-time checks the driver adds: docs/decisions/0010.
    pub(super) checks: Checks,
    pub twin: fn(&Twin),
}

/// Up to eight of something, by value, so that kernels are constants.
pub type Open<T> = [Option<T>; 8];

/// Run-time checks of a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    /// All that wgpu offers: the shader is somebody else's.
    All,
    /// Indices alone: the shader is ours, and each of its loops ends.
    Indices,
    /// None: besides, every read is clamped or guarded, every write guarded, every divisor positive.
    None,
}

impl Kernel {
    /// A kernel whose entry point is `main`, with all run-time checks.
    pub const fn new(source: Source, twin: fn(&Twin)) -> Self {
        Self {
            source,
            consts: [None; 8],
            parts: [None; 8],
            called: [""; 2],
            entry: "main",
            constants: &[],
            checks: Checks::All,
            twin,
        }
    }
    /// One of our own shaders: all of its loops end.
    pub(crate) const fn own(source: Source, twin: fn(&Twin)) -> Self {
        Self { checks: Checks::Indices, ..Self::new(source, twin) }
    }
    /// One of our own shaders that, besides, never reads or writes out of bounds, whatever the data.
    pub(crate) const fn proven(mut self) -> Self {
        self.checks = Checks::None;
        self
    }
    /// Whether it runs without the driver's checks.
    pub fn is_proven(&self) -> bool {
        self.checks == Checks::None
    }
    pub const fn entry(mut self, entry: &'static str) -> Self {
        self.entry = entry;
        self
    }
    pub const fn with(mut self, constants: &'static [(&'static str, f64)]) -> Self {
        self.constants = constants;
        self
    }
    /// One of several kernels that share a source: what it is called, in two pieces, and what it puts into the source's place
    /// for constants and parts.
    ///
    /// # Panics
    /// If there are more than eight of either: a fault of the table.
    pub(crate) fn variant(
        self,
        called: [&'static str; 2],
        consts: &[(&'static str, u32)],
        parts: &[Source],
    ) -> Self {
        assert!(consts.len() <= 8 && parts.len() <= 8, "{called:?}");
        let (consts, parts) = (
            std::array::from_fn(|number| consts.get(number).copied()),
            std::array::from_fn(|number| parts.get(number).copied()),
        );
        Self { called, consts, parts, ..self }
    }
    /// One of two kernels that differ in one part: what the other one is not called, in two pieces.
    pub(crate) const fn part(mut self, called: [&'static str; 2], part: Source) -> Self {
        self.called = called;
        self.parts[0] = Some(part);
        self
    }
    /// `optim/sgd`; for an entry point that is not `main`, `sparsity/select/topk:pick`; of a variant what it is called.
    pub fn name(&self) -> String {
        match (self.called, self.entry) {
            (["", _], "main") => self.source.path.to_string(),
            (["", _], entry) => format!("{}:{entry}", self.source.path),
            (called, _) => called.concat(),
        }
    }
    /// The whole WGSL text: constants, the source, parts, and what these include.
    pub fn text(&self) -> Result<String> {
        let sources = std::iter::once(self.source).chain(self.parts.into_iter().flatten());
        assemble(self.consts.into_iter().flatten(), sources)
    }
}

/// The scalars that cross the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    F32,
    U32,
    I32,
}

/// A field of a uniform struct, as Rust or as naga sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Cow<'static, str>,
    pub offset: usize,
    pub scalar: Scalar,
}

/// A struct declared with [`wgsl_struct!`](crate::wgsl_struct), comparable with the shader's own.
pub trait WgslStruct: bytemuck::Pod {
    fn fields() -> Vec<Field>;
}

/// The Rust types that stand for WGSL scalars.
pub trait WgslScalar {
    const SCALAR: Scalar;
}
impl WgslScalar for f32 {
    const SCALAR: Scalar = Scalar::F32;
}
impl WgslScalar for u32 {
    const SCALAR: Scalar = Scalar::U32;
}

/// Declares a uniform struct of `u32` and `f32` fields whose layout is compared with the shader's, field
/// by field, whenever it is bound.
#[macro_export]
macro_rules! wgsl_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident : $ty:ident),* $(,)?
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $name { $($(#[$field_meta])* pub $field: $ty),* }

        impl $crate::gpu::WgslStruct for $name {
            fn fields() -> Vec<$crate::gpu::Field> {
                vec![$($crate::gpu::Field {
                    name: stringify!($field).into(),
                    offset: std::mem::offset_of!($name, $field),
                    scalar: <$ty as $crate::gpu::WgslScalar>::SCALAR,
                }),*]
            }
        }
    };
}

/// `bind! { weight: &w, args: &args }`: what is bound, by the shader's own names.
#[macro_export]
macro_rules! bind {
    ($($name:ident : $value:expr),* $(,)?) => {
        &[$((stringify!($name), $crate::gpu::Bind::from($value))),*]
    };
}

/// Something that can stand behind a binding.
#[derive(Clone)]
pub enum Bind<'a> {
    /// A tensor, for `var<storage>`.
    Tensor(&'a Tensor),
    /// Numbers that never change, for `var<uniform>`.
    Constant { bytes: Vec<u8>, fields: Vec<Field> },
    /// Numbers that the host writes between steps, for `var<uniform>`.
    Uniform(&'a Uniform),
}

impl<'a> From<&'a Tensor> for Bind<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Bind::Tensor(tensor)
    }
}
impl<'a> From<&'a Uniform> for Bind<'a> {
    fn from(uniform: &'a Uniform) -> Self {
        Bind::Uniform(uniform)
    }
}
impl<T: WgslStruct> From<&T> for Bind<'_> {
    fn from(value: &T) -> Self {
        Bind::Constant { bytes: bytemuck::bytes_of(value).to_vec(), fields: T::fields() }
    }
}

/// The bindings of one dispatch as its CPU twin sees them.
pub struct Twin<'a> {
    pub(super) spans: &'a [(String, Span)],
    pub(super) constants: &'a [(String, Vec<u8>)],
}

impl Twin<'_> {
    /// The uniform struct of that name. The names were checked when the dispatch was recorded.
    pub fn get<T: WgslStruct>(&self, name: &str) -> T {
        if let Some((_, bytes)) = self.constants.iter().find(|(bound, _)| bound == name) {
            return bytemuck::pod_read_unaligned(&bytes[..size_of::<T>()]);
        }
        let words = self.u32(name);
        bytemuck::pod_read_unaligned(&bytemuck::cast_slice::<u32, u8>(&words)[..size_of::<T>()])
    }
    /// Whether something of that name is bound.
    pub fn has(&self, name: &str) -> bool {
        self.constants.iter().any(|(bound, _)| bound == name)
            || self.spans.iter().any(|(bound, _)| bound == name)
    }
    pub fn f32(&self, name: &str) -> impl Deref<Target = [f32]> {
        Reading::<f32> {
            words: self.span(name).host().read().unwrap(),
            span: self.span(name).clone(),
            of: Default::default(),
        }
    }
    pub fn u32(&self, name: &str) -> impl Deref<Target = [u32]> {
        Reading::<u32> {
            words: self.span(name).host().read().unwrap(),
            span: self.span(name).clone(),
            of: Default::default(),
        }
    }
    pub fn f32_mut(&self, name: &str) -> impl DerefMut<Target = [f32]> {
        Writing::<f32> {
            words: self.span(name).host().write().unwrap(),
            span: self.span(name).clone(),
            of: Default::default(),
        }
    }
    pub fn u32_mut(&self, name: &str) -> impl DerefMut<Target = [u32]> {
        Writing::<u32> {
            words: self.span(name).host().write().unwrap(),
            span: self.span(name).clone(),
            of: Default::default(),
        }
    }
    /// The numbers of a tensor of f32 or bf16, as f32. Words count as f32: as such a kernel writes them that can write both.
    pub fn values(&self, name: &str) -> Vec<f32> {
        match self.span(name).dtype {
            Dtype::Bf16 => bf16::widen(&self.u32(name)),
            Dtype::F32 | Dtype::U32 => self.f32(name).to_vec(),
        }
    }
    /// Replaces all of them, rounded where the tensor is bf16.
    pub fn set_values(&self, name: &str, values: &[f32]) {
        match self.span(name).dtype {
            Dtype::Bf16 => bf16::fill(&mut self.u32_mut(name), values),
            Dtype::F32 | Dtype::U32 => self.f32_mut(name).copy_from_slice(values),
        }
    }
    fn span(&self, name: &str) -> &Span {
        // A variant may read the same tensor through a texture, or four numbers at a time.
        let matches = |bound: &str| {
            let ends = ["", "_texels", "_quads"];
            ends.iter().any(|end| bound.strip_suffix(end) == Some(name))
        };
        let found = self.spans.iter().find(|(bound, _)| matches(bound));
        &found.unwrap_or_else(|| panic!("a twin asks for `{name}`, which its shader does not have")).1
    }
}

struct Reading<'a, T> {
    words: RwLockReadGuard<'a, Vec<u32>>,
    span: Span,
    of: std::marker::PhantomData<T>,
}
impl<T: bytemuck::Pod> Deref for Reading<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.words[self.span.range()])
    }
}

struct Writing<'a, T> {
    words: RwLockWriteGuard<'a, Vec<u32>>,
    span: Span,
    of: std::marker::PhantomData<T>,
}
impl<T: bytemuck::Pod> Deref for Writing<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.words[self.span.range()])
    }
}
impl<T: bytemuck::Pod> DerefMut for Writing<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.words[self.span.range()])
    }
}
