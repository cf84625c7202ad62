#include "integer_geometry.h"

namespace billhook {

IntegerGeometry::IntegerGeometry(const Dims &x, const int64_t *w, const bh_window &window)
    : batch(x[0]), channels(x[1]), groups(window.groups), outputs(w[0]) {
  const int64_t axes = window.spatial_axes, skip = 3 - axes;
  for (int64_t i = 0; i < 3; i++) {
    const bool used = i >= skip;
    const int64_t axis = i - skip;
    in[i] = used ? x[2 + axis] : 1;
    kernel[i] = used ? w[2 + axis] : 1;
    stride[i] = used ? window.stride[axis] : 1;
    dilation[i] = used ? window.dilation[axis] : 1;
    begin[i] = used ? window.pad_begin[axis] : 0;
    padded[i] = in[i] + begin[i] + (used ? window.pad_end[axis] : 0);
    const int64_t extent = (kernel[i] - 1) * dilation[i] + 1;
    if (padded[i] < extent)
      throw PlanFailure("A window does not fit an input of " + text(x) + ".");
    out[i] = (padded[i] - extent) / stride[i] + 1;
  }
  // Side by side in memory are a row of the window and all its channels, unless the window has
  // holes or a group takes only some of the channels.
  segment_axes = groups == 1 && dilation[2] == 1 ? 2 : 3;
}

std::vector<int64_t> IntegerGeometry::segment_offsets() const {
  std::vector<int64_t> offsets;
  for (int64_t z = 0; z < kernel[0]; z++)
    for (int64_t y = 0; y < kernel[1]; y++)
      for (int64_t t = 0; t < (segment_axes == 2 ? 1 : kernel[2]); t++)
        offsets.push_back(
            ((z * dilation[0] * padded[1] + y * dilation[1]) * padded[2] + t * dilation[2]) *
            channels);
  return offsets;
}

std::vector<int64_t> IntegerGeometry::bases() const {
  std::vector<int64_t> places;
  for (int64_t z = 0; z < out[0]; z++)
    for (int64_t y = 0; y < out[1]; y++)
      for (int64_t t = 0; t < out[2]; t++)
        places.push_back(
            ((z * stride[0] * padded[1] + y * stride[1]) * padded[2] + t * stride[2]) * channels);
  return places;
}

void IntegerGeometry::frame(const PackedWeights &weights, int32_t type, const uint8_t *x,
                            int32_t zero_point, void *out) const {
  auto *place = static_cast<char *>(out);
  const int64_t bytes = weights.element_bytes(), row = in[2] * channels;
  // What is not copied is filled when the next row comes, or at the end.
  int64_t filled = 0;
  const auto fill_to = [&](int64_t element) {
    if (element > filled)
      fill_zero(weights, type, element - filled, zero_point, place + filled * bytes);
  };
  for (int64_t z = 0; z < in[0]; z++) {
    for (int64_t y = 0; y < in[1]; y++) {
      const int64_t target =
          (((z + begin[0]) * padded[1] + y + begin[1]) * padded[2] + begin[2]) * channels;
      fill_to(target);
      copy_inputs(weights, type, x + (z * in[1] + y) * row, row, zero_point,
                  place + target * bytes);
      filled = target + row;
    }
  }
  fill_to(padded_elements());
}

}  // namespace billhook
