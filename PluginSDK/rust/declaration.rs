// The part of billhook.rs that declares plugins.

use std::ffi::CString;
use std::marker::PhantomData;

/// The declaration of a parameter; its place among the others is its index in `Values`.
pub struct Parameter(bh_param);

impl Parameter {
    fn new(key: &str, doc: &str, kind: u32) -> Self {
        let def = bh_value { kind, count: 1, u: bh_value_u { i64: 0 } };
        Self(bh_param {
            struct_size: std::mem::size_of::<bh_param>() as u32, kind, flags: 0, n_choices: 0,
            key: permanent(key), doc: permanent(doc), unit: std::ptr::null(), def,
            min: f64::NEG_INFINITY, max: f64::INFINITY, choices: std::ptr::null(),
        })
    }

    /// A number with its default and its lowest and highest value.
    pub fn f64(key: &str, doc: &str, default: f64, min: f64, max: f64) -> Self {
        let mut made = Self::new(key, doc, TYPE_F64);
        made.0.def.u.f64 = default;
        made.0.min = min;
        made.0.max = max;
        made
    }

    /// A whole number with its default and its lowest and highest value.
    pub fn i64(key: &str, doc: &str, default: i64, min: i64, max: i64) -> Self {
        let mut made = Self::new(key, doc, TYPE_I64);
        made.0.def.u.i64 = default;
        made.0.min = min as f64;
        made.0.max = max as f64;
        made
    }

    /// One of some words; the first is the default.
    pub fn choice(key: &str, doc: &str, words: &[&str]) -> Self {
        let mut made = Self::new(key, doc, TYPE_CHOICE);
        let words: Vec<_> = words.iter().map(|word| permanent(word)).collect();
        made.0.n_choices = words.len() as u32;
        made.0.choices = Box::leak(words.into_boxed_slice()).as_ptr();
        made
    }

    /// A text with its default.
    pub fn string(key: &str, doc: &str, default: &str) -> Self {
        let mut made = Self::new(key, doc, TYPE_STRING);
        made.0.def.u.str = permanent(default);
        made
    }

    /// Numbers with their default, and the lowest and highest value of each.
    pub fn f64_list(key: &str, doc: &str, default: &[f64], min: f64, max: f64) -> Self {
        let mut made = Self::new(key, doc, TYPE_F64_LIST);
        made.0.def.count = default.len() as u32;
        made.0.def.u.f64s = Box::leak(default.to_vec().into_boxed_slice()).as_ptr();
        made.0.min = min;
        made.0.max = max;
        made
    }

    /// Whole numbers with their default, and the lowest and highest value of each.
    pub fn i64_list(key: &str, doc: &str, default: &[i64], min: i64, max: i64) -> Self {
        let mut made = Self::new(key, doc, TYPE_I64_LIST);
        made.0.def.count = default.len() as u32;
        made.0.def.u.i64s = Box::leak(default.to_vec().into_boxed_slice()).as_ptr();
        made.0.min = min as f64;
        made.0.max = max as f64;
        made
    }

    /// Yes or no, with its default.
    pub fn bool(key: &str, doc: &str, default: bool) -> Self {
        let mut made = Self::new(key, doc, TYPE_BOOL);
        made.0.def.u.i64 = default as i64;
        made
    }
}

/// The declaration of a plugin whose instances are a `T`.
pub struct Plugin<T> {
    raw: bh_plugin,
    parameters: Vec<*const bh_param>,
    instances: PhantomData<T>,
}

/// A declaration that is finished.
pub struct Declared(*const bh_plugin);

impl<T: Instance> Plugin<T> {
    fn new(hook: u32, id: &str, vtable: *const c_void) -> Self {
        let null = std::ptr::null();
        // All that is not set is null or 0, which is what "not there" is in the ABI.
        let mut raw: bh_plugin = unsafe { std::mem::zeroed() };
        raw.struct_size = std::mem::size_of::<bh_plugin>() as u32;
        raw.hook = hook;
        raw.id = permanent(id);
        raw.doc = null;
        raw.create = Some(create::<T>);
        raw.destroy = Some(destroy::<T>);
        raw.vtable = vtable;
        Self { raw, parameters: Vec::new(), instances: PhantomData }
    }

