#include "plan.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace billhook {

namespace {

// Buffers of this size and more are pages of their own, which the system zeroes as they are touched.
constexpr size_t kPaged = 1 << 20;
// From here on in large pages: fewer of them to be made.
constexpr size_t kLargePages = 4 << 20;

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_((bytes + 63) / 64 * 64 + 64) {
  if (bytes_ >= kPaged) {
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) data_ = nullptr;
    if (data_ && bytes_ >= kLargePages) madvise(data_, bytes_, MADV_HUGEPAGE);
  } else {
    data_ = std::aligned_alloc(64, bytes_);
    if (data_) std::memset(data_, 0, bytes_);
  }
  if (!data_) throw PlanFailure("No memory for " + std::to_string(bytes) + " bytes.");
}

Buffer::Buffer(const void *data, size_t bytes, void (*release)(void *owner), void *owner)
    : data_(const_cast<void *>(data)), bytes_(bytes), release_(release), owner_(owner) {}

Buffer::~Buffer() {
  if (release_)
    release_(owner_);
  else if (bytes_ >= kPaged)
    munmap(data_, bytes_);
  else
    std::free(data_);
}

std::string text(const Dims &dims) {
  std::string result = "[";
  for (size_t i = 0; i < dims.size(); i++) result += (i ? ", " : "") + std::to_string(dims[i]);
  return result + "]";
}

memory::desc plain_layout(const Dims &dims, memory::data_type type) {
  Dims sizes = dims, strides(dims.size(), 1);
  if (sizes.empty()) sizes = strides = {1};  // oneDNN has no scalars
  for (int i = static_cast<int>(sizes.size()) - 2; i >= 0; i--)
    strides[i] = strides[i + 1] * std::max<int64_t>(sizes[i + 1], 1);
  return memory::desc(sizes, type, strides);
}

int64_t interleaved_channels(const Value &value) {
  if (value.layout == plain_layout(value.dims, value.layout.data_type())) return 1;
  const dnnl_memory_desc_t &layout = value.layout.data;
  const dnnl_blocking_desc_t &blocking = layout.format_desc.blocking;
  if (layout.format_kind != dnnl_blocked || blocking.inner_nblks != 1 ||
      blocking.inner_idxs[0] != 1)
    return 0;
  // The blocks themselves must lie in plain order.
  const int64_t block = blocking.inner_blks[0];
  Dims blocks = value.dims;
  blocks[1] = (blocks[1] + block - 1) / block;
  int64_t step = block;
  for (size_t i = blocks.size(); i-- > 0;) {
    if (blocking.strides[i] != step && blocks[i] != 1) return 0;
    step *= blocks[i];
  }
  return block;
}

memory::data_type data_type(int32_t type) {
  switch (type) {
    case BH_TYPE_F32:
      return memory::data_type::f32;
    case BH_TYPE_U8:
      return memory::data_type::u8;
    case BH_TYPE_S8:
      return memory::data_type::s8;
    case BH_TYPE_S32:
      return memory::data_type::s32;
  }
  throw PlanFailure("Element type " + std::to_string(type) + " cannot be in a plan.");
}

Dims dims_of(int32_t rank, const int64_t *dims) {
  if (rank < 0 || rank > BH_PLAN_MAX_RANK)
    throw PlanFailure("A value has " + std::to_string(rank) + " axes; at most " +
                      std::to_string(BH_PLAN_MAX_RANK) + " are possible.");
  Dims result(dims, dims + rank);
  for (int64_t size : result)
    if (size < 1)
      throw PlanFailure("A value has shape " + text(result) + "; every axis must be at least 1.");
  return result;
}

Dims with_rank(Dims dims, size_t rank) {
  while (dims.size() < rank) dims.insert(dims.begin(), 1);
  return dims;
}

dnnl::engine &engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

dnnl::stream &stream() {
  static dnnl::stream order(engine());
  return order;
}

void reorder_now(const memory::desc &from, const void *source, const memory::desc &to,
                 void *target) {
  dnnl::memory input(from, engine(), const_cast<void *>(source)), output(to, engine(), target);
  dnnl::reorder(input, output).execute(stream(), input, output);
  stream().wait();
}

namespace {

// A key under which equal layouts meet. The descriptor is plain data, zeroed where unused.
std::string key(const memory::desc &layout) {
  return std::string(reinterpret_cast<const char *>(&layout.data), sizeof layout.data);
}

}  // namespace
}  // namespace billhook

using namespace billhook;

Value &bh_plan::at(int32_t value) {
  if (value < 0 || value >= static_cast<int32_t>(values.size()))
    throw PlanFailure("There is no value " + std::to_string(value) + " in the plan.");
  return values[value];
}

