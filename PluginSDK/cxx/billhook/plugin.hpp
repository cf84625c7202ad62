// Classes as plugins.
//
// A class T becomes a plugin by scorer<T>(id), loss<T>(id) or quantizer<T>(id). It has
//
//   explicit T(const billhook::values &);
//
// and the functions of its hook, each [inst] as in the header of the C struct:
//
//   scorer:    void score(call, layer, const bh_score_in &, tensor scores)
//   loss:      void compute(call, const bh_loss_io &)
//   quantizer: void layout(call, layer, bh_qlayout &)
//              void calibrate(call, layer, const bh_qlayout &, tensor x, const bh_qparams &)
//              void quantize(call, layer, const bh_qlayout &, const bh_qparams &, tensor x, tensor q)
//              void dequantize(call, layer, const bh_qlayout &, const bh_qparams &, tensor q, tensor x)
//
// and, where it has them, these, which the host is told of:
//
//   scorer:    void observe(call, layer, tensor in, tensor out, tensor grad_out)
//              void merge(call, reader)
//   quantizer: void observe(call, layer, tensor x)
//              void fake_quant(call, layer, const bh_qlayout &, const bh_qparams &, tensor x, tensor y)
//              void fake_quant_grad(call, layer, const bh_qlayout &, const bh_qparams &, tensor x,
//                                   tensor grad_y, tensor grad_x)
//              uint64_t packed_bytes(call, layer, const bh_qlayout &)
//              void pack(call, layer, const bh_qlayout &, const bh_qparams &, tensor q, tensor bytes)
//              void unpack(call, layer, const bh_qlayout &, tensor bytes, const bh_qparams &, tensor q)
//   all:       static void validate(const billhook::values &)
//              void reset(call);  void save(call, writer);  void load(call, reader, uint32_t version)
//
// Throw billhook::failure to say why something cannot be done; failure(BH_SKIP) declines a layer.
#ifndef BILLHOOK_PLUGIN_HPP
#define BILLHOOK_PLUGIN_HPP

#include <initializer_list>
#include <memory>
#include <vector>

#include "billhook/hooks.hpp"

namespace billhook {

// The declaration of a plugin. Text is not copied: use literals.
class plugin {
 public:
  plugin &name(const char *text) { return set(raw_->name, text); }
  plugin &summary(const char *text) { return set(raw_->summary, text); }
  plugin &doc(const char *text) { return set(raw_->doc, text); }
  // BH_CAP_* flags, or-ed.
  plugin &caps(uint64_t flags) { return set(raw_->caps, flags); }
  // BH_NEED_* flags, or-ed.
  plugin &needs(uint64_t flags) { return set(raw_->needs, flags); }
  // BH_GRANULARITY_BIT_* flags, or-ed.
  plugin &granularities(uint32_t flags) { return set(raw_->granularities, flags); }
  // BH_DTYPE_*: element types that a scorer takes the weight of a whole layer in, beside float32.
  plugin &weight_types(std::initializer_list<uint32_t> types) {
    types_->assign(types);
    raw_->dtypes = types_->data();
    raw_->n_dtypes = static_cast<uint32_t>(types_->size());
    return *this;
  }
  // Of what `save` writes.
  plugin &state_version(uint32_t version) { return set(raw_->state_version, version); }

  // Adds parameters, in this order.
  template <class... Ts>
  plugin &parameters(parameter<Ts> &...declared) {
    (add(declared), ...);
    raw_->params = parameters_->data();
    raw_->n_params = static_cast<uint32_t>(parameters_->size());
    return *this;
  }

 private:
  friend class module;
  template <class T>
  friend plugin scorer(const char *id);
  template <class T>
  friend plugin loss(const char *id);
  template <class T>
  friend plugin quantizer(const char *id);

  template <class Field>
  plugin &set(Field &field, Field value) {
    field = value;
    return *this;
  }

  void add(any_parameter &declared) {
    declared.index_ = parameters_->size();
    parameters_->push_back(&declared.raw_);
  }

  template <class T>
  static plugin make(uint32_t hook, const char *id, const void *vtable) {
    plugin made;
    bh_plugin &raw = *made.raw_;
    raw.struct_size = sizeof(bh_plugin);
    raw.hook = hook;
    raw.id = id;
    raw.vtable = vtable;
    detail::instance<T>::fill(raw);
    return made;
  }

  // On the heap, and never freed: the host keeps the pointers as long as the process lives.
  bh_plugin *raw_ = new bh_plugin{};
  std::vector<const bh_param *> *parameters_ = new std::vector<const bh_param *>;
  std::vector<uint32_t> *types_ = new std::vector<uint32_t>;
};

// The declaration of a scorer; give it at least a name, a summary and granularities.
template <class T>
plugin scorer(const char *id) {
  return plugin::make<T>(BH_HOOK_SCORER, id, &detail::scorer_table<T>::table);
}

// The declaration of a loss; give it at least a name and a summary.
template <class T>
plugin loss(const char *id) {
  return plugin::make<T>(BH_HOOK_LOSS, id, &detail::loss_table<T>::table);
}

// The declaration of a quantizer; give it at least a name and a summary.
template <class T>
plugin quantizer(const char *id) {
  return plugin::make<T>(BH_HOOK_QUANTIZER, id, &detail::quantizer_table<T>::table);
}

// The declaration of a library. Text is not copied: use literals.
class module {
 public:
  // The version is as "1.2.3", the licence an SPDX expression.
  module(const char *id, const char *version, const char *vendor, const char *license) {
    raw_->magic = BH_MAGIC;
    raw_->struct_size = sizeof(bh_module);
    raw_->abi_major = BH_ABI_MAJOR;
    raw_->min_minor = BH_TARGET_MINOR;
    raw_->header_minor = BH_ABI_MINOR;
    raw_->id = id;
    raw_->version = version;
    raw_->vendor = vendor;
    raw_->license = license;
  }

  module &url(const char *text) {
    raw_->url = text;
    return *this;
  }

  module &add(const plugin &added) {
    plugins_->push_back(added.raw_);
    raw_->plugins = plugins_->data();
    raw_->n_plugins = plugins_->size();
    return *this;
  }

  const bh_module *raw() const { return raw_; }

 private:
  bh_module *raw_ = new bh_module{};
  std::vector<const bh_plugin *> *plugins_ = new std::vector<const bh_plugin *>;
};

}  // namespace billhook

// Defines the library's entry, from a billhook::module.
#define BILLHOOK_MODULE(...)                                            \
  const bh_module *billhook_module_v1(void) {                           \
    static const bh_module *const made = (__VA_ARGS__).raw();           \
    return made;                                                        \
  }

#endif