    pub fn name(mut self, text: &str) -> Self { self.raw.name = permanent(text); self }
    pub fn summary(mut self, text: &str) -> Self { self.raw.summary = permanent(text); self }
    pub fn doc(mut self, text: &str) -> Self { self.raw.doc = permanent(text); self }
    /// `CAP_*` flags, or-ed.
    pub fn caps(mut self, flags: u64) -> Self { self.raw.caps = flags; self }
    /// `NEED_*` flags, or-ed.
    pub fn needs(mut self, flags: u64) -> Self { self.raw.needs = flags; self }
    /// `GRANULARITY_BIT_*` flags, or-ed.
    pub fn granularities(mut self, flags: u32) -> Self { self.raw.granularities = flags; self }

    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(Box::leak(Box::new(parameter.0)));
        self
    }

    pub fn declared(mut self) -> Declared {
        self.raw.n_params = self.parameters.len() as u32;
        if !self.parameters.is_empty() {
            self.raw.params = Box::leak(self.parameters.into_boxed_slice()).as_ptr();
        }
        Declared(Box::leak(Box::new(self.raw)))
    }
}

/// Declares a scorer; give it at least a name, a summary and granularities.
pub fn scorer<T: Scorer>(id: &str) -> Plugin<T> {
    let mut table: bh_scorer = unsafe { std::mem::zeroed() };
    table.struct_size = std::mem::size_of::<bh_scorer>() as u32;
    table.score = Some(score::<T>);
    Plugin::new(HOOK_SCORER, id, leaked(table))
}

/// Declares a loss; give it at least a name and a summary.
pub fn loss<T: Loss>(id: &str) -> Plugin<T> {
    let mut table: bh_loss = unsafe { std::mem::zeroed() };
    table.struct_size = std::mem::size_of::<bh_loss>() as u32;
    table.compute = Some(compute::<T>);
    Plugin::new(HOOK_LOSS, id, leaked(table))
}

/// Declares a quantizer; give it at least a name and a summary.
pub fn quantizer<T: Quantizer>(id: &str) -> Plugin<T> {
    let mut table: bh_quantizer = unsafe { std::mem::zeroed() };
    table.struct_size = std::mem::size_of::<bh_quantizer>() as u32;
    table.layout = Some(layout::<T>);
    table.calibrate = Some(calibrate::<T>);
    table.quantize = Some(quantize::<T>);
    table.dequantize = Some(dequantize::<T>);
    Plugin::new(HOOK_QUANTIZER, id, leaked(table))
}

/// Makes what the entry returns; use `module!`, which calls it once.
pub fn declare_module(
    id: &str, version: &str, vendor: &str, license: &str, plugins: Vec<Declared>,
) -> &'static bh_module {
    let mut raw: bh_module = unsafe { std::mem::zeroed() };
    raw.magic = MAGIC;
    raw.struct_size = std::mem::size_of::<bh_module>() as u32;
    raw.abi_major = ABI_MAJOR as u16;
    raw.min_minor = TARGET_MINOR as u16;
    raw.header_minor = ABI_MINOR as u16;
    raw.id = permanent(id);
    raw.version = permanent(version);
    raw.vendor = permanent(vendor);
    raw.license = permanent(license);
    let plugins: Vec<_> = plugins.into_iter().map(|plugin| plugin.0).collect();
    raw.n_plugins = plugins.len() as u64;
    raw.plugins = Box::leak(plugins.into_boxed_slice()).as_ptr();
    Box::leak(Box::new(raw))
}

/// Defines the library's entry: id, version, vendor, licence (SPDX) and a list of plugins.
#[macro_export]
macro_rules! module {
    ($id:expr, $version:expr, $vendor:expr, $license:expr, [$($plugin:expr),+ $(,)?]) => {
        #[no_mangle]
        pub extern "C" fn billhook_module_v1() -> *const $crate::bh_module {
            static ONCE: std::sync::Once = std::sync::Once::new();
            static mut MODULE: *const $crate::bh_module = std::ptr::null();
            // Written once, before anyone reads it.
            unsafe {
                ONCE.call_once(|| {
                    MODULE = $crate::declare_module($id, $version, $vendor, $license, vec![$($plugin.declared()),+]);
                });
                MODULE
            }
        }
    };
}

/// Text for the life of the process; what stands behind a 0 is lost.
fn permanent(text: &str) -> *const c_char {
    let bytes: Vec<u8> = text.bytes().take_while(|byte| *byte != 0).collect();
    CString::new(bytes).unwrap_or_default().into_raw()
}

// Through a mutable reference, because a declaration may still fill in functions.
fn leaked<T>(value: T) -> *const c_void { Box::leak(Box::new(value)) as *mut T as *const c_void }
