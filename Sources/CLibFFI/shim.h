// libffi's types are global variables and its call takes a function pointer; Swift wants functions
// and addresses.
#include <ffi.h>
#include <stdint.h>
#include <string.h>

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

// One call an element, without libffi ------------------------------------------------------------
//
// Where the calling convention passes integers and addresses in one set of registers and
// floating-point numbers in another (System V for x86-64, AAPCS64), each kind in its own order, a
// function takes what its registers hold, whatever else was loaded. So one call fits all functions of
// at most BH_FFI_INTEGERS and BH_FFI_NUMBERS arguments, with the bits that libffi would pass.

#define BH_FFI_INTEGERS 6
#define BH_FFI_NUMBERS 8

static inline int32_t bh_ffi_uses_registers(void) {
#if defined(__x86_64__) || defined(__aarch64__)
  return 1;
#else
  return 0;
#endif
}

// Integers are widened to 64 bits; a float is in the lower half of its number.
typedef struct bh_ffi_registers {
  uint64_t integers[BH_FFI_INTEGERS];
  double numbers[BH_FFI_NUMBERS];
  int32_t integer_count, number_count;
} bh_ffi_registers;

// An argument that is another element each call: where it comes from, and where it goes.
typedef struct bh_ffi_input {
  const float *data;
  void *slot;  // 8 bytes
  int32_t is_double;
} bh_ffi_input;

// scores[i] = function(...), a double or a float, with the i-th element of each input. Only where
// bh_ffi_uses_registers says so. Safe on several threads, each with registers of its own.
static inline void bh_ffi_run_elements(void *function, bh_ffi_registers *registers,
                                       const bh_ffi_input *inputs, int32_t input_count,
                                       int32_t returns_double, float *scores, int64_t count) {
  const uint64_t *const a = registers->integers;
  const double *const x = registers->numbers;
  const int few = registers->integer_count == 0 && registers->number_count <= 2;
  if (few && registers->number_count == 1 && input_count == 1 && inputs[0].slot == (const void *)x &&
      inputs[0].is_double == returns_double) {
    // The commonest prototypes, called as a compiler would.
    const float *const data = inputs[0].data;
    if (returns_double) {
      double (*const f)(double) = (double (*)(double))function;
      for (int64_t i = 0; i < count; i++) scores[i] = (float)f(data[i]);
    } else {
      float (*const f)(float) = (float (*)(float))function;
      for (int64_t i = 0; i < count; i++) scores[i] = f(data[i]);
    }
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    for (int32_t k = 0; k < input_count; k++) {
      const float value = inputs[k].data[i];
      if (inputs[k].is_double) {
        const double wide = value;
        memcpy(inputs[k].slot, &wide, sizeof wide);
      } else {
        memcpy(inputs[k].slot, &value, sizeof value);
      }
    }
    double number;
    if (few) {
      number = ((double (*)(double, double))function)(x[0], x[1]);
    } else {
      number = ((double (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, double, double,
                            double, double, double, double, double, double))function)(
          a[0], a[1], a[2], a[3], a[4], a[5], x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
    }
    if (returns_double)
      scores[i] = (float)number;
    else
      memcpy(scores + i, &number, sizeof *scores);
  }
}
