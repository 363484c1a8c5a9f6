//! What a shader says of its own bindings, read by naga: names, slots, access, layouts, workgroup size.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use glam::UVec3;
use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};
use naga::{
    AddressSpace, ImageClass, ImageDimension, Module, ScalarKind, StorageAccess, StorageFormat, TypeInner,
};

use super::kernel::{Field, Kernel, Scalar};
use crate::error::{Error, Result};

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Uniform,
    Read,
    ReadWrite,
    /// Read through a texture into which the tensor is copied first: see `shaders/ops/texels.wgsl`.
    Texels,
}

/// What lies behind a binding.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// A uniform struct of scalars: its fields and its size in bytes.
    Struct { fields: Vec<Field>, size: u32 },
    /// A run-time sized array whose elements hold `width` scalars.
    Array { scalar: Scalar, width: u32 },
    /// A two-dimensional storage texture of four scalars a texel.
    Texels { scalar: Scalar },
}

/// One binding of an entry point.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub name: String,
    pub binding: u32,
    pub access: Access,
    /// How often its bytes are moved at least: once if they are read or written, twice if both.
    pub moves: u64,
    pub layout: Layout,
}

/// Everything the host needs to know of an entry point.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    pub workgroup: UVec3,
    pub slots: Vec<Slot>,
    pub workgroup_bytes: u32,
    /// Whether lanes read each other's numbers: see `Gpu::shares_lanes`.
    pub shares_lanes: bool,
}

/// The line by which a shader says that it needs subgroups of at least eight invocations.
pub const NEEDS_SUBGROUPS: &str = "//#needs subgroups";

/// Reads the interface of a kernel's entry point; only bindings that the entry point uses are listed.
///
/// The result is a function of the shader's text and is kept for the life of the process.
pub fn reflect(kernel: &Kernel) -> Result<Arc<Interface>> {
    type Known = Mutex<HashMap<String, Arc<Interface>>>;
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let known = KNOWN.get_or_init(Default::default);
    let key = kernel.name();
    if let Some(interface) = known.lock().unwrap().get(&key) {
        return Ok(interface.clone());
    }
    let interface = Arc::new(read(kernel, &kernel.text()?)?);
    known.lock().unwrap().insert(key, interface.clone());
    Ok(interface)
}

fn read(kernel: &Kernel, text: &str) -> Result<Interface> {
    let (path, name) = (kernel.source.path, kernel.name());
    let fault = |what: String| Error::internal(what).at(format!("shaders/{path}.wgsl, kernel {name}"));
    let module = naga::front::wgsl::parse_str(text).map_err(|e| fault(e.emit_to_string(text)))?;
    let shares_lanes = text.lines().any(|line| line.trim() == NEEDS_SUBGROUPS);
    let capabilities = if shares_lanes { Capabilities::SUBGROUP } else { Capabilities::empty() };
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|e| fault(e.emit_to_string(text)))?;
    let (index, entry) = module
        .entry_points
        .iter()
        .enumerate()
        .find(|(_, entry)| entry.name == kernel.entry)
        .ok_or_else(|| fault("no such entry point".into()))?;
    let uses = info.get_entry_point(index);

    let mut slots = Vec::new();
    let mut workgroup_bytes = 0;
    for (handle, global) in module.global_variables.iter() {
        if uses[handle] == GlobalUse::empty() {
            continue;
        }
        if global.space == AddressSpace::WorkGroup {
            workgroup_bytes += module.types[global.ty].inner.size(module.to_ctx());
            continue;
        }
        let Some(binding) = &global.binding else { continue };
        let name = global.name.clone().unwrap_or_default();
        let access = match global.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::ReadWrite,
            AddressSpace::Storage { .. } => Access::Read,
            AddressSpace::Handle => Access::Texels,
            other => return Err(fault(format!("binding `{name}` is in {other:?}, which no kernel uses"))),
        };
        if binding.group != 0 {
            return Err(fault(format!(
                "binding `{name}` is in group {}; kernels use group 0",
                binding.group
            )));
        }
        let layout = layout(&module, global.ty).ok_or_else(|| {
            fault(format!("binding `{name}` is neither a struct of scalars, nor an array, nor texels"))
        })?;
        let both = GlobalUse::READ | GlobalUse::WRITE;
        let moves =
            if uses[handle].contains(both) || uses[handle].contains(GlobalUse::ATOMIC) { 2 } else { 1 };
        slots.push(Slot { name, binding: binding.binding, access, moves, layout });
    }
    slots.sort_by_key(|slot| slot.binding);
    Ok(Interface { workgroup: UVec3::from(entry.workgroup_size), slots, workgroup_bytes, shares_lanes })
}

fn layout(module: &Module, ty: naga::Handle<naga::Type>) -> Option<Layout> {
    match &module.types[ty].inner {
        TypeInner::Struct { members, span } => {
            let fields = members
                .iter()
                .map(|member| {
                    let (scalar, 1) = scalar(module, member.ty)? else { return None };
                    Some(Field { name: member.name.clone()?.into(), offset: member.offset as usize, scalar })
                })
                .collect::<Option<Vec<_>>>()?;
            Some(Layout::Struct { fields, size: *span })
        }
        TypeInner::Array { base, .. } => {
            let (scalar, width) = scalar(module, *base)?;
            Some(Layout::Array { scalar, width })
        }
        TypeInner::Image {
            dim: ImageDimension::D2,
            arrayed: false,
            class: ImageClass::Storage { format, access: StorageAccess::LOAD },
        } => match format {
            StorageFormat::Rgba32Float => Some(Layout::Texels { scalar: Scalar::F32 }),
            StorageFormat::Rgba32Uint => Some(Layout::Texels { scalar: Scalar::U32 }),
            _ => None,
        },
        _ => None,
    }
}

fn scalar(module: &Module, ty: naga::Handle<naga::Type>) -> Option<(Scalar, u32)> {
    let (scalar, width) = match &module.types[ty].inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => (scalar, 1),
        TypeInner::Vector { size, scalar } => (scalar, *size as u32),
        _ => return None,
    };
    match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 4) => Some((Scalar::F32, width)),
        (ScalarKind::Uint, 4) => Some((Scalar::U32, width)),
        (ScalarKind::Sint, 4) => Some((Scalar::I32, width)),
        _ => None,
    }
}
