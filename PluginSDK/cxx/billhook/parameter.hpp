// Typed parameters: declared once, checked by the host, read by their declaration.
#ifndef BILLHOOK_PARAMETER_HPP
#define BILLHOOK_PARAMETER_HPP

#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "billhook/call.hpp"

namespace billhook {

// One of the words of a BH_TYPE_CHOICE parameter, by its place among them.
struct choice {
  int64_t index = 0;
};

namespace detail {

template <class T>
constexpr uint32_t parameter_type = std::is_same_v<T, bool>                   ? BH_TYPE_BOOL
                                    : std::is_same_v<T, int64_t>              ? BH_TYPE_I64
                                    : std::is_same_v<T, double>               ? BH_TYPE_F64
                                    : std::is_same_v<T, choice>               ? BH_TYPE_CHOICE
                                    : std::is_same_v<T, std::string>          ? BH_TYPE_STRING
                                    : std::is_same_v<T, std::vector<int64_t>> ? BH_TYPE_I64_LIST
                                    : std::is_same_v<T, std::vector<double>>  ? BH_TYPE_F64_LIST
                                                                              : 0;

}  // namespace detail

// The declaration of a parameter of any type. Keep declarations in variables that live as long as
// the library, outside of functions: the text of keys, docs and defaults is not copied.
class any_parameter {
 public:
  const bh_param *raw() const { return &raw_; }

 protected:
  any_parameter(const char *key, const char *doc, uint32_t type) {
    raw_.struct_size = sizeof raw_;
    raw_.type = type;
    raw_.key = key;
    raw_.doc = doc;
    raw_.def.type = type;
    raw_.def.count = 1;
    raw_.min = -std::numeric_limits<double>::infinity();
    raw_.max = std::numeric_limits<double>::infinity();
  }

  bh_param raw_{};

 private:
  friend class plugin;
  friend class values;
  std::size_t index_ = 0;
};

// The declaration of a parameter of type bool, int64_t, double, choice, std::string,
// std::vector<int64_t> or std::vector<double>.
template <class T>
class parameter : public any_parameter {
  static_assert(detail::parameter_type<T> != 0, "no parameter can have this type");

 public:
  parameter(const char *key, const char *doc)
      : any_parameter(key, doc, detail::parameter_type<T>) {
    raw_.flags = BH_PARAM_REQUIRED;
  }

  parameter &default_value(double value) {
    raw_.flags &= ~BH_PARAM_REQUIRED;
    if constexpr (std::is_same_v<T, double>) {
      raw_.def.u.f64 = value;
    } else if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, bool>) {
      raw_.def.u.i64 = static_cast<int64_t>(value);
    } else {
      static_assert(std::is_same_v<T, double>, "use another default_value");
    }
    return *this;
  }

  parameter &default_value(const char *value) {
    static_assert(std::is_same_v<T, std::string>, "only text has a text as default");
    raw_.flags &= ~BH_PARAM_REQUIRED;
    raw_.def.u.str = value;
    return *this;
  }

  // The words of a choice; the first is the default.
  template <std::size_t count>
  parameter &choices(const char *const (&words)[count]) {
    static_assert(std::is_same_v<T, choice>, "only a choice has words");
    raw_.flags &= ~BH_PARAM_REQUIRED;
    raw_.choices = words;
    raw_.n_choices = static_cast<uint32_t>(count);
    return *this;
  }

  // The lowest and highest legal number (of a list: element).
  parameter &range(double low, double high) {
    raw_.min = low;
    raw_.max = high;
    return *this;
  }

  parameter &unit(const char *unit) {
    raw_.unit = unit;
    return *this;
  }
};

// The values of an instance's parameters, checked by the host. Valid in the constructor only.
class values {
 public:
  explicit values(const bh_value *raw) : raw_(raw) {}

  template <class T>
  T operator[](const parameter<T> &declared) const {
    const bh_value &value = raw_[declared.index_];
    if constexpr (std::is_same_v<T, double>) {
      return value.u.f64;
    } else if constexpr (std::is_same_v<T, int64_t>) {
      return value.u.i64;
    } else if constexpr (std::is_same_v<T, bool>) {
      return value.u.i64 != 0;
    } else if constexpr (std::is_same_v<T, choice>) {
      return choice{value.u.i64};
    } else if constexpr (std::is_same_v<T, std::string>) {
      return value.u.str ? std::string(value.u.str) : std::string();
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      return T(value.u.i64s, value.u.i64s + value.count);
    } else {
      return T(value.u.f64s, value.u.f64s + value.count);
    }
  }

 private:
  const bh_value *raw_;
};

}  // namespace billhook

#endif
