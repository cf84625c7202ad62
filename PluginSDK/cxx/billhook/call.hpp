// Views of the host's memory, failures, and the call that a plugin serves.
#ifndef BILLHOOK_CALL_HPP
#define BILLHOOK_CALL_HPP

#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "billhook/billhook.h"

namespace billhook {

// Elements in a row that somebody else owns. Valid until the hook returns.
template <class T>
class span {
 public:
  span() = default;
  span(T *data, std::size_t size) : data_(data), size_(size) {}

  T *data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T &operator[](std::size_t index) const { return data_[index]; }
  T *begin() const { return data_; }
  T *end() const { return data_ + size_; }
  span part(std::size_t first, std::size_t count) const { return {data_ + first, count}; }

 private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

// Why a hook cannot do its work; the text is a sentence with the values in it.
class failure : public std::exception {
 public:
  explicit failure(bh_status status, std::string text = {})
      : status_(status), text_(std::move(text)) {}

  bh_status status() const { return status_; }
  const char *what() const noexcept override { return text_.c_str(); }

 private:
  bh_status status_;
  std::string text_;
};

namespace detail {

template <class T>
constexpr uint8_t element_code =
    std::is_floating_point_v<T> ? BH_CODE_FLOAT : (std::is_signed_v<T> ? BH_CODE_INT : BH_CODE_UINT);

// Runs a body; what it throws becomes a status, with the text handed to the host.
template <class Body>
bh_status guarded(bh_call *call, Body body) noexcept {
  const auto fail = [call](bh_status status, const char *text) {
    std::size_t length = 0;
    while (text[length] != 0) length++;
    return length == 0 ? status : call->host->fail(call, status, text, length);
  };
  try {
    body();
    return BH_OK;
  } catch (const failure &error) {
    return error.status() == BH_SKIP ? BH_SKIP : fail(error.status(), error.what());
  } catch (const std::bad_alloc &) {
    return fail(BH_E_NO_MEMORY, "out of memory");
  } catch (const std::exception &error) {
    return fail(BH_E_INTERNAL, error.what());
  } catch (...) {
    return fail(BH_E_INTERNAL, "an exception that is no std::exception");
  }
}

}  // namespace detail

// A view of numbers in memory; see bh_tensor.
class tensor {
 public:
  explicit tensor(const bh_tensor *raw) : raw_(raw) {}

  const bh_tensor *raw() const { return raw_; }
  // False where the host has nothing to give, such as a statistic that was not asked for.
  explicit operator bool() const { return raw_ != nullptr; }
  span<const int64_t> shape() const { return {raw_->shape, static_cast<std::size_t>(raw_->ndim)}; }

  std::size_t count() const {
    std::size_t count = 1;
    for (int64_t size : shape()) count *= static_cast<std::size_t>(size);
    return count;
  }

  // The elements, when they have this type. Throws BH_E_UNSUPPORTED otherwise.
  template <class T>
  span<T> elements() const {
    using element = std::remove_const_t<T>;
    if (raw_->code != detail::element_code<element> || raw_->bits != 8 * sizeof(T)) {
      throw failure(BH_E_UNSUPPORTED, "a tensor has elements of code " + std::to_string(raw_->code) +
                                          " with " + std::to_string(raw_->bits) + " bits");
    }
    auto *bytes = static_cast<char *>(raw_->data);
    return {reinterpret_cast<T *>(bytes ? bytes + raw_->byte_offset : nullptr), count()};
  }

 private:
  const bh_tensor *raw_;
};

// A tensor seen as [outer, count, inner] around one of its axes.
struct axis_view {
  int64_t outer, count, inner;
};

// The layer that a call is about; see bh_layer.
class layer {
 public:
  explicit layer(const bh_layer *raw) : raw_(raw) {}

  const bh_layer *raw() const { return raw_; }
  const bh_layer *operator->() const { return raw_; }
  span<const int64_t> shape() const { return {raw_->shape, static_cast<std::size_t>(raw_->ndim)}; }

  // [1, 1, all] for axis -1.
  axis_view around(int32_t axis) const {
    axis_view view{1, 1, 1};
    for (int32_t index = 0; index < raw_->ndim; index++) {
      int64_t &factor = index == axis || axis < 0 ? (axis < 0 ? view.inner : view.count)
                                                  : (index < axis ? view.outer : view.inner);
      factor *= raw_->shape[index];
    }
    return view;
  }

 private:
  const bh_layer *raw_;
};

// The call that a hook serves, and through it the host's functions.
class call {
 public:
  explicit call(bh_call *raw) : raw_(raw) {}

  bh_call *raw() const { return raw_; }

  // Memory of the host for this call, not zeroed. Throws BH_E_NO_MEMORY.
  template <class T>
  span<T> scratch(std::size_t count) const {
    if (count == 0) return {};
    void *block = raw_->host->scratch(raw_, count * sizeof(T), alignof(T) < 64 ? 64 : alignof(T));
    if (!block) throw failure(BH_E_NO_MEMORY, "the host has no scratch memory left");
    return {static_cast<T *>(block), count};
  }

  // Runs body(call, begin, end) on pieces of [0, count) on the host's threads. The pieces depend on
  // count and grain alone. What a piece throws ends the loop and is thrown here.
  template <class Body>
  void parallel_for(int64_t count, int64_t grain, Body &&body) const {
    using plain = std::remove_reference_t<Body>;
    const bh_task task = [](bh_call *piece, int64_t begin, int64_t end, void *context) {
      return detail::guarded(
          piece, [&] { (*static_cast<plain *>(context))(call(piece), begin, end); });
    };
    check(raw_->host->parallel_for(raw_, count, grain, task,
                                   const_cast<void *>(static_cast<const void *>(&body))));
  }

  // Throws BH_E_CANCELLED when the user wants to stop. Ask about every 50 ms.
  void check_cancelled() const {
    if (raw_->host->cancelled(raw_)) throw failure(BH_E_CANCELLED);
  }

  // Words of random stream `stream` from `offset` on: a function of the run's seed, the layer and
  // the position alone.
  void random(uint64_t stream, uint64_t offset, span<uint32_t> words) const {
    check(raw_->host->random(raw_, stream, offset, words.data(), words.size()));
  }

  void log(uint32_t level, const std::string &text) const {
    raw_->host->log(raw_, level, text.data(), text.size());
  }

  void progress(double fraction, const std::string &text) const {
    raw_->host->progress(raw_, fraction, text.data(), text.size());
  }

  // The table "billhook.kernels/1". Throws BH_E_UNSUPPORTED when the host has none, or an older one.
  const bh_kernel_table &kernels() const {
    const auto *table =
        static_cast<const bh_kernel_table *>(raw_->host->get_extension(raw_, BH_EXT_KERNELS));
    if (!table || table->struct_size < sizeof(bh_kernel_table)) {
      throw failure(BH_E_UNSUPPORTED, "the host has no \"" BH_EXT_KERNELS "\", or an older one");
    }
    return *table;
  }

  // Passes on the failure of a host function, which has said why already.
  void check(bh_status status) const {
    if (status != BH_OK) throw failure(status);
  }

 private:
  bh_call *raw_;
};

}  // namespace billhook

#endif
