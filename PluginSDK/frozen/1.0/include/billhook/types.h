// Versions, status codes, tensors and parameter values.
#ifndef BILLHOOK_TYPES_H
#define BILLHOOK_TYPES_H

#include <stddef.h>
#include <stdint.h>

// The version of these headers. A host takes every plugin of its major whose min_minor is at most
// its own minor: what was there stays, and a minor only adds.
#define BH_ABI_MAJOR 1
#define BH_ABI_MINOR 0

// The oldest host minor that the plugin works with, for bh_module.min_minor. Younger fields are
// hidden; define it as a higher number before the include to see them.
#ifndef BH_TARGET_MINOR
#define BH_TARGET_MINOR 0
#endif

// Whether the side that made the struct knows the field, and it is not null or 0.
#define BH_HAS(pointer, field)                                                                \
  ((pointer)->struct_size >= (uint64_t)((const char *)(&(pointer)->field + 1) -              \
                                        (const char *)(pointer)) &&                          \
   (pointer)->field)

// 0: done. Above 0: done, with a remark. Below 0: failed.
typedef int32_t bh_status;

#define BH_OK ((bh_status)0)
#define BH_SKIP ((bh_status)1)             // a scorer declines this layer; it stays as it is
#define BH_E_INVALID_ARG ((bh_status)-1)
#define BH_E_UNSUPPORTED ((bh_status)-2)
#define BH_E_NO_MEMORY ((bh_status)-3)
#define BH_E_CANCELLED ((bh_status)-4)
#define BH_E_BAD_STATE ((bh_status)-5)
#define BH_E_NUMERIC ((bh_status)-6)       // NaN, infinity, a singular matrix
#define BH_E_IO ((bh_status)-7)
#define BH_E_INTERNAL ((bh_status)-8)

// What an element is: bh_tensor.code, as in DLPack.
#define BH_CODE_INT 0
#define BH_CODE_UINT 1
#define BH_CODE_FLOAT 2
#define BH_CODE_BFLOAT 4

// Element types by code and bits, for bh_plugin.dtypes.
#define BH_DTYPE(code, bits) ((uint32_t)(code) | ((uint32_t)(bits) << 8))
#define BH_DTYPE_F16 BH_DTYPE(BH_CODE_FLOAT, 16)
#define BH_DTYPE_F32 BH_DTYPE(BH_CODE_FLOAT, 32)
#define BH_DTYPE_BF16 BH_DTYPE(BH_CODE_BFLOAT, 16)

// A view of numbers in memory, with the layout of DLPack's DLTensor.
//
// The host's tensors are row-major without gaps, in main memory, aligned to their element size, and
// have `byte_offset` 0. A plugin that makes tensors of its own keeps to the same. An input is
// read-only, an output is written as a whole; which one it is, its place in the call says.
typedef struct bh_tensor {
  void *data;            // first element; null when the tensor is empty
  int32_t device_type;   // 1: main memory
  int32_t device_id;     // 0
  int32_t ndim;          // number of axes; 0 for a scalar
  uint8_t code;          // BH_CODE_*
  uint8_t bits;          // bits of an element: 8, 16 or 32
  uint16_t lanes;        // 1
  int64_t *shape;        // [ndim]; null when ndim is 0
  int64_t *strides;      // [ndim], in elements; null when ndim is 0
  uint64_t byte_offset;  // added to `data`
} bh_tensor;

// What a parameter is: bh_value.type and bh_param.type.
#define BH_TYPE_I64 1
#define BH_TYPE_F64 2
#define BH_TYPE_BOOL 3      // in i64: 0 or 1
#define BH_TYPE_CHOICE 4    // in i64: index into bh_param.choices
#define BH_TYPE_STRING 5
#define BH_TYPE_I64_LIST 6
#define BH_TYPE_F64_LIST 7

// One parameter's value. Frozen: this struct never grows, so arrays of it are safe.
typedef struct bh_value {
  uint32_t type;           // BH_TYPE_*
  uint32_t count;          // elements of a list; 1 for the others
  union {
    int64_t i64;           // I64, BOOL, CHOICE
    double f64;            // F64
    const char *str;       // STRING: UTF-8, ends with 0; null means ""
    const int64_t *i64s;   // I64_LIST: [count]; null when count is 0
    const double *f64s;    // F64_LIST: [count]; null when count is 0
  } u;
} bh_value;

// Where a plugin puts its state. Made by the host. Frozen.
typedef struct bh_writer {
  void *context;         // the host's own
  // Takes up to `bytes` bytes. Returns how many it took, at least 1; -1 when it cannot. [inst]
  int64_t (*write)(const struct bh_writer *writer, const void *data, uint64_t bytes);
} bh_writer;

// Where a plugin gets its state back. Made by the host. Frozen.
typedef struct bh_reader {
  void *context;         // the host's own
  // Gives up to `bytes` bytes. Returns how many; 0 at the end; -1 when it cannot. [inst]
  int64_t (*read)(const struct bh_reader *reader, void *data, uint64_t bytes);
} bh_reader;

#endif
