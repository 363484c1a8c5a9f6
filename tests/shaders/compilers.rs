//! What a real GPU's compiler makes of the kernels, without the GPU: Mesa's driver for AMD makes pipelines for a chip that is not
//! there, and says how many registers they take and what does not fit into them.
//!
//! The driver reads its environment when a process starts, so that each chip has a process of its own, which prints what it finds.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::process::Command;

use ash::vk;
use coppice::ops::packed::variants as packed;
use coppice::ops::variants::{self as dense, Class};
use coppice::ops::{attention, batch_norm, layer_norm, pool};
use coppice::optim;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::portable::needs_subgroups;

/// GCN, RDNA 2 and RDNA 3, and how many waves of each kernel a unit has to hold at once, so that one computes while others
/// wait for memory.
pub const CHIPS: [(&str, u64); 3] = [("vega10", 2), ("navi21", 7), ("gfx1100", 7)];
/// More than these, and too few waves fit.
const REGISTERS: u64 = 128;

const DRIVER: &str = "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json";
/// Names the chip to the process that makes pipelines for it.
const CHIP: &str = "RADV_FORCE_FAMILY";
/// With `radv` in it, the driver has to be there.
const REQUIRED: &str = "COPPICE_REQUIRE_COMPILERS";

/// What the compiler says of a kernel, by the names that the driver gives its figures.
type Figures = BTreeMap<String, u64>;

/// All kernels that are meant for GPUs, by name: the whole text, the entry point, and whether it runs without checks.
fn kernels() -> Vec<(String, String, &'static str, bool)> {
    let of_dense =
        dense::ALL.iter().filter(|one| one.class != Class::Software).flat_map(dense::Variant::kernels);
    let of_packed =
        packed::ALL.iter().filter(|one| one.class != Class::Software).flat_map(packed::Variant::kernels);
    let twofold = batch_norm::kernels().chain(layer_norm::kernels()).chain(pool::kernels());
    let others = optim::kernels().chain(attention::kernels()).chain(twofold);
    let others = others.filter(|kernel| !kernel.name().contains("texels"));
    let all = of_dense.chain(of_packed).chain(others);
    all.map(|kernel| (kernel.name(), kernel.text().unwrap(), kernel.entry, kernel.is_proven())).collect()
}

/// Compiles every kernel for the chip that the environment names, and prints a line for each figure of each: the part of the
/// tests for each chip that has a process of its own. Without a chip there is nothing to do.
#[test]
fn worker() {
    if std::env::var_os(CHIP).is_none() {
        return;
    }
    let device = Device::open();
    for (name, text, entry, is_proven) in kernels() {
        for (figure, value) in device.compile(&text, entry, is_proven) {
            println!("figure\t{name}\t{figure}\t{value}");
        }
    }
}

/// The figures of every kernel for a chip; `None` without the driver, where it need not be there.
pub fn figures(chip: &str) -> Option<BTreeMap<String, Figures>> {
    if !std::path::Path::new(DRIVER).exists() {
        let required = std::env::var(REQUIRED).is_ok_and(|list| list.split(',').any(|one| one == "radv"));
        assert!(!required, "{DRIVER} is not there: install mesa-vulkan-drivers");
        eprintln!("not compiled for {chip}: there is no {DRIVER} (Debian: mesa-vulkan-drivers)");
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "compilers::worker", "--nocapture"])
        .envs([(CHIP, chip), ("VK_DRIVER_FILES", DRIVER), ("VK_ICD_FILENAMES", DRIVER)])
        .env("XDG_RUNTIME_DIR", std::env::temp_dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{chip}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("figure\t")) {
        let [name, figure, value] = line.split('\t').collect::<Vec<_>>().try_into().expect("three words");
        all.entry(name.into()).or_default().insert(figure.into(), value.parse().unwrap());
    }
    assert!(all.len() > 50, "{chip}: only {} kernels were compiled", all.len());
    Some(all)
}

