// An integer convolution over up to three spatial axes, channels last, as runs of memory.
#ifndef BH_INTEGER_GEOMETRY_H
#define BH_INTEGER_GEOMETRY_H

#include "bh_plan.h"
#include "integer_layer.h"
#include "plan.h"

namespace billhook {

// Unused axes have size 1.
struct IntegerGeometry {
  int64_t batch, channels, groups, outputs;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], padded[3];
  int64_t segment_axes;  // 2: a segment is a row of the window; 3: one element of it

  // Throws PlanFailure when the window does not fit. w: [outputs, channels of a group, ...].
  IntegerGeometry(const Dims &x, const int64_t *w, const bh_window &window);

  int64_t input_pixels() const { return in[0] * in[1] * in[2]; }
  int64_t output_pixels() const { return out[0] * out[1] * out[2]; }
  int64_t padded_elements() const { return padded[0] * padded[1] * padded[2] * channels; }
  int64_t group_channels() const { return channels / groups; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  bool is_padded() const { return padded_elements() != input_pixels() * channels; }
  int64_t segments() const { return segment_axes == 2 ? kernel[0] * kernel[1] : taps(); }
  int64_t segment_length() const {
    return segment_axes == 2 ? kernel[2] * group_channels() : group_channels();
  }

  // Where each segment of a window lies, from the window's first element on.
  std::vector<int64_t> segment_offsets() const;
  // Where each output's window lies in its image.
  std::vector<int64_t> bases() const;
  // Copies an image of x into a frame of its zero point, as IntegerTask reads it: [padded_elements].
  void frame(const PackedWeights &weights, int32_t type, const uint8_t *x, int32_t zero_point,
             void *out) const;
};

}  // namespace billhook

#endif
