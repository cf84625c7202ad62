// Made from the C headers by generate.py; change them, not this.

use std::os::raw::{c_char, c_void};

pub type Status = i32;

pub const ABI_MAJOR: u32 = 1;
pub const ABI_MINOR: u32 = 0;
pub const TARGET_MINOR: u32 = 0;
pub const OK: Status = 0;
pub const SKIP: Status = 1;
pub const E_INVALID_ARG: Status = -1;
pub const E_UNSUPPORTED: Status = -2;
pub const E_NO_MEMORY: Status = -3;
pub const E_CANCELLED: Status = -4;
pub const E_BAD_STATE: Status = -5;
pub const E_NUMERIC: Status = -6;
pub const E_IO: Status = -7;
pub const E_INTERNAL: Status = -8;
pub const CODE_INT: u32 = 0;
pub const CODE_UINT: u32 = 1;
pub const CODE_FLOAT: u32 = 2;
pub const CODE_BFLOAT: u32 = 4;
pub const TYPE_I64: u32 = 1;
pub const TYPE_F64: u32 = 2;
pub const TYPE_BOOL: u32 = 3;
pub const TYPE_CHOICE: u32 = 4;
pub const TYPE_STRING: u32 = 5;
pub const TYPE_I64_LIST: u32 = 6;
pub const TYPE_F64_LIST: u32 = 7;
pub const WORKERS: u32 = 256;
pub const LOG_DEBUG: u32 = 0;
pub const LOG_INFO: u32 = 1;
pub const LOG_WARNING: u32 = 2;
pub const ROLE_WEIGHT: u32 = 0;
pub const ROLE_ACTIVATION: u32 = 1;
pub const GRANULARITY_ELEMENT: u32 = 0;
pub const GRANULARITY_OUT_CHANNEL: u32 = 1;
pub const GRANULARITY_IN_CHANNEL: u32 = 2;
pub const GRANULARITY_BLOCK: u32 = 3;
pub const GRANULARITY_BIT_ELEMENT: u32 = 1;
pub const GRANULARITY_BIT_OUT_CHANNEL: u32 = 2;
pub const GRANULARITY_BIT_IN_CHANNEL: u32 = 4;
pub const GRANULARITY_BIT_BLOCK: u32 = 8;
pub const NEED_IN_ABS_MEAN: u64 = 1;
pub const NEED_IN_SQ_NORM: u64 = 2;
pub const NEED_OUT_ABS_MEAN: u64 = 4;
pub const NEED_OUT_ZERO_FRACTION: u64 = 8;
pub const NEED_PREV_MASK: u64 = 16;
pub const NEED_WEIGHT_GRAD: u64 = 32;
pub const NEED_IN_GRAM: u64 = 64;
pub const NEED_RAW_IN: u64 = 128;
pub const NEED_RAW_OUT: u64 = 256;
pub const NEED_RAW_GRAD_OUT: u64 = 512;
pub const LABEL_IGNORED: i32 = -100;
pub const NEED_TEACHER: u64 = 0x10000;
pub const NEED_LABELS: u64 = 0x20000;
pub const NEED_FEATURES: u64 = 0x40000;
pub const LOSS_WANT_GRAD: u32 = 1;
pub const QFORMULA_AFFINE: u32 = 0;
pub const QFORMULA_CODEBOOK: u32 = 1;
pub const QFORMULA_OPAQUE: u32 = 2;
pub const QGRANULARITY_TENSOR: u32 = 0;
pub const QGRANULARITY_AXIS: u32 = 1;
pub const QGRANULARITY_BLOCK: u32 = 2;
pub const QSTORAGE_NATURAL: u32 = 0;
pub const QSTORAGE_PACKED: u32 = 1;
pub const QSTORAGE_CUSTOM: u32 = 2;
pub const QPACK_LOW_FIRST: u32 = 0;
pub const QPACK_HIGH_FIRST: u32 = 1;
pub const QEXPORT_DEQUANT_EXACT: u32 = 1;
pub const QEXPORT_QUANT_EXACT: u32 = 2;
pub const EXT_QUANT_EXPORT: &str = "billhook.quant-export/1";
pub const EXT_KERNELS: &str = "billhook.kernels/1";
pub const MAGIC: u32 = 0x42481A0A;
pub const PARAM_REQUIRED: u32 = 1;
pub const HOOK_SCORER: u32 = 1;
pub const HOOK_LOSS: u32 = 2;
pub const HOOK_QUANTIZER: u32 = 3;
pub const CAP_DETERMINISTIC: u64 = 1;
pub const CAP_CONCURRENT: u64 = 2;
pub const CAP_CHUNKED: u64 = 4;
pub const CAP_DATA_FREE: u64 = 8;
pub const CAP_GLOBAL_SCALE: u64 = 16;
pub const CAP_STREAMING: u64 = 32;
pub const CAP_MERGEABLE: u64 = 64;
pub const CAP_REQUIRES_INPROC: u64 = 0x100000000;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_tensor {
    pub data: *mut c_void,
    pub device_type: i32,
    pub device_id: i32,
    pub ndim: i32,
    pub code: u8,
    pub bits: u8,
    pub lanes: u16,
    pub shape: *mut i64,
    pub strides: *mut i64,
    pub byte_offset: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union bh_value_u {
    pub i64: i64,
    pub f64: f64,
    pub str: *const c_char,
    pub i64s: *const i64,
    pub f64s: *const f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_value {
    pub kind: u32,
    pub count: u32,
    pub u: bh_value_u,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_writer {
    pub context: *mut c_void,
    pub write: unsafe extern "C" fn(*const bh_writer, *const c_void, u64) -> i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_reader {
    pub context: *mut c_void,
    pub read: unsafe extern "C" fn(*const bh_reader, *mut c_void, u64) -> i64,
}

pub type bh_task = unsafe extern "C" fn(*mut bh_call, i64, i64, *mut c_void) -> Status;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_host {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub name: *const c_char,
    pub version: *const c_char,
    pub log: unsafe extern "C" fn(*mut bh_call, u32, *const c_char, u64),
    pub fail: unsafe extern "C" fn(*mut bh_call, Status, *const c_char, u64) -> Status,
    pub scratch: unsafe extern "C" fn(*mut bh_call, u64, u64) -> *mut c_void,
    pub parallel_for: unsafe extern "C" fn(*mut bh_call, i64, i64, bh_task, *mut c_void) -> Status,
    pub cancelled: unsafe extern "C" fn(*mut bh_call) -> u32,
    pub progress: unsafe extern "C" fn(*mut bh_call, f64, *const c_char, u64),
    pub random: unsafe extern "C" fn(*mut bh_call, u64, u64, *mut u32, u64) -> Status,
    pub get_extension: unsafe extern "C" fn(*mut bh_call, *const c_char) -> *const c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_call {
    pub struct_size: u32,
    pub worker: u32,
    pub host: *const bh_host,
    pub host_data: *mut c_void,
    pub next: *const c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_layer {
    pub struct_size: u32,
    pub role: u32,
    pub index: u64,
    pub name: *const c_char,
    pub op: *const c_char,
    pub out_axis: i32,
    pub in_axis: i32,
    pub groups: i64,
    pub ndim: i64,
    pub shape: *const i64,
    pub element_begin: i64,
    pub sample_begin: i64,
    pub sample_total: i64,
    pub next: *const c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_score_in {
    pub struct_size: u32,
    pub granularity: u32,
    pub weight: *const bh_tensor,
    pub grad: *const bh_tensor,
    pub mask: *const bh_tensor,
    pub in_abs_mean: *const bh_tensor,
    pub in_sq_norm: *const bh_tensor,
    pub in_gram: *const bh_tensor,
    pub out_abs_mean: *const bh_tensor,
    pub out_zero_fraction: *const bh_tensor,
    pub n_samples: u64,
    pub block: [i64; 2],
    pub next: *const c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_scorer {
    pub struct_size: u32,
    pub reserved: u32,
    pub observe: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_tensor, *const bh_tensor, *const bh_tensor) -> Status>,
    pub merge: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_reader) -> Status>,
    pub score: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_score_in, *const bh_tensor) -> Status>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_feature {
    pub name: *const c_char,
    pub student: *const bh_tensor,
    pub teacher: *const bh_tensor,
    pub grad_student_out: *const bh_tensor,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_loss_io {
    pub struct_size: u32,
    pub flags: u32,
    pub student: *const bh_tensor,
    pub teacher: *const bh_tensor,
    pub labels: *const bh_tensor,
    pub sample_weight: *const bh_tensor,
    pub features: *const *const bh_feature,
    pub n_features: u64,
    pub grad_scale: f64,
    pub step: u64,
    pub total_steps: u64,
    pub loss_sum_out: *mut f64,
    pub weight_sum_out: *mut f64,
    pub grad_student_out: *const bh_tensor,
    pub next: *const c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_loss {
    pub struct_size: u32,
    pub reserved: u32,
    pub compute: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_loss_io) -> Status>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_qlayout {
    pub struct_size: u32,
    pub max_bits: u32,
    pub formula: u32,
    pub q_code: u8,
    pub q_bits: u8,
    pub reserved: u16,
    pub qmin: i64,
    pub qmax: i64,
    pub symmetric: u32,
    pub granularity: u32,
    pub axis: i32,
    pub export_flags: u32,
    pub block_size: i64,
    pub block_bytes: i64,
    pub storage: u32,
    pub word_bits: u32,
    pub pack_order: u32,
    pub pack_bias: i32,
    pub storage_id: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_qparams {
    pub struct_size: u32,
    pub reserved: u32,
    pub scale: *const bh_tensor,
    pub zero_point: *const bh_tensor,
    pub table: *const bh_tensor,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_quantizer {
    pub struct_size: u32,
    pub reserved: u32,
    pub layout: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *mut bh_qlayout) -> Status>,
    pub observe: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_tensor) -> Status>,
    pub calibrate: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *const bh_tensor, *const bh_qparams) -> Status>,
    pub quantize: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *const bh_qparams, *const bh_tensor, *const bh_tensor) -> Status>,
    pub dequantize: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *const bh_qparams, *const bh_tensor, *const bh_tensor) -> Status>,
    pub fake_quant: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *const bh_qparams, *const bh_tensor, *const bh_tensor) -> Status>,
    pub fake_quant_grad: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *const bh_qparams, *const bh_tensor, *const bh_tensor, *const bh_tensor) -> Status>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_quant_export {
    pub struct_size: u32,
    pub reserved: u32,
    pub packed_bytes: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *mut u64) -> Status>,
    pub pack: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *const bh_qparams, *const bh_tensor, *const bh_tensor) -> Status>,
    pub unpack: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_layer, *const bh_qlayout, *const bh_tensor, *const bh_qparams, *const bh_tensor) -> Status>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_soft_target {
    pub struct_size: u32,
    pub reserved: u32,
    pub rows: i64,
    pub classes: i64,
    pub student: *const f32,
    pub teacher: *const f32,
    pub labels: *const i32,
    pub sample_weight: *const f32,
    pub temperature: f64,
    pub alpha: f64,
    pub grad_scale: f64,
    pub grad: *mut f32,
    pub loss_sum: *mut f64,
    pub weight_sum: *mut f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_kernel_table {
    pub struct_size: u32,
    pub reserved: u32,
    pub abs_power: unsafe extern "C" fn(*mut bh_call, *const f32, i64, f64, *mut f32) -> Status,
    pub abs_times_channel: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, *const f32, i64, i64, *mut f32) -> Status,
    pub abs_power_sums: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, i64, f64, *mut f32) -> Status,
    pub min_max: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, i64, *mut f32, *mut f32) -> Status,
    pub affine_params: unsafe extern "C" fn(*mut bh_call, *const f32, *const f32, i64, i32, i32, u32, *mut f32, *mut i32) -> Status,
    pub affine_quantize: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, i64, *const f32, *const i32, i32, i32, u32, *mut c_void) -> Status,
    pub affine_dequantize: unsafe extern "C" fn(*mut bh_call, *const c_void, u32, i64, i64, i64, *const f32, *const i32, *mut f32) -> Status,
    pub soft_target_loss: unsafe extern "C" fn(*mut bh_call, *const bh_soft_target) -> Status,
    pub axis_sums: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, i64, *mut f32) -> Status,
    pub row_dots: unsafe extern "C" fn(*mut bh_call, *const f32, *const f32, i64, i64, *mut f32) -> Status,
    pub row_cosines: unsafe extern "C" fn(*mut bh_call, *const f32, *const f32, i64, i64, *mut f32) -> Status,
    pub row_distances: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, u32, *mut f32) -> Status,
    pub softmax_rows: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, f64, u32, *mut f32) -> Status,
    pub select_smallest: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, *mut u8) -> Status,
    pub kth_smallest: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, *mut f32) -> Status,
    pub block_abs_max: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, i64, *mut f32) -> Status,
    pub block_scale: unsafe extern "C" fn(*mut bh_call, *const f32, i64, i64, i64, *const f32, u32, *mut f32) -> Status,
    pub codebook_nearest: unsafe extern "C" fn(*mut bh_call, *const f32, i64, *const f32, u32, *mut u8) -> Status,
    pub codebook_lookup: unsafe extern "C" fn(*mut bh_call, *const u8, i64, *const f32, u32, *mut f32) -> Status,
    pub pack_bits: unsafe extern "C" fn(*mut bh_call, *const u8, i64, u32, *mut u8) -> Status,
    pub unpack_bits: unsafe extern "C" fn(*mut bh_call, *const u8, i64, u32, *mut u8) -> Status,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_param {
    pub struct_size: u32,
    pub kind: u32,
    pub flags: u32,
    pub n_choices: u32,
    pub key: *const c_char,
    pub doc: *const c_char,
    pub unit: *const c_char,
    pub def: bh_value,
    pub min: f64,
    pub max: f64,
    pub choices: *const *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_plugin {
    pub struct_size: u32,
    pub hook: u32,
    pub caps: u64,
    pub needs: u64,
    pub id: *const c_char,
    pub name: *const c_char,
    pub summary: *const c_char,
    pub doc: *const c_char,
    pub n_params: u32,
    pub granularities: u32,
    pub n_dtypes: u32,
    pub state_version: u32,
    pub params: *const *const bh_param,
    pub dtypes: *const u32,
    pub validate: Option<unsafe extern "C" fn(*mut bh_call, *const bh_value) -> Status>,
    pub create: Option<unsafe extern "C" fn(*mut bh_call, *const bh_value, *mut *mut c_void) -> Status>,
    pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    pub reset: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call) -> Status>,
    pub save: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_writer) -> Status>,
    pub load: Option<unsafe extern "C" fn(*mut c_void, *mut bh_call, *const bh_reader, u32) -> Status>,
    pub vtable: *const c_void,
    pub get_extension: Option<unsafe extern "C" fn(*const c_char) -> *const c_void>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct bh_module {
    pub magic: u32,
    pub struct_size: u32,
    pub abi_major: u16,
    pub min_minor: u16,
    pub header_minor: u16,
    pub reserved: u16,
    pub id: *const c_char,
    pub version: *const c_char,
    pub vendor: *const c_char,
    pub license: *const c_char,
    pub url: *const c_char,
    pub n_plugins: u64,
    pub plugins: *const *const bh_plugin,
    pub init: Option<unsafe extern "C" fn(*const bh_host) -> Status>,
    pub fini: Option<unsafe extern "C" fn()>,
}
