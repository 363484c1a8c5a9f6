//! What makes a shader portable: naga accepts it without any optional capability, translates it for every
//! driver, and WebGPU's default limits suffice.

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, ImageClass, Module, ShaderStage, StorageAccess, TypeInner};

// https://www.w3.org/TR/webgpu/#limits, the column of defaults.
const STORAGE_BUFFERS: u32 = 8;
const UNIFORM_BUFFERS: u32 = 12;
const STORAGE_TEXTURES: u32 = 4;
const UNIFORM_BYTES: u32 = 65536;
const INVOCATIONS: u32 = 256;
const WORKGROUP: [u32; 3] = [256, 256, 64];
const WORKGROUP_BYTES: u32 = 16384;

/// Everything that is wrong with a shader's whole text, one line a fault.
///
/// Overrides take their defaults: one without is a fault, since it could not be tested by itself.
pub fn faults(text: &str) -> Vec<String> {
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(error) => return vec![format!("refused by naga: {}", error.emit_to_string(text))],
    };
    // No capability: no float atomics, no f16, no 64-bit integers, no immediates; subgroups only where the shader says
    // so, for the host then asks whether the device has them.
    let subgroups = needs_subgroups(text);
    let capabilities = if subgroups { Capabilities::SUBGROUP } else { Capabilities::empty() };
    let info = match Validator::new(ValidationFlags::all(), capabilities).validate(&module) {
        Ok(info) => info,
        Err(error) => return vec![format!("invalid for naga: {}", error.emit_to_string(text))],
    };
    if module.entry_points.is_empty() {
        return vec!["has no entry point".into()];
    }
    let mut all = Vec::new();
    for entry in &module.entry_points {
        let found = faults_of(&module, &info, &entry.name, subgroups);
        all.extend(found.into_iter().map(|fault| format!("entry `{}`: {fault}", entry.name)));
    }
    all
}

/// Whether a shader says that it needs subgroups.
pub fn needs_subgroups(text: &str) -> bool {
    text.lines().any(|line| line.trim() == coppice::gpu::NEEDS_SUBGROUPS)
}

fn faults_of(module: &Module, info: &ModuleInfo, entry: &str, subgroups: bool) -> Vec<String> {
    let stage = Some((ShaderStage::Compute, entry));
    // The result holds this entry point alone, with every override replaced by a number.
    let (module, info) =
        match naga::back::pipeline_constants::process_overrides(module, info, stage, &Default::default()) {
            Ok(resolved) => resolved,
            Err(error) => return vec![error.to_string()],
        };
    let mut all = beyond_limits(&module, &info);
    for (language, target) in targets().into_iter().filter(|(_, target)| !subgroups || target.has_subgroups())
    {
        if let Err(fault) = target.write(&module, &info, entry, subgroups) {
            all.push(format!("cannot become {language}: {fault}"));
        }
    }
    all
}

/// Where the only entry point of `module` asks for more than WebGPU promises everywhere.
fn beyond_limits(module: &Module, info: &ModuleInfo) -> Vec<String> {
    let mut all = Vec::new();
    let (mut storage, mut uniform, mut textures, mut workgroup_bytes) = (0, 0, 0, 0);
    let uses = info.get_entry_point(0);
    for (_, global) in module.global_variables.iter().filter(|(handle, _)| !uses[*handle].is_empty()) {
        let name = global.name.as_deref().unwrap_or_default();
        let ty = &module.types[global.ty].inner;
        let bytes = ty.size(module.to_ctx());
        match global.space {
            AddressSpace::Storage { .. } => storage += 1,
            AddressSpace::Uniform => {
                uniform += 1;
                if bytes > UNIFORM_BYTES {
                    all.push(format!("uniform `{name}` has {bytes} bytes, of {UNIFORM_BYTES}"));
                }
            }
            AddressSpace::WorkGroup => workgroup_bytes += bytes.next_multiple_of(16),
            AddressSpace::Handle if is_read_texture(ty) => textures += 1,
            AddressSpace::Private => {}
            other => all.push(format!("`{name}` is in {other:?}, and no texture to load from")),
        }
        if let Some(binding) = global.binding.filter(|binding| binding.group != 0) {
            all.push(format!("`{name}` is in group {}; kernels use group 0 alone", binding.group));
        }
    }
    let counts = [
        ("storage buffers", storage, STORAGE_BUFFERS),
        ("uniform buffers", uniform, UNIFORM_BUFFERS),
        ("storage textures", textures, STORAGE_TEXTURES),
    ];
    for (what, used, limit) in counts {
        if used > limit {
            all.push(format!("uses {used} {what}, of {limit}"));
        }
    }
    if workgroup_bytes > WORKGROUP_BYTES {
        all.push(format!("takes {workgroup_bytes} bytes of workgroup memory, of {WORKGROUP_BYTES}"));
    }
    let [x, y, z] = module.entry_points[0].workgroup_size;
    if x * y * z > INVOCATIONS {
        all.push(format!("has {} invocations, of {INVOCATIONS}", x * y * z));
    }
    if x > WORKGROUP[0] || y > WORKGROUP[1] || z > WORKGROUP[2] {
        all.push(format!("its workgroup is {x} x {y} x {z}, of {WORKGROUP:?}"));
    }
    all
}

