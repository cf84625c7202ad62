//! Billhook's plugin ABI for Rust, without other crates: the structs of billhook.h written down
//! again, and the little that makes a plugin safe to write against them. Rust 1.63 or newer.
//!
//! A plugin implements `Scorer`, `Loss` or `Quantizer`, declares itself with `scorer`, `loss` or
//! `quantizer`, and exports one module:
//!
//! ```ignore
//! billhook::module!("org.example.mine", "1.0.0", "Example", "0BSD", [billhook::loss::<Mine>(…)]);
//! ```
//!
//! A panic does not cross the ABI: it becomes a failure with its text.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

use std::any::Any;
use std::ffi::CStr;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// The structs of the headers, field by field; their comments are there.
mod raw;
pub use raw::*;

/// Why a hook cannot do its work.
pub struct Failure {
    pub status: Status,
    /// A sentence with the values in it; empty when the host knows it already.
    pub text: String,
}

pub type Outcome = Result<(), Failure>;

/// Makes a failure.
pub fn failure<T>(status: Status, text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { status, text: text.into() })
}

impl bh_tensor {
    pub fn sizes(&self) -> &[i64] {
        if self.ndim == 0 { return &[]; }
        unsafe { std::slice::from_raw_parts(self.shape, self.ndim as usize) }
    }

    pub fn count(&self) -> usize { self.sizes().iter().product::<i64>() as usize }

    fn bytes(&self) -> *mut u8 { unsafe { (self.data as *mut u8).add(self.byte_offset as usize) } }

    /// The elements, which the caller knows to be of this type.
    pub unsafe fn elements<T>(&self) -> &[T] {
        if self.data.is_null() { return &[]; }
        std::slice::from_raw_parts(self.bytes() as *const T, self.count())
    }

    /// The elements of an output. The host gives each to one call only.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn elements_mut<T>(&self) -> &mut [T] {
        if self.data.is_null() { return &mut []; }
        std::slice::from_raw_parts_mut(self.bytes() as *mut T, self.count())
    }
}

impl bh_layer {
    pub fn sizes(&self) -> &[i64] {
        if self.ndim == 0 { return &[]; }
        unsafe { std::slice::from_raw_parts(self.shape, self.ndim as usize) }
    }

    /// The whole tensor seen as [outer, count, inner] around one of its axes; [1, 1, all] for -1.
    pub fn around(&self, axis: i32) -> (i64, i64, i64) {
        if axis < 0 { return (1, 1, self.sizes().iter().product()); }
        let (before, rest) = self.sizes().split_at(axis as usize);
        (before.iter().product(), rest[0], rest[1..].iter().product())
    }
}

/// The call that a hook serves, and through it the host's functions.
#[derive(Clone, Copy)]
pub struct Call(*mut bh_call);

impl Call {
    pub fn pointer(&self) -> *mut bh_call { self.0 }
    fn host(&self) -> &bh_host { unsafe { &*(*self.0).host } }

    fn fail(&self, status: Status, text: &str) -> Status {
        if text.is_empty() { return status; }
        unsafe { (self.host().fail)(self.0, status, text.as_ptr() as *const c_char, text.len() as u64) }
    }

    /// Memory of the host for this call, zeroed here: as good as a Vec, without its allocation.
    pub fn scratch<T: Copy + Default>(&self, count: usize) -> Result<&mut [T], Failure> {
        if count == 0 { return Ok(&mut []); }
        let bytes = (count * std::mem::size_of::<T>()) as u64;
        let block = unsafe { (self.host().scratch)(self.0, bytes, 64) } as *mut T;
        if block.is_null() { return failure(E_NO_MEMORY, "the host has no scratch memory left"); }
        for index in 0..count { unsafe { block.add(index).write(T::default()) } }
        Ok(unsafe { std::slice::from_raw_parts_mut(block, count) })
    }

    /// Words of random stream `stream` from `offset` on: a function of the run's seed, the layer and
    /// the position alone.
    pub fn random(&self, stream: u64, offset: u64, words: &mut [u32]) -> Outcome {
        self.check(unsafe {
            (self.host().random)(self.0, stream, offset, words.as_mut_ptr(), words.len() as u64)
        })
    }

    pub fn progress(&self, fraction: f64, text: &str) {
        let bytes = text.as_ptr() as *const c_char;
        unsafe { (self.host().progress)(self.0, fraction, bytes, text.len() as u64) }
    }

    pub fn is_cancelled(&self) -> bool { unsafe { (self.host().cancelled)(self.0) != 0 } }