int32_t bh_plan::add_value(Kind kind, const Dims &dims, const memory::desc &given) {
  const auto index = static_cast<int32_t>(values.size());
  // Layouts that differ in the steps of axes of one element alone are equal to oneDNN, but some of its
  // kernels tell other broadcasts by them.
  const memory::desc plain = plain_layout(dims, given.data_type());
  const memory::desc layout = given == plain ? plain : given;
  Value value{kind, dims, layout, dnnl::memory(layout, engine(), DNNL_MEMORY_NONE), index};
  values.push_back(std::move(value));
  return index;
}

int32_t bh_plan::add_view(int32_t of, const Dims &dims, const memory::desc &layout) {
  const int32_t root = at(of).root;
  const Kind kind = at(of).kind;
  const int32_t view = add_value(kind, dims, layout);
  values[view].root = root;
  return view;
}

int32_t bh_plan::add_packed(int32_t source, const Dims &dims, const memory::desc &layout,
                            std::function<void(const void *source, void *target)> pack) {
  const int32_t result = add_value(Kind::constant, dims, layout);
  packings.push_back({source, result, std::move(pack)});
  return result;
}

const void *bh_plan::constant_data(int32_t value) {
  const int root = at(value).root;
  if (!values[root].own) {
    const auto made = std::find_if(packings.begin(), packings.end(),
                                   [&](const Packing &packing) { return packing.target == root; });
    if (made == packings.end())
      throw PlanFailure("Value " + std::to_string(value) + " is not a constant.");
    pack(*made);
  }
  return values[root].own->data();
}

void bh_plan::pack(const Packing &packing) {
  Value &target = values[packing.target];
  if (target.own) return;
  const void *source = constant_data(packing.source);
  auto bytes = std::make_shared<Buffer>(target.layout.get_size());
  packing.pack(source, bytes->data());
  target.own = bytes;
}

int32_t bh_plan::in_layout(int32_t value, const memory::desc &layout) {
  // The weights of a convolution with groups have an axis more than the tensor that they are.
  if (at(value).layout.dims() != layout.dims()) value = with_dims(value, layout.dims());
  if (at(value).layout == layout) return value;
  const memory::desc own = at(value).layout;
  int32_t result = known(value, own, layout);
  if (result != BH_PLAN_NONE) return result;
  if (at(value).kind == Kind::constant) {
    const memory::desc from = at(value).layout;
    // Now, because a layout that oneDNN cannot make is the fault of the layer being added.
    const dnnl::reorder::primitive_desc description(engine(), from, engine(), layout);
    result = add_packed(value, at(value).dims, layout, [=](const void *source, void *target) {
      dnnl::memory input(from, engine(), const_cast<void *>(source));
      dnnl::memory output(layout, engine(), target);
      dnnl::reorder(description).execute(stream(), input, output);
      stream().wait();
    });
  } else {
    result = add_intermediate(at(value).dims, layout);
    dnnl::reorder::primitive_desc description(engine(), at(value).layout, engine(), layout);
    add_primitive("Reorder", dnnl::reorder(description), {{DNNL_ARG_FROM, value}},
                  {{DNNL_ARG_TO, result}});
  }
  remember(value, own, result);
  return result;
}

int32_t bh_plan::known(int32_t value, const memory::desc &from, const memory::desc &to) {
  const auto found = reordered.find({{at(value).root, key(from)}, key(to)});
  return found == reordered.end() ? BH_PLAN_NONE : found->second;
}

void bh_plan::remember(int32_t value, const memory::desc &from, int32_t result) {
  reordered[{{at(value).root, key(from)}, key(at(result).layout)}] = result;
}

bool bh_plan::is_free(int32_t value) {
  const Value &stored = at(value);
  return stored.kind == Kind::parameter && !stored.adopted && stored.root == value;
}

int32_t bh_plan::parameter_in_layout(int32_t value, const memory::desc &layout) {
  if (is_free(value)) {
    Value &parameter = at(value);
    parameter.adopted = true;
    if (parameter.layout != layout) {
      // Plain until now, so the axes may be described as the user needs them.
      auto moved = std::make_shared<Buffer>(layout.get_size());
      reorder_now(parameter.layout, parameter.own->data(), layout, moved->data());
      parameter.own = moved;
      parameter.layout = layout;
      parameter.memory = dnnl::memory(layout, engine(), DNNL_MEMORY_NONE);
    }
    return value;
  }
  return in_layout(value, layout);
}

int32_t bh_plan::with_dims(int32_t value, const Dims &dims) {
  Value &source = at(value);
  if (source.layout.dims() == dims) return value;
  if (source.kind == Kind::parameter && !source.adopted) {
    source.layout = plain_layout(dims, source.layout.data_type());
    source.memory = dnnl::memory(source.layout, engine(), DNNL_MEMORY_NONE);
    return value;
  }
  const auto count = [](const Dims &sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
  };
  if (count(source.dims) != count(dims))
    throw PlanFailure("A value of shape " + text(source.dims) + " cannot be read as " + text(dims) +
                      ".");
  const int32_t base = plain(value);
  return add_view(base, dims, plain_layout(dims, at(base).layout.data_type()));
}

