// @name@: a loss. Half the squared distance of student and teacher logits.
//
// Source: Ba and Caruana, Do Deep Nets Really Need to be Deep?, 2014, section 2.2, arXiv:1312.6184.
#include <billhook/billhook.hpp>

namespace {

class loss {
 public:
  explicit loss(const billhook::values &) {}

  void compute(billhook::call, const bh_loss_io &io) const {
    if (!io.teacher) throw billhook::failure(BH_E_INVALID_ARG, "there is no teacher to compare with");
    const auto rows = static_cast<std::size_t>(io.student->shape[0]);
    const auto student = billhook::tensor(io.student).elements<const float>();
    const auto teacher = billhook::tensor(io.teacher).elements<const float>();
    billhook::span<const float> weights;
    if (io.sample_weight) weights = billhook::tensor(io.sample_weight).elements<const float>();
    billhook::span<float> gradient;
    if (io.grad_student_out) gradient = billhook::tensor(io.grad_student_out).elements<float>();
    const std::size_t classes = rows > 0 ? student.size() / rows : 0;
    double total = 0, weight_sum = 0;
    for (std::size_t row = 0; row < rows; row++) {
      const double weight = weights.empty() ? 1 : weights[row];
      double sum = 0;
      for (std::size_t i = row * classes; i < (row + 1) * classes; i++) {
        const double difference = static_cast<double>(student[i]) - static_cast<double>(teacher[i]);
        sum += difference * difference / 2;
        if (!gradient.empty()) gradient[i] = static_cast<float>(weight * difference * io.grad_scale);
      }
      total += weight * sum;
      weight_sum += weight;
    }
    // Sums, not means: the host divides.
    *io.loss_sum_out = total;
    *io.weight_sum_out = weight_sum;
  }
};

}  // namespace

BILLHOOK_MODULE(billhook::module("org.example.@name@.module", "1.0.0", "Example", "0BSD")
                    .add(billhook::loss<loss>("org.example.@name@")
                             .name("@name@")
                             .summary("Half the squared distance of the logits.")
                             .caps(BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT)
                             .needs(BH_NEED_TEACHER)))