    /// The table "billhook.kernels/1".
    pub fn kernels(&self) -> Result<&'static bh_kernel_table, Failure> {
        let id = b"billhook.kernels/1\0".as_ptr() as *const c_char;
        let table = unsafe { (self.host().get_extension)(self.0, id) } as *const bh_kernel_table;
        match unsafe { table.as_ref() } {
            Some(table) if table.struct_size as usize >= std::mem::size_of::<bh_kernel_table>() => Ok(table),
            _ => failure(E_UNSUPPORTED, "the host has no \"billhook.kernels/1\", or an older one"),
        }
    }

    /// Passes on the failure of a host function, which has said why already.
    pub fn check(&self, status: Status) -> Outcome {
        if status == OK { Ok(()) } else { failure(status, "") }
    }

    /// Runs `body(call, begin, end)` on pieces of 0..count on the host's threads, each with a call of
    /// its own. The pieces depend on `count` and `grain` alone. The first that fails ends the loop.
    pub fn parallel_for<F>(&self, count: i64, grain: i64, body: F) -> Outcome
    where
        F: Fn(Call, i64, i64) -> Outcome + Sync,
    {
        unsafe extern "C" fn task<F: Fn(Call, i64, i64) -> Outcome + Sync>(
            call: *mut bh_call, begin: i64, end: i64, context: *mut c_void,
        ) -> Status {
            guarded(call, || (*(context as *const F))(Call(call), begin, end))
        }
        let context = &body as *const F as *mut c_void;
        self.check(unsafe { (self.host().parallel_for)(self.0, count, grain, task::<F>, context) })
    }
}