int32_t bh_plan::unflattened(int32_t value) {
  return at(value).flat_of == BH_PLAN_NONE ? value : at(value).flat_of;
}

int32_t bh_plan::plain(int32_t value) {
  if (value == BH_PLAN_NONE) return value;
  if (is_free(value)) return parameter_in_layout(value, memory::desc(at(value).layout));
  const int32_t source = at(value).flat_of;
  if (source != BH_PLAN_NONE) {
    const int32_t base = plain(source);
    const Dims dims = at(value).dims;
    return add_view(base, dims, plain_layout(dims, at(base).layout.data_type()));
  }
  const Value &stored = at(value);
  return in_layout(value, plain_layout(stored.layout.dims(), stored.layout.data_type()));
}

int32_t bh_plan::factors(int32_t value, int64_t count, std::vector<int> &reads) {
  if (value == BH_PLAN_NONE) return value;
  const int32_t result = plain(value);
  int64_t found = 1;
  for (int64_t size : at(result).dims) found *= size;
  if (found != count)
    throw PlanFailure("Rows of " + std::to_string(count) + " elements cannot be scaled by " +
                      std::to_string(found) + ".");
  reads.push_back(result);
  return result;
}

void bh_plan::add_primitive(const char *name, const dnnl::primitive &primitive,
                            std::vector<std::pair<int, int>> inputs,
                            std::vector<std::pair<int, int>> outputs, int32_t in_place_source) {
  Operation operation{name, primitive};
  for (auto &[argument, value] : inputs) {
    operation.arguments.push_back({argument, value});
    operation.reads.push_back(value);
  }
  for (auto &[argument, value] : outputs) {
    operation.arguments.push_back({argument, value});
    operation.writes.push_back(value);
  }
  operation.in_place_source = in_place_source;
  add(std::move(operation));
}

void bh_plan::add_call(const char *name, std::vector<int> reads, std::vector<int> writes,
                       std::function<void()> call, int32_t in_place_source) {
  Operation operation{name};
  operation.in_place_source = in_place_source;
  operation.call = std::move(call);
  operation.reads = std::move(reads);
  operation.writes = std::move(writes);
  add(std::move(operation));
}

void bh_plan::add(Operation operation) {
  // What a parameter is read as here it must be for good.
  for (int value : operation.reads) values[values[value].root].adopted = true;
  operations.push_back(std::move(operation));
}

void *bh_plan::data(int32_t value) { return values[value].memory.get_data_handle(); }

extern "C" {

bh_plan *bh_plan_new(void) { return new (std::nothrow) bh_plan; }

void bh_plan_free(bh_plan *plan) { delete plan; }

const char *bh_plan_error(const bh_plan *plan) { return plan->error.c_str(); }

int32_t bh_plan_input(bh_plan *plan, int32_t type, int32_t rank, const int64_t *dims) {
  return plan->guarded([&] {
    const Dims shape = dims_of(rank, dims);
    return plan->add_value(Kind::input, shape, plain_layout(shape, data_type(type)));
  });
}

int32_t bh_plan_constant(bh_plan *plan, int32_t type, int32_t rank, const int64_t *dims,
                         const void *data) {
  return plan->guarded([&] {
    const Dims shape = dims_of(rank, dims);
    const auto layout = plain_layout(shape, data_type(type));
    const int32_t value = plan->add_value(Kind::constant, shape, layout);
    plan->values[value].own = std::make_shared<Buffer>(layout.get_size());
    std::memcpy(plan->values[value].own->data(), data, layout.get_size());
    return value;
  });
}

int32_t bh_plan_lent_constant(bh_plan *plan, int32_t type, int32_t rank, const int64_t *dims,
                              const void *data, void (*release)(void *owner), void *owner) {
  return plan->guarded([&] {
    const Dims shape = dims_of(rank, dims);
    const auto layout = plain_layout(shape, data_type(type));
    const int32_t value = plan->add_value(Kind::constant, shape, layout);
    // Last: who gets an error keeps the bytes.
    plan->values[value].own = std::make_shared<Buffer>(data, layout.get_size(), release, owner);
    return value;
  });
}

int32_t bh_plan_parameter(bh_plan *plan, int32_t rank, const int64_t *dims, const float *data) {
  const int32_t value = bh_plan_constant(plan, BH_TYPE_F32, rank, dims, data);
  if (value < 0) return value;
  plan->values[value].kind = Kind::parameter;
  plan->trains = true;
  return value;
}

int32_t bh_plan_keep(bh_plan *plan, int32_t value) {
  return plan->guarded([&] {
    plan->at(plan->at(value).root).kept = true;
    return 0;
  });
}

int32_t bh_plan_position(const bh_plan *plan) {
  return static_cast<int32_t>(plan->operations.size());
}

int32_t bh_plan_finish(bh_plan *plan) {
  return plan->guarded([&] {
    plan->pack_constants();
    plan->lay_out();
    plan->finished = true;
    return 0;
  });
}

}  // extern "C"
