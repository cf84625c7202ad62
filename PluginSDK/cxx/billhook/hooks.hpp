// The C functions behind a class: what plugin.hpp puts into the ABI's tables.
#ifndef BILLHOOK_HOOKS_HPP
#define BILLHOOK_HOOKS_HPP

#include <cstring>

#include "billhook/parameter.hpp"

namespace billhook {

// Where a plugin puts its state.
class writer {
 public:
  explicit writer(const bh_writer *raw) : raw_(raw) {}

  // Writes all bytes, in as many pieces as the host takes. Throws BH_E_IO.
  void write(const void *data, std::size_t bytes) const {
    const char *rest = static_cast<const char *>(data);
    while (bytes > 0) {
      const int64_t taken = raw_->write(raw_, rest, bytes);
      if (taken <= 0) throw failure(BH_E_IO, "the host takes no more state");
      rest += taken;
      bytes -= static_cast<std::size_t>(taken);
    }
  }

 private:
  const bh_writer *raw_;
};

// Where a plugin gets its state back.
class reader {
 public:
  explicit reader(const bh_reader *raw) : raw_(raw) {}

  // Reads exactly so many bytes. Throws BH_E_IO, or BH_E_BAD_STATE when the state ends before.
  void read(void *data, std::size_t bytes) const {
    char *rest = static_cast<char *>(data);
    while (bytes > 0) {
      const int64_t given = raw_->read(raw_, rest, bytes);
      if (given < 0) throw failure(BH_E_IO, "the state cannot be read");
      if (given == 0) throw failure(BH_E_BAD_STATE, "the state ends too early");
      rest += given;
      bytes -= static_cast<std::size_t>(given);
    }
  }

 private:
  const bh_reader *raw_;
};

namespace detail {

// BILLHOOK_DETECT(f) defines has_f<T>: whether a class has a member function f.
#define BILLHOOK_DETECT(function)                                                             \
  template <class T, class = void>                                                            \
  struct has_##function : std::false_type {};                                                 \
  template <class T>                                                                          \
  struct has_##function<T, std::void_t<decltype(&T::function)>> : std::true_type {}
BILLHOOK_DETECT(observe);
BILLHOOK_DETECT(merge);
BILLHOOK_DETECT(reset);
BILLHOOK_DETECT(save);
BILLHOOK_DETECT(load);
BILLHOOK_DETECT(fake_quant);
BILLHOOK_DETECT(fake_quant_grad);
BILLHOOK_DETECT(validate);
BILLHOOK_DETECT(pack);
#undef BILLHOOK_DETECT

// The table of "billhook.quant-export/1".
template <class T>
struct export_table {
  static bh_quant_export make() {
    bh_quant_export table{};
    table.struct_size = sizeof table;
    table.packed_bytes = [](void *self, bh_call *raw_call, const bh_layer *about,
                            const bh_qlayout *layout, uint64_t *bytes) {
      return guarded(raw_call, [&] {
        *bytes = static_cast<T *>(self)->packed_bytes(call(raw_call), layer(about), *layout);
      });
    };
    table.pack = [](void *self, bh_call *raw_call, const bh_layer *about, const bh_qlayout *layout,
                    const bh_qparams *params, const bh_tensor *q, const bh_tensor *bytes) {
      return guarded(raw_call, [&] {
        static_cast<T *>(self)->pack(call(raw_call), layer(about), *layout, *params, tensor(q),
                                     tensor(bytes));
      });
    };
    table.unpack = [](void *self, bh_call *raw_call, const bh_layer *about,
                      const bh_qlayout *layout, const bh_tensor *bytes, const bh_qparams *params,
                      const bh_tensor *q) {
      return guarded(raw_call, [&] {
        static_cast<T *>(self)->unpack(call(raw_call), layer(about), *layout, tensor(bytes),
                                       *params, tensor(q));
      });
    };
    return table;
  }
  static inline const bh_quant_export table = make();
};

template <class T>
struct instance {
  static T &of(void *self) { return *static_cast<T *>(self); }