/// A storage texture that is read; sampled ones and samplers have no use here.
fn is_read_texture(ty: &TypeInner) -> bool {
    matches!(ty, TypeInner::Image { class: ImageClass::Storage { access: StorageAccess::LOAD, .. }, .. })
}

/// What wgpu hands to drivers.
enum Target {
    SpirV,
    Metal,
    Hlsl(hlsl::ShaderModel),
    Glsl(glsl::Version),
}

fn targets() -> [(&'static str, Target); 6] {
    [
        ("SPIR-V", Target::SpirV),
        ("Metal's language", Target::Metal),
        ("HLSL 5.1", Target::Hlsl(hlsl::ShaderModel::V5_1)),
        ("HLSL 6.0", Target::Hlsl(hlsl::ShaderModel::V6_0)),
        ("GLSL 4.30", Target::Glsl(glsl::Version::Desktop(430))),
        ("GLSL ES 3.10", Target::Glsl(glsl::Version::new_gles(310))),
    ]
}

impl Target {
    /// Whether wgpu offers subgroups where this language is spoken: never by OpenGL or shader model 5.
    fn has_subgroups(&self) -> bool {
        matches!(self, Target::SpirV | Target::Metal | Target::Hlsl(hlsl::ShaderModel::V6_0))
    }

    /// Translates the only entry point of `module`; the outcome is of no interest.
    fn write(&self, module: &Module, info: &ModuleInfo, entry: &str, subgroups: bool) -> Result<(), String> {
        let entry_point = Some((ShaderStage::Compute, entry.to_string()));
        // As wgpu asks for: naga's own default leaves indices unchecked.
        let bounds_check_policies = BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Restrict,
            ..Default::default()
        };
        match self {
            Target::SpirV => {
                let groups = [spv::Capability::GroupNonUniform, spv::Capability::GroupNonUniformShuffle];
                let groups = groups.into_iter().filter(|_| subgroups);
                let capabilities = Some([spv::Capability::Shader].into_iter().chain(groups).collect());
                let options = spv::Options { capabilities, bounds_check_policies, ..Default::default() };
                let pipeline =
                    spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
                spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|e| e.to_string())?;
            }
            Target::Metal => {
                let options =
                    msl::Options { lang_version: (2, 0), bounds_check_policies, ..Default::default() };
                let pipeline = msl::PipelineOptions { entry_point, ..Default::default() };
                let (_, made) =
                    msl::write_string(module, info, &options, &pipeline).map_err(|e| e.to_string())?;
                for name in made.entry_point_names {
                    name.map_err(|e| e.to_string())?;
                }
            }
            Target::Hlsl(model) => {
                let options = hlsl::Options { shader_model: *model, ..Default::default() };
                let pipeline = hlsl::PipelineOptions { entry_point };
                let made = hlsl::Writer::new(&mut String::new(), &options, &pipeline)
                    .write(module, info, None)
                    .map_err(|e| e.to_string())?;
                for name in made.entry_point_names {
                    name.map_err(|e| e.to_string())?;
                }
            }
            Target::Glsl(version) => {
                let options = glsl::Options { version: *version, ..Default::default() };
                let pipeline = glsl::PipelineOptions {
                    shader_stage: ShaderStage::Compute,
                    entry_point: entry.into(),
                    multiview: None,
                };
                let mut text = String::new();
                glsl::Writer::new(&mut text, module, info, &options, &pipeline, bounds_check_policies)
                    .and_then(|mut writer| writer.write())
                    .map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }
}
