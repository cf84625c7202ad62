// The second life of a plan: its arena, and running it.
#include <algorithm>
#include <cstring>

#include "bh_threads.h"
#include "plan.h"

using namespace billhook;

namespace {

// Where intermediate values lie in the arena: largest first, each at the lowest offset at which no
// value of an overlapping lifetime lies.
//
// Source: Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020,
// section 5.2 (greedy by size), arXiv:2001.03288. No deviation.
size_t place(std::vector<Value *> &values) {
  std::sort(values.begin(), values.end(), [](const Value *a, const Value *b) {
    const size_t left = a->layout.get_size(), right = b->layout.get_size();
    return left != right ? left > right : a->root < b->root;
  });
  std::vector<Value *> placed;  // by offset
  size_t total = 0;
  for (Value *value : values) {
    const size_t bytes = (value->layout.get_size() + 63) / 64 * 64 + 64;
    size_t offset = 0;
    for (const Value *other : placed) {
      if (other->last < value->first || value->last < other->first) continue;
      if (offset + bytes <= other->offset) break;
      const size_t end = other->offset + (other->layout.get_size() + 63) / 64 * 64 + 64;
      offset = std::max(offset, end);
    }
    value->offset = offset;
    total = std::max(total, offset + bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), value,
                         [](const Value *a, const Value *b) { return a->offset < b->offset; }),
        value);
  }
  return total;
}

}  // namespace

void bh_plan::pack_constants() {
  for (int i = 0; i < static_cast<int>(operations.size()); i++) {
    auto touch = [&](int value) {
      Value &root = values[values[value].root];
      root.first = std::min(root.first, i);
      root.last = std::max(root.last, i);
    };
    for (int value : operations[i].reads) touch(value);
    for (int value : operations[i].writes) touch(value);
  }
  // From the end: the last packing that reads each constant, among those whose result is read.
  const int count = static_cast<int>(packings.size());
  auto is_run_with = [&](int root) { return values[root].last >= 0 || values[root].kept; };
  std::vector<int> last_packing(values.size(), -1);
  std::vector<bool> is_wanted(count);
  for (int i = count - 1; i >= 0; i--) {
    const int target = packings[i].target, source = values[packings[i].source].root;
    is_wanted[i] = is_run_with(target) || last_packing[target] >= 0;
    if (is_wanted[i]) last_packing[source] = std::max(last_packing[source], i);
  }
  // Constants that were packed for good are not needed in their own order any more.
  auto let_go = [&](int root, int packing) {
    const bool is_free = values[root].kind == Kind::constant && !is_run_with(root);
    if (is_free && last_packing[root] <= packing) values[root].own.reset();
  };
  for (int root = 0; root < static_cast<int>(values.size()); root++) let_go(root, -1);
  for (int i = 0; i < count; i++) {
    if (is_wanted[i]) pack(packings[i]);
    let_go(values[packings[i].source].root, i);
  }
  // What the operations read lies as they are used to, and its lender need not stay.
  for (Value &value : values) {
    if (!value.own || !value.own->is_lent()) continue;
    auto bytes = std::make_shared<Buffer>(value.own->bytes());
    std::memcpy(bytes->data(), value.own->data(), value.own->bytes());
    value.own = bytes;
  }
  packings.clear();
}

void bh_plan::lay_out() {
  // Element-wise results take the bytes of an operand that dies with the operation.
  std::vector<int> moved(values.size());
  for (size_t i = 0; i < moved.size(); i++) moved[i] = values[i].root;
  auto home = [&](int value) {
    int root = values[value].root;
    while (moved[root] != root) root = moved[root];
    return root;
  };
  for (int i = 0; i < static_cast<int>(operations.size()); i++) {
    const Operation &operation = operations[i];
    if (operation.in_place_source == BH_PLAN_NONE) continue;
    const int source = home(operation.in_place_source), target = values[operation.writes[0]].root;
    Value &from = values[source], &to = values[target];
    const bool fits = from.kind == Kind::intermediate && to.kind == Kind::intermediate &&
                      !from.kept && !to.kept && from.last == i && to.first == i &&
                      source != target && from.layout.get_size() == to.layout.get_size();
    // Another operand may be a part of the source, which is read after it is written over.
    const bool is_whole = std::all_of(
        operation.reads.begin(), operation.reads.end(), [&](int read) {
          return home(read) != source ||
                 values[read].layout.get_size() == from.layout.get_size();
        });
    if (!fits || !is_whole) continue;
    from.last = to.last;
    moved[target] = source;
  }
  std::vector<Value *> roots;
  for (size_t i = 0; i < values.size(); i++) {
    Value &value = values[i];
    if (value.root != static_cast<int>(i) || value.kind != Kind::intermediate) continue;
    if (moved[i] != static_cast<int>(i)) continue;
    if (value.kept) {
      value.own = std::make_shared<Buffer>(value.layout.get_size());
    } else if (value.last >= 0) {
      roots.push_back(&value);
    }
  }
  arena = std::make_unique<Buffer>(place(roots));
  for (size_t i = 0; i < values.size(); i++) {
    const Value &base = values[home(static_cast<int>(i))];
    if (base.kind == Kind::input) continue;  // bound before each run
    if (base.own) {
      values[i].memory.set_data_handle(base.own->data());
    } else {
      values[i].memory.set_data_handle(static_cast<char *>(arena->data()) + base.offset);
    }
  }
  for (Operation &operation : operations)
    for (auto &[argument, value] : operation.arguments)
      operation.bound.push_back({argument, values[value].memory.get()});
}

