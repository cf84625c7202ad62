// The inside of bh_plan.h: values with layouts, operations, the arena.
#ifndef BH_PLAN_INTERNAL_H
#define BH_PLAN_INTERNAL_H

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bh_plan.h"
#include "bh_threads.h"

extern "C" {
// libgomp's; they hold for the calling thread.
int omp_get_max_threads(void);
void omp_set_num_threads(int);
int omp_in_parallel(void);
}

namespace billhook {

using Dims = std::vector<int64_t>;
using dnnl::memory;

// Memory at a 64-byte boundary, zero at first: blocked layouts count on zero padding.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  // Somebody else's bytes, to be read at whatever address they have; at the end `release` is called
  // with `owner`.
  Buffer(const void *data, size_t bytes, void (*release)(void *owner), void *owner);
  ~Buffer();
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  void *data() const { return data_; }
  size_t bytes() const { return bytes_; }
  bool is_lent() const { return release_ != nullptr; }

 private:
  void *data_;
  size_t bytes_;
  void (*release_)(void *owner) = nullptr;
  void *owner_ = nullptr;
};

enum class Kind { input, constant, parameter, intermediate };

struct Value {
  Kind kind;
  Dims dims;
  memory::desc layout;
  dnnl::memory memory;
  int root;                    // whose bytes these are: itself, or the value it is a view of
  int flat_of = BH_PLAN_NONE;  // Flatten: the value whose elements this lists, row by row
  bool adopted = false;        // parameter: its layout is chosen
  bool kept = false;
  int first = std::numeric_limits<int>::max(), last = -1;  // operations that use it (roots only)
  size_t offset = 0;
  std::shared_ptr<Buffer> own;  // constants, parameters and kept values (roots only)
  // What the backward half needs of the forward operation that made this value.
  std::shared_ptr<void> forward;
};

struct Operation {
  const char *name;
  dnnl::primitive primitive;                   // empty when `call` is set
  std::vector<std::pair<int, int>> arguments;  // DNNL_ARG_*, value
  std::vector<dnnl_exec_arg_t> bound;
  std::function<void()> call;
  std::vector<int> reads, writes;
  int in_place_source = BH_PLAN_NONE;  // may share its bytes with writes[0] when it dies here
};

// A constant in the form that a kernel reads. It is made when the plan is finished, one constant after
// the other, so that no more than one of them is there in both forms.
struct Packing {
  int source, target;
  std::function<void(const void *source, void *target)> pack;
};

class PlanFailure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string text(const Dims &dims);
memory::desc plain_layout(const Dims &dims, memory::data_type type);
// How many channels lie side by side in a value's memory: 1 in plain order, 8 or 16 in the layouts
// of convolutions, 0 when it is neither.
int64_t interleaved_channels(const Value &value);
memory::data_type data_type(int32_t type);
Dims dims_of(int32_t rank, const int64_t *dims);
// The shape with axes of one element in front, as broadcasting reads it.
Dims with_rank(Dims dims, size_t rank);
dnnl::engine &engine();
dnnl::stream &stream();
// Reorders once, now.
void reorder_now(const memory::desc &from, const void *source, const memory::desc &to,
                 void *target);

}  // namespace billhook

struct bh_plan {
  std::deque<billhook::Value> values;  // stay where they are while others are added
  std::vector<billhook::Operation> operations;
  std::vector<billhook::Packing> packings;
  // (root and what is read of it, layout) -> value
  std::map<std::pair<std::pair<int, std::string>, std::string>, int> reordered;
  std::unique_ptr<billhook::Buffer> arena;
  std::string error;
  float momentum = std::numeric_limits<float>::quiet_NaN();
  uint64_t run_count = 0;
  bool trains = false;  // has parameters
  int32_t threads = 0;  // that its primitives were made for; 0 until the first one
  bool finished = false;

  billhook::Value &at(int32_t value);
  int32_t add_value(billhook::Kind kind, const billhook::Dims &dims,
                    const dnnl::memory::desc &layout);
  int32_t add_intermediate(const billhook::Dims &dims, const dnnl::memory::desc &layout) {
    return add_value(billhook::Kind::intermediate, dims, layout);
  }
  // A value with the bytes of another.
  int32_t add_view(int32_t of, const billhook::Dims &dims, const dnnl::memory::desc &layout);
  // A constant that `pack` makes of another one.
  int32_t add_packed(int32_t source, const billhook::Dims &dims, const dnnl::memory::desc &layout,
                     std::function<void(const void *source, void *target)> pack);
  // The bytes of a constant, which is packed now if it was not so far.
  const void *constant_data(int32_t value);
  void pack(const billhook::Packing &packing);
  // The value in another layout: itself, a packed constant, or a reorder in the plan.
  int32_t in_layout(int32_t value, const dnnl::memory::desc &layout);
  // What holds the elements of a value, as `from` reads its bytes, in another layout; NONE if nothing
  // was remembered to.
  int32_t known(int32_t value, const dnnl::memory::desc &from, const dnnl::memory::desc &to);
  void remember(int32_t value, const dnnl::memory::desc &from, int32_t result);
  // Parameters take the layout of their first user for good.
  int32_t parameter_in_layout(int32_t value, const dnnl::memory::desc &layout);
  // Whether the value is a parameter that nobody has packed so far.
  bool is_free(int32_t value);
  // In plain order; a free parameter stays so for good. NONE stays NONE.
  int32_t plain(int32_t value);
  // A scale or shift of `count` elements as what kernels read, noted in `reads`; NONE stays NONE.
  int32_t factors(int32_t value, int64_t count, std::vector<int> &reads);
  // The value as a tensor of other axes with the same elements in the same order.
  int32_t with_dims(int32_t value, const billhook::Dims &dims);
  // The value that a Flatten looks at, or the value itself.
  int32_t unflattened(int32_t value);
  void add_primitive(const char *name, const dnnl::primitive &primitive,
                     std::vector<std::pair<int, int>> inputs,
                     std::vector<std::pair<int, int>> outputs,
                     int32_t in_place_source = BH_PLAN_NONE);
  void add_call(const char *name, std::vector<int> reads, std::vector<int> writes,
                std::function<void()> call, int32_t in_place_source = BH_PLAN_NONE);
  void add(billhook::Operation operation);
  void *data(int32_t value);
  void pack_constants();
  void lay_out();

  // Runs `body`; what it throws becomes bh_plan_error.
  template <class Body>
  int32_t guarded(Body body) {
    try {
      // oneDNN fixes a primitive's threads when it is made; all of a plan's are made for as many.
      if (threads == 0) threads = bh_thread_count();
      if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
      if (finished) throw billhook::PlanFailure("The plan is finished; nothing can be added.");
      return body();
    } catch (const dnnl::error &failure) {
      error = std::string("oneDNN: ") + failure.what();
    } catch (const std::exception &failure) {
      error = failure.what();
    }
    return BH_PLAN_ERROR;
  }
};

#endif