  static void fill(bh_plugin &raw) {
    raw.create = [](bh_call *raw_call, const bh_value *raw_values, void **self) {
      return guarded(raw_call, [&] { *self = new T(values(raw_values)); });
    };
    raw.destroy = [](void *self) { delete static_cast<T *>(self); };
    if constexpr (has_validate<T>::value) {
      raw.validate = [](bh_call *raw_call, const bh_value *raw_values) {
        return guarded(raw_call, [&] { T::validate(values(raw_values)); });
      };
    }
    if constexpr (has_pack<T>::value) {
      raw.get_extension = [](const char *id) -> const void * {
        return std::strcmp(id, BH_EXT_QUANT_EXPORT) == 0 ? &export_table<T>::table : nullptr;
      };
    }
    if constexpr (has_reset<T>::value) {
      raw.reset = [](void *self, bh_call *raw_call) {
        return guarded(raw_call, [&] { of(self).reset(call(raw_call)); });
      };
    }
    if constexpr (has_save<T>::value) {
      raw.save = [](void *self, bh_call *raw_call, const bh_writer *to) {
        return guarded(raw_call, [&] { of(self).save(call(raw_call), writer(to)); });
      };
    }
    if constexpr (has_load<T>::value) {
      raw.load = [](void *self, bh_call *raw_call, const bh_reader *from, uint32_t version) {
        return guarded(raw_call, [&] { of(self).load(call(raw_call), reader(from), version); });
      };
    }
  }
};

template <class T>
struct scorer_table {
  static bh_scorer make() {
    bh_scorer table{};
    table.struct_size = sizeof table;
    table.score = [](void *self, bh_call *raw_call, const bh_layer *about, const bh_score_in *in,
                     const bh_tensor *scores) {
      return guarded(raw_call, [&] {
        instance<T>::of(self).score(call(raw_call), layer(about), *in, tensor(scores));
      });
    };
    if constexpr (has_observe<T>::value) {
      table.observe = [](void *self, bh_call *raw_call, const bh_layer *about, const bh_tensor *in,
                         const bh_tensor *out, const bh_tensor *grad_out) {
        return guarded(raw_call, [&] {
          instance<T>::of(self).observe(call(raw_call), layer(about), tensor(in), tensor(out),
                                        tensor(grad_out));
        });
      };
    }
    if constexpr (has_merge<T>::value) {
      table.merge = [](void *self, bh_call *raw_call, const bh_reader *other) {
        return guarded(raw_call,
                       [&] { instance<T>::of(self).merge(call(raw_call), reader(other)); });
      };
    }
    return table;
  }
  static inline const bh_scorer table = make();
};

template <class T>
struct loss_table {
  static bh_loss make() {
    bh_loss table{};
    table.struct_size = sizeof table;
    table.compute = [](void *self, bh_call *raw_call, const bh_loss_io *io) {
      return guarded(raw_call, [&] { instance<T>::of(self).compute(call(raw_call), *io); });
    };
    return table;
  }
  static inline const bh_loss table = make();
};

template <class T>
struct quantizer_table {
  static bh_quantizer make() {
    bh_quantizer table{};
    table.struct_size = sizeof table;
    table.layout = [](void *self, bh_call *raw_call, const bh_layer *about, bh_qlayout *out) {
      return guarded(raw_call,
                     [&] { instance<T>::of(self).layout(call(raw_call), layer(about), *out); });
    };
    table.calibrate = [](void *self, bh_call *raw_call, const bh_layer *about,
                         const bh_qlayout *layout, const bh_tensor *x, const bh_qparams *out) {
      return guarded(raw_call, [&] {
        instance<T>::of(self).calibrate(call(raw_call), layer(about), *layout, tensor(x), *out);
      });
    };
    table.quantize = [](void *self, bh_call *raw_call, const bh_layer *about,
                        const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *x,
                        const bh_tensor *q) {
      return guarded(raw_call, [&] {
        instance<T>::of(self).quantize(call(raw_call), layer(about), *layout, *params, tensor(x),
                                       tensor(q));
      });
    };
    table.dequantize = [](void *self, bh_call *raw_call, const bh_layer *about,
                          const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *q,
                          const bh_tensor *x) {
      return guarded(raw_call, [&] {
        instance<T>::of(self).dequantize(call(raw_call), layer(about), *layout, *params, tensor(q),
                                         tensor(x));
      });
    };
    if constexpr (has_observe<T>::value) {
      table.observe = [](void *self, bh_call *raw_call, const bh_layer *about, const bh_tensor *x) {
        return guarded(raw_call, [&] {
          instance<T>::of(self).observe(call(raw_call), layer(about), tensor(x));
        });
      };
    }
    if constexpr (has_fake_quant<T>::value) {
      table.fake_quant = [](void *self, bh_call *raw_call, const bh_layer *about,
                            const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *x,
                            const bh_tensor *y) {
        return guarded(raw_call, [&] {
          instance<T>::of(self).fake_quant(call(raw_call), layer(about), *layout, *params,
                                           tensor(x), tensor(y));
        });
      };
    }
    if constexpr (has_fake_quant_grad<T>::value) {
      table.fake_quant_grad = [](void *self, bh_call *raw_call, const bh_layer *about,
                                 const bh_qlayout *layout, const bh_qparams *params,
                                 const bh_tensor *x, const bh_tensor *grad_y,
                                 const bh_tensor *grad_x) {
        return guarded(raw_call, [&] {
          instance<T>::of(self).fake_quant_grad(call(raw_call), layer(about), *layout, *params,
                                                tensor(x), tensor(grad_y), tensor(grad_x));
        });
      };
    }
    return table;
  }
  static inline const bh_quantizer table = make();
};

}  // namespace detail
}  // namespace billhook

#endif