/// Runs a body; a failure or a panic becomes a status, with the text handed to the host.
pub unsafe fn guarded(call: *mut bh_call, body: impl FnOnce() -> Outcome) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => OK,
        Ok(Err(failure)) => Call(call).fail(failure.status, &failure.text),
        Err(panic) => Call(call).fail(E_INTERNAL, &format!("a panic: {}", panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

/// The values of an instance's parameters in declared order, checked by the host.
pub struct Values(*const bh_value);

impl Values {
    pub fn f64(&self, index: usize) -> f64 { unsafe { (*self.0.add(index)).u.f64 } }
    pub fn i64(&self, index: usize) -> i64 { unsafe { (*self.0.add(index)).u.i64 } }
    pub fn bool(&self, index: usize) -> bool { self.i64(index) != 0 }

    /// The place of the chosen word among a choice's words.
    pub fn choice(&self, index: usize) -> usize { self.i64(index) as usize }

    pub fn string(&self, index: usize) -> String {
        let text = unsafe { (*self.0.add(index)).u.str };
        if text.is_null() { return String::new(); }
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    pub fn i64_list(&self, index: usize) -> Vec<i64> {
        let value = unsafe { &*self.0.add(index) };
        if value.count == 0 { return Vec::new(); }
        unsafe { std::slice::from_raw_parts(value.u.i64s, value.count as usize) }.to_vec()
    }

    pub fn f64_list(&self, index: usize) -> Vec<f64> {
        let value = unsafe { &*self.0.add(index) };
        if value.count == 0 { return Vec::new(); }
        unsafe { std::slice::from_raw_parts(value.u.f64s, value.count as usize) }.to_vec()
    }
}

/// Where a plugin puts its state.
pub struct Writer(*const bh_writer);

impl Writer {
    /// Writes all bytes, in as many pieces as the host takes.
    pub fn write(&self, mut bytes: &[u8]) -> Outcome {
        while !bytes.is_empty() {
            let data = bytes.as_ptr() as *const c_void;
            let taken = unsafe { ((*self.0).write)(self.0, data, bytes.len() as u64) };
            if taken <= 0 { return failure(E_IO, "the host takes no more state"); }
            bytes = &bytes[taken as usize..];
        }
        Ok(())
    }
}

/// Where a plugin gets its state back.
pub struct Reader(*const bh_reader);

impl Reader {
    /// Reads exactly as many bytes as there are in `bytes`.
    pub fn read(&self, mut bytes: &mut [u8]) -> Outcome {
        while !bytes.is_empty() {
            let data = bytes.as_mut_ptr() as *mut c_void;
            let given = unsafe { ((*self.0).read)(self.0, data, bytes.len() as u64) };
            if given < 0 { return failure(E_IO, "the state cannot be read"); }
            if given == 0 { return failure(E_BAD_STATE, "the state ends too early"); }
            bytes = &mut bytes[given as usize..];
        }
        Ok(())
    }
}

/// A plugin's instance. Calls may overlap with `CAP_CONCURRENT`, so hooks take `&self`.
pub trait Instance: Sized + Sync {
    fn new(values: &Values) -> Result<Self, Failure>;
}

pub trait Scorer: Instance {
    fn score(&self, call: Call, layer: &bh_layer, input: &bh_score_in, scores: &bh_tensor) -> Outcome;
}

pub trait Loss: Instance {
    fn compute(&self, call: Call, io: &bh_loss_io) -> Outcome;
}

pub trait Quantizer: Instance {
    fn layout(&self, call: Call, layer: &bh_layer, layout: &mut bh_qlayout) -> Outcome;
    fn calibrate(
        &self, call: Call, layer: &bh_layer, layout: &bh_qlayout, x: &bh_tensor, out: &bh_qparams,
    ) -> Outcome;
    fn quantize(
        &self, call: Call, layer: &bh_layer, layout: &bh_qlayout, params: &bh_qparams,
        x: &bh_tensor, q: &bh_tensor,
    ) -> Outcome;
    fn dequantize(
        &self, call: Call, layer: &bh_layer, layout: &bh_qlayout, params: &bh_qparams,
        q: &bh_tensor, x: &bh_tensor,
    ) -> Outcome;
}

/// An instance that keeps what it saw. Calls to these never overlap with others.
pub trait Stateful: Instance {
    fn reset(&self, call: Call) -> Outcome;
    fn save(&self, call: Call, writer: &Writer) -> Outcome;
    fn load(&self, call: Call, reader: &Reader, version: u32) -> Outcome;
}

/// A scorer that sees what its layers do with the calibration data.
pub trait LayerObserver: Scorer + Stateful {
    /// Tensors that were not asked for are `None`.
    fn observe(
        &self, call: Call, layer: &bh_layer, input: Option<&bh_tensor>,
        output: Option<&bh_tensor>, output_gradient: Option<&bh_tensor>,
    ) -> Outcome;
    /// Adds what another instance saw and saved.
    fn merge(&self, call: Call, other: &Reader) -> Outcome;
}

/// A quantizer that sees the activations that it will quantize.
pub trait ActivationObserver: Quantizer + Stateful {
    fn observe(&self, call: Call, layer: &bh_layer, x: &bh_tensor) -> Outcome;
}

/// A quantizer that networks can be trained through.
pub trait FakeQuantizer: Quantizer {
    fn fake_quant(
        &self, call: Call, layer: &bh_layer, layout: &bh_qlayout, params: &bh_qparams,
        x: &bh_tensor, y: &bh_tensor,
    ) -> Outcome;
    fn fake_quant_grad(
        &self, call: Call, layer: &bh_layer, layout: &bh_qlayout, params: &bh_qparams,
        x: &bh_tensor, grad_y: &bh_tensor, grad_x: &bh_tensor,
    ) -> Outcome;
}

/// An instance some of whose parameters must suit each other.
pub trait Validated: Instance {
    fn validate(values: &Values) -> Outcome;
}

unsafe extern "C" fn create<T: Instance>(
    call: *mut bh_call, values: *const bh_value, out: *mut *mut c_void,
) -> Status {
    guarded(call, || {
        *out = Box::into_raw(Box::new(T::new(&Values(values))?)) as *mut c_void;
        Ok(())
    })
}

unsafe extern "C" fn destroy<T>(instance: *mut c_void) { drop(Box::from_raw(instance as *mut T)) }

unsafe extern "C" fn score<T: Scorer>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, input: *const bh_score_in,
    scores: *const bh_tensor,
) -> Status {
    guarded(call, || (*(instance as *const T)).score(Call(call), &*layer, &*input, &*scores))
}

unsafe extern "C" fn compute<T: Loss>(
    instance: *mut c_void, call: *mut bh_call, io: *const bh_loss_io,
) -> Status {
    guarded(call, || (*(instance as *const T)).compute(Call(call), &*io))
}

unsafe extern "C" fn layout<T: Quantizer>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, out: *mut bh_qlayout,
) -> Status {
    guarded(call, || (*(instance as *const T)).layout(Call(call), &*layer, &mut *out))
}

unsafe extern "C" fn calibrate<T: Quantizer>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, layout: *const bh_qlayout,
    x: *const bh_tensor, out: *const bh_qparams,
) -> Status {
    guarded(call, || (*(instance as *const T)).calibrate(Call(call), &*layer, &*layout, &*x, &*out))
}

unsafe extern "C" fn quantize<T: Quantizer>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, layout: *const bh_qlayout,
    params: *const bh_qparams, x: *const bh_tensor, q: *const bh_tensor,
) -> Status {
    guarded(call, || {
        (*(instance as *const T)).quantize(Call(call), &*layer, &*layout, &*params, &*x, &*q)
    })
}

unsafe extern "C" fn dequantize<T: Quantizer>(
    instance: *mut c_void, call: *mut bh_call, layer: *const bh_layer, layout: *const bh_qlayout,
    params: *const bh_qparams, q: *const bh_tensor, x: *const bh_tensor,
) -> Status {
    guarded(call, || {
        (*(instance as *const T)).dequantize(Call(call), &*layer, &*layout, &*params, &*q, &*x)
    })
}

include!("optional.rs");
include!("declaration.rs");
