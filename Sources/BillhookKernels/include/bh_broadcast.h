// Operations of two values element by element, either of them spread over axes of the result.
#ifndef BH_BROADCAST_H
#define BH_BROADCAST_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define BH_BINARY_ADD 0
#define BH_BINARY_MUL 1
#define BH_BINARY_SUB 2
#define BH_BINARY_DIV 3

#define BH_BROADCAST_RANK 12

typedef struct bh_broadcast {
  int32_t kind;                        // BH_BINARY_*
  int32_t rank;                        // of the result, 1 to BH_BROADCAST_RANK
  int64_t dims[BH_BROADCAST_RANK];     // of the result, which is row-major
  int64_t a_steps[BH_BROADCAST_RANK];  // elements from one place to the next along each axis;
  int64_t b_steps[BH_BROADCAST_RANK];  // 0 where the value is spread
} bh_broadcast;

// The same bits for any number of threads. y may be a or b where those are not spread. [any]
void bh_broadcast_f32(const bh_broadcast *form, const float *a, const float *b, float *y);
void bh_broadcast_f32_scalar(const bh_broadcast *form, const float *a, const float *b, float *y);

#ifdef __cplusplus
}
#endif
#endif