/// What is wrong with a kernel's figures, if anything is.
pub fn fault(figures: &Figures, waves: u64) -> Option<String> {
    let of = |name: &str| *figures.get(name).unwrap_or_else(|| panic!("no {name} in {figures:?}"));
    let spills = of("Spilled VGPRs") + of("Spilled SGPRs") + of("Scratch size");
    let (registers, held) = (of("VGPRs"), of("Subgroups per SIMD"));
    let faults = [
        (spills > 0, format!("{spills} registers or bytes do not fit")),
        (registers > REGISTERS, format!("{registers} registers")),
        (held < waves, format!("{held} waves at once, of {waves}")),
    ];
    let found: Vec<String> = faults.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// A device that makes pipelines and cannot run them.
struct Device {
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    // Both must outlive the device.
    _instance: ash::Instance,
    _entry: ash::Entry,
}

impl Device {
    fn open() -> Self {
        // SAFETY: plain calls of Vulkan with structures that live as long as the calls; nothing is submitted.
        unsafe {
            let entry = ash::Entry::load().expect("Vulkan's loader");
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&info, None).unwrap();
            let physical = instance.enumerate_physical_devices().unwrap()[0];
            let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                .pipeline_executable_info(true);
            let mut v12 = vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true);
            let mut v13 = vk::PhysicalDeviceVulkan13Features::default().synchronization2(true);
            let queue = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
            let extensions = [ash::khr::pipeline_executable_properties::NAME.as_ptr()];
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queue)
                .enabled_extension_names(&extensions)
                .push_next(&mut v12)
                .push_next(&mut v13)
                .push_next(&mut statistics);
            let device = instance.create_device(physical, &info, None).unwrap();
            let executables = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
            Self { device, executables, _instance: instance, _entry: entry }
        }
    }

    /// Translates a kernel as wgpu does, and compiles it.
    fn compile(&self, text: &str, entry: &str, is_proven: bool) -> Figures {
        let module = naga::front::wgsl::parse_str(text).unwrap();
        let capabilities = if needs_subgroups(text) { Capabilities::SUBGROUP } else { Capabilities::empty() };
        let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module).unwrap();
        let stage = Some((naga::ShaderStage::Compute, entry));
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&module, &info, stage, &Default::default())
                .unwrap();
        let policy = if is_proven { BoundsCheckPolicy::Unchecked } else { BoundsCheckPolicy::Restrict };
        let options = spv::Options {
            lang_version: (1, 6),
            bounds_check_policies: BoundsCheckPolicies {
                index: policy,
                buffer: policy,
                image_load: policy,
                binding_array: BoundsCheckPolicy::Unchecked,
            },
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            emit_int_div_checks: !is_proven,
            ..Default::default()
        };
        let one =
            spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: entry.into() };
        let words = spv::write_vec(&module, &info, &options, Some(&one)).unwrap();
        let uses = info.get_entry_point(0);
        let bound = module.global_variables.iter().filter(|(handle, _)| !uses[*handle].is_empty());
        let bindings: Vec<_> = bound
            .filter_map(|(_, global)| {
                let kind = match global.space {
                    naga::AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
                    naga::AddressSpace::Storage { .. } => vk::DescriptorType::STORAGE_BUFFER,
                    _ => vk::DescriptorType::STORAGE_IMAGE,
                };
                let binding = global.binding.as_ref()?.binding;
                let layout = vk::DescriptorSetLayoutBinding::default().binding(binding).descriptor_type(kind);
                Some(layout.descriptor_count(1).stage_flags(vk::ShaderStageFlags::COMPUTE))
            })
            .collect();
        // SAFETY: as above.
        unsafe { self.statistics(&words, &bindings, &CString::new(entry).unwrap()) }
    }

    unsafe fn statistics(
        &self,
        words: &[u32],
        bindings: &[vk::DescriptorSetLayoutBinding],
        entry: &CStr,
    ) -> Figures {
        let device = &self.device;
        let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(bindings);
        unsafe {
            let sets = [device.create_descriptor_set_layout(&set, None).unwrap()];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = device.create_pipeline_layout(&layout, None).unwrap();
            let shader = vk::ShaderModuleCreateInfo::default().code(words);
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(device.create_shader_module(&shader, None).unwrap())
                .name(entry);
            let create = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None).unwrap();
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(made[0]).executable_index(0);
            let all = self.executables.get_pipeline_executable_statistics(&info).unwrap();
            all.iter()
                .filter(|figure| figure.format == vk::PipelineExecutableStatisticFormatKHR::UINT64)
                .map(|figure| {
                    (figure.name_as_c_str().unwrap().to_string_lossy().into_owned(), figure.value.u64)
                })
                .collect()
        }
    }
}

/// Prints the table of docs/performance.md: `cargo test --test shaders fit -- --nocapture`.
pub fn print(chip: &str, all: &BTreeMap<String, Figures>) {
    println!("\n{chip:<44} registers  waves  workgroup memory  code  modelled cycles");
    for (name, f) in all {
        println!(
            "{name:<44} {:>9}  {:>5}  {:>16}  {:>4}  {:>15}",
            f["VGPRs"], f["Subgroups per SIMD"], f["LDS size"], f["Code size"], f["Inverse Throughput"]
        );
    }
}

#[test]
fn a_kernel_that_spills_is_noticed() {
    let good = [
        ("VGPRs", 64),
        ("Spilled VGPRs", 0),
        ("Spilled SGPRs", 0),
        ("Scratch size", 0),
        ("Subgroups per SIMD", 8),
    ];
    let with = |name: &str, value: u64| {
        let mut all: Figures = good.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        all.insert(name.into(), value);
        fault(&all, 7)
    };
    assert_eq!(with("VGPRs", 128), None);
    for (name, value) in
        [("VGPRs", 129), ("Spilled VGPRs", 1), ("Scratch size", 4), ("Subgroups per SIMD", 6)]
    {
        assert!(with(name, value).is_some(), "{name} {value}");
    }
}
