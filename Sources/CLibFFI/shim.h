// libffi's types are global variables and its call takes a function pointer; Swift wants functions
// and addresses.
#include <ffi.h>
#include <stdint.h>

static inline ffi_type *bh_ffi_void(void) { return &ffi_type_void; }
static inline ffi_type *bh_ffi_pointer(void) { return &ffi_type_pointer; }
static inline ffi_type *bh_ffi_float(void) { return &ffi_type_float; }
static inline ffi_type *bh_ffi_double(void) { return &ffi_type_double; }

// The integer type of 1, 2, 4 or 8 bytes.
static inline ffi_type *bh_ffi_integer(int32_t bytes, int32_t is_signed) {
  switch (bytes) {
    case 1: return is_signed ? &ffi_type_sint8 : &ffi_type_uint8;
    case 2: return is_signed ? &ffi_type_sint16 : &ffi_type_uint16;
    case 4: return is_signed ? &ffi_type_sint32 : &ffi_type_uint32;
    default: return is_signed ? &ffi_type_sint64 : &ffi_type_uint64;
  }
}

// Not safe on several threads at a time. Returns 0 when it worked.
static inline int32_t bh_ffi_prepare(ffi_cif *cif, uint32_t count, ffi_type *result,
                                     ffi_type **arguments) {
  return (int32_t)ffi_prep_cif(cif, FFI_DEFAULT_ABI, count, result, arguments);
}

// `result` has room for an ffi_arg at least. Safe on several threads at a time.
static inline void bh_ffi_call(ffi_cif *cif, void *function, void *result, void **arguments) {
  ffi_call(cif, FFI_FN(function), result, arguments);
}