extern "C" {

int64_t bh_plan_arena_bytes(const bh_plan *plan) {
  return plan->arena ? static_cast<int64_t>(plan->arena->bytes()) : 0;
}

int64_t bh_plan_resident_bytes(const bh_plan *plan) {
  int64_t total = 0;
  for (size_t i = 0; i < plan->values.size(); i++)
    if (plan->values[i].root == static_cast<int>(i) && plan->values[i].own)
      total += static_cast<int64_t>(plan->values[i].own->bytes());
  return total;
}

int32_t bh_plan_bind(bh_plan *plan, int32_t input, const void *data) {
  const int32_t root = plan->values[input].root;
  for (Value &value : plan->values)
    if (value.root == root) value.memory.set_data_handle(const_cast<void *>(data));
  return 0;
}

int32_t bh_plan_run(bh_plan *plan, int32_t begin, int32_t end) {
  if (begin == 0) plan->run_count++;
  for (int32_t i = begin; i < end; i++) {
    Operation &operation = plan->operations[i];
    if (operation.call) {
      try {
        operation.call();
      } catch (const std::exception &failure) {
        plan->error = failure.what();
        return BH_PLAN_ERROR;
      }
      continue;
    }
    // A primitive's memory is for the threads that it was made for; oneDNN asks OpenMP for them.
    if (omp_get_max_threads() != plan->threads) omp_set_num_threads(plan->threads);
    const dnnl_status_t status =
        dnnl_primitive_execute(operation.primitive.get(), stream().get(),
                               static_cast<int>(operation.bound.size()), operation.bound.data());
    if (status != dnnl_success) {
      plan->error = std::string("oneDNN could not run ") + operation.name + ": status " +
                    std::to_string(status) + ".";
      return BH_PLAN_ERROR;
    }
  }
  return 0;
}

int32_t bh_plan_read(bh_plan *plan, int32_t value, void *out) {
  try {
    const int32_t base = plan->unflattened(value);
    const Value &stored = plan->at(base);
    const auto layout = plain_layout(stored.layout.dims(), stored.layout.data_type());
    if (stored.layout == layout) {
      std::memcpy(out, stored.memory.get_data_handle(), layout.get_size());
    } else {
      reorder_now(stored.layout, stored.memory.get_data_handle(), layout, out);
    }
    return 0;
  } catch (const std::exception &failure) {
    plan->error = failure.what();
    return BH_PLAN_ERROR;
  }
}

int32_t bh_plan_write(bh_plan *plan, int32_t value, const void *data) {
  try {
    Value &target = plan->at(value);
    reorder_now(plain_layout(target.layout.dims(), target.layout.data_type()), data, target.layout,
                target.memory.get_data_handle());
    return 0;
  } catch (const std::exception &failure) {
    plan->error = failure.what();
    return BH_PLAN_ERROR;
  }
}

int32_t bh_plan_raw(bh_plan *plan, int32_t value, float **data, int64_t *count) {
  *data = static_cast<float *>(plan->data(value));
  *count = static_cast<int64_t>(plan->values[value].layout.get_size() / sizeof(float));
  return 0;
}

uint64_t bh_plan_run_count(const bh_plan *plan) { return plan->run_count; }

void bh_plan_set_run_count(bh_plan *plan, uint64_t count) { plan->run_count = count; }

void bh_plan_set_momentum(bh_plan *plan, float momentum) { plan->momentum = momentum; }

const char *bh_plan_describe(const bh_plan *plan, int32_t position) {
  return plan->operations[position].name;
}

}  // extern "C"
