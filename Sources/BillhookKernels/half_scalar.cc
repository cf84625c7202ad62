// The references of bh_half.h.
#include <math.h>
#include <string.h>

#include "bh_half.h"
#include "exact.h"

namespace {

uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

uint16_t to_f16(float value) {
  const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65536 and up
  if (magnitude < 0x38800000u) {
    // Below 2^-14 the result is a multiple of 2^-24.
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(nearbyintf(fabsf(value) * 0x1p24f)));
  }
  // Rebias the exponent and drop 13 bits; a carry of the rounding runs into the exponent as it
  // should.
  const uint32_t rounded = magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

float from_f16(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 0x1Fu,
                 digits = half & 0x3FFu;
  if (exponent == 0x1F) {
    return float_of(sign | 0x7F800000u | digits << 13 | (digits != 0 ? 0x400000u : 0));
  }
  if (exponent == 0) return float_of(sign | bits_of(static_cast<float>(digits) * 0x1p-24f));
  return float_of(sign | (exponent + 112) << 23 | digits << 13);
}

uint16_t to_bf16(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
    return static_cast<uint16_t>((bits >> 16 & 0x8000u) | 0x7FC0u);
  }
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

float from_bf16(uint16_t half) {
  uint32_t bits = static_cast<uint32_t>(half) << 16;
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) bits |= 0x400000u;
  return float_of(bits);
}

}  // namespace

void bh_f32_to_f16_scalar(const float *x, int64_t n, uint16_t *out) {
  for (int64_t i = 0; i < n; i++) out[i] = to_f16(x[i]);
}

void bh_f16_to_f32_scalar(const uint16_t *x, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++) out[i] = from_f16(x[i]);
}

void bh_f32_to_bf16_scalar(const float *x, int64_t n, uint16_t *out) {
  for (int64_t i = 0; i < n; i++) out[i] = to_bf16(x[i]);
}

void bh_bf16_to_f32_scalar(const uint16_t *x, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++) out[i] = from_bf16(x[i]);
}
