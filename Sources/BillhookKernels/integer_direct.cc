#include "integer_direct.h"

#include <algorithm>

#include "parallel.h"

namespace billhook {
namespace {

// Pixels and blocks of a task are shared out in units of so many pixels; a tile has six or twelve.
constexpr int64_t kUnitPixels = 24;
// Multiplications that are worth waking a thread for.
constexpr int64_t kWorthSharing = 1 << 18;
// Bytes that a kernel may read behind its input.
constexpr int64_t kSlack = 64;

int64_t blocks_of(const PackedWeights &weights) {
  return (weights.outputs + integer_block() - 1) / integer_block();
}

int64_t element_bytes(const Epilogue &tail) { return tail.out_type == BH_TYPE_F32 ? 4 : 1; }

// Calls body(part) for parts of `pixels` pixels, all blocks and all groups.
template <class Body>
void share_units(int64_t pixels, const PackedWeights &weights, const Body &body) {
  const int64_t rows = (pixels + kUnitPixels - 1) / kUnitPixels, blocks = blocks_of(weights);
  const int64_t products = kUnitPixels * std::min(weights.outputs, integer_block()) *
                           weights.segments * weights.length;
  const int64_t grain = std::max<int64_t>(1, kWorthSharing / std::max<int64_t>(products, 1));
  bh::parallel_for(rows * blocks, grain, [&](int64_t begin, int64_t end) {
    // One block after the other: its weights stay near.
    while (begin < end) {
      const int64_t block = begin / rows, row = begin % rows;
      const int64_t count = std::min(end - begin, rows - row);
      body(IntegerPart{row * kUnitPixels, std::min(pixels, (row + count) * kUnitPixels), block,
                       block + 1, 0, weights.groups(), nullptr});
      begin += count;
    }
  });
}

}  // namespace

IntegerDirectConvolution::IntegerDirectConvolution(const IntegerGeometry &geometry,
                                                   const std::vector<int16_t> &w,
                                                   std::vector<Epilogue> tails)
    : g(geometry),
      epilogues(std::move(tails)),
      base(geometry.bases()),
      segment_offset(geometry.segment_offsets()) {
  const int64_t outputs = g.outputs / g.groups, form = integer_group(w);
  const int64_t length = g.taps() * g.group_channels();
  for (int64_t i = 0; i < g.groups; i++)
    weights.push_back(pack_weights(w.data() + i * outputs * length, outputs, g.segments(),
                                   g.segment_length(), form));
  starts.resize(g.groups * weights[0].padded_outputs());
  if (!by_image())
    framed.resize(g.batch * g.padded_elements() * weights[0].element_bytes() + kSlack);
}

void IntegerDirectConvolution::run_image(const void *input, const IntegerPart &part,
                                         uint8_t *y) const {
  const int64_t outputs = g.outputs / g.groups, bytes = element_bytes(epilogues[0]);
  for (int64_t i = 0; i < g.groups; i++) {
    const PackedWeights &own = weights[i];
    run_integer({&own, &epilogues[i],
                 static_cast<const char *>(input) + i * g.group_channels() * own.element_bytes(),
                 starts.data() + i * own.padded_outputs(), base.data(), segment_offset.data(),
                 y + i * outputs * bytes, g.outputs},
                part);
  }
}

void IntegerDirectConvolution::run(int32_t x_type, const void *x, bool is_long, int32_t zero_point,
                                   void *y) {
  const PackedWeights &first = weights[0];
  for (int64_t i = 0; i < g.groups; i++)
    starts_of(weights[i], x_type, zero_point, starts.data() + i * first.padded_outputs());
  const auto *in = static_cast<const uint8_t *>(x);
  auto *out = static_cast<uint8_t *>(y);
  const int64_t image_in = g.input_pixels() * g.channels, pixels = g.output_pixels();
  const int64_t image_out = pixels * g.outputs * element_bytes(epilogues[0]);
  const bool as_is = first.group == 4 && x_type == BH_TYPE_U8 && is_long && !g.is_padded();
  const int64_t frame_bytes = g.padded_elements() * first.element_bytes();
  if (by_image()) {
    bh::parallel_for(g.batch, 1, [&](int64_t begin, int64_t end) {
      static thread_local std::vector<char> frame;
      if (!as_is && static_cast<int64_t>(frame.size()) < frame_bytes + kSlack)
        frame.resize(frame_bytes + kSlack);
      for (int64_t image = begin; image < end; image++) {
        if (!as_is) g.frame(first, x_type, in + image * image_in, zero_point, frame.data());
        run_image(as_is ? static_cast<const void *>(in + image * image_in) : frame.data(),
                  {0, pixels, 0, blocks_of(first), 0, first.groups(), nullptr},
                  out + image * image_out);
      }
    });
    return;
  }
  for (int64_t image = 0; image < g.batch; image++) {
    char *frame = framed.data() + image * frame_bytes;
    if (!as_is) g.frame(first, x_type, in + image * image_in, zero_point, frame);
    share_units(pixels, first, [&](const IntegerPart &part) {
      run_image(as_is ? static_cast<const void *>(in + image * image_in) : frame, part,
                out + image * image_out);
    });
  }
}

IntegerDense::IntegerDense(int64_t rows, int64_t inputs, int64_t outputs,
                           const std::vector<int16_t> &w, Epilogue tail)
    : rows(rows),
      inputs(inputs),
      weights(pack_weights(w.data(), outputs, 1, inputs, integer_group(w))),
      tail(std::move(tail)),
      starts(weights.padded_outputs()) {
  for (int64_t row = 0; row < rows; row++) base.push_back(row * inputs);
}

void IntegerDense::run(int32_t x_type, const void *x, bool is_long, int32_t zero_point, void *y) {
  starts_of(weights, x_type, zero_point, starts.data());
  const bool as_is = weights.group == 4 && x_type == BH_TYPE_U8 && is_long;
  if (!as_is) {
    copied.resize(rows * inputs * weights.element_bytes() + kSlack);
    bh::parallel_for(rows * inputs, 1 << 14, [&](int64_t begin, int64_t end) {
      copy_inputs(weights, x_type, static_cast<const uint8_t *>(x) + begin, end - begin, zero_point,
                  copied.data() + begin * weights.element_bytes());
    });
  }
  static const int64_t no_offset = 0;
  const IntegerTask task{&weights,    &tail,      as_is ? x : copied.data(), starts.data(),
                         base.data(), &no_offset, y,                         weights.outputs};
  // Few outputs of many inputs are shared out by inputs: sums of integers have no order.
  constexpr int64_t kPartGroups = 1024;
  const int64_t parts = (weights.groups() + kPartGroups - 1) / kPartGroups;
  const int64_t blocks = blocks_of(weights);
  if (parts < 2 || (rows + kUnitPixels - 1) / kUnitPixels * blocks >= 4)
    return share_units(rows, weights,
                       [&](const IntegerPart &part) { run_integer(task, part); });
  const int64_t count = rows * weights.padded_outputs();
  sums.resize(parts * count);
  bh::parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      run_integer(task, {0, rows, 0, blocks, i * kPartGroups,
                         std::min(weights.groups(), (i + 1) * kPartGroups),
                         sums.data() + i * count});
  });
  // Each part started at what the zero point adds.
  for (int64_t i = 0; i < count; i++) {
    uint32_t sum = 0;
    for (int64_t part = 0; part < parts; part++)
      sum += static_cast<uint32_t>(sums[part * count + i]);
    const auto start = static_cast<uint32_t>(starts[i % weights.padded_outputs()]);
    sums[i] = static_cast<int32_t>(sum - static_cast<uint32_t>(parts - 1) * start);
  }
  for (int64_t row = 0; row < rows; row++)
    store_sums(tail, weights.outputs, sums.data() + row * weights.padded_outputs(),
               static_cast<char *>(y) + row * weights.outputs * element_bytes(tail));
}

}  // namespace billhook
