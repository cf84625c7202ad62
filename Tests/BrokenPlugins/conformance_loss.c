// Cross-entropy against the teacher's softmax, and the squared distance of features.
#include "conformance.h"

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call, (void)values, (void)self;
  return BH_OK;
}

static void destroy(void *self) { (void)self; }

static void softmax(const float *x, int64_t n, double *out) {
  double top = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
  if (BREAKS(EXP_OVERFLOWS)) top = 0;
  for (int64_t i = 0; i < n; i++) sum += out[i] = exp(x[i] - top);
  for (int64_t i = 0; i < n; i++) out[i] /= sum;
}

static bh_status compute(void *self, bh_call *call, const bh_loss_io *io) {
  (void)self;
  const int64_t rows = io->student->shape[0], classes = io->student->shape[1];
  const float *student = io->student->data, *weights = NULL;
  const float *teacher = io->teacher ? io->teacher->data : NULL;
  const int32_t *labels = io->labels ? io->labels->data : NULL;
  const int wants = (io->flags & BH_LOSS_WANT_GRAD) != 0;
  float *grad = io->grad_student_out ? io->grad_student_out->data : NULL;
  if (io->sample_weight) weights = io->sample_weight->data;
  if (!io->teacher) return say(call, BH_E_INVALID_ARG, "there is no teacher");
  if (BREAKS(NEEDS_LABELS) && rows) (void)*(const volatile int32_t *)labels;

  double *s = call->host->scratch(call, sizeof(double) * 2 * (uint64_t)(classes ? classes : 1), 16);
  if (!s) return say(call, BH_E_NO_MEMORY, "no scratch memory");
  double *t = s + classes, loss = 0, weight_sum = 0;
  for (int64_t i = 0; i < rows; i++) weight_sum += weights ? weights[i] : 1;
  const double divisor = BREAKS(MEAN_NOT_SUM) ? weight_sum : 1;
  int64_t counted = 0;
  for (int64_t i = 0; i < rows; i++) {
    const double w = (weights ? weights[i] : 1) / divisor;
    counted += labels && labels[i] != BH_LABEL_IGNORED;
    softmax(student + i * classes, classes, s);
    softmax(teacher + i * classes, classes, t);
    double row = 0;
    for (int64_t c = 0; c < classes; c++) {
      row += t[c] * (log(t[c] > 1e-300 ? t[c] : 1e-300) - log(s[c] > 1e-300 ? s[c] : 1e-300));
      double g = w * (s[c] - t[c]) * io->grad_scale;
      if (BREAKS(SCALED_TWICE)) g *= io->grad_scale * 4;
      if (BREAKS(WRONG_SIGN)) g = -g;
      if (BREAKS(LIKES_DIFFERENCE)) g = -g;
      if (!wants && !BREAKS(NEEDS_GRADIENT)) continue;
      float *out = grad + i * classes + c;
      *out = BREAKS(ADDS_TO_GRADIENT) ? *out + (float)g : (float)g;
    }
    if (BREAKS(LIKES_DIFFERENCE)) row = -row;
    if (BREAKS(POSITION_COUNTS)) row += i == 0 ? 1 : 0;
    loss += w * row;
  }
  if (BREAKS(IGNORED_IS_NAN) && labels && rows) loss += 0.0 * (1.0 / (double)counted - 1);

  for (uint64_t f = 0; f < io->n_features; f++) {
    const bh_feature *feature = io->features[f];
    const float *a = feature->student->data, *b = feature->teacher->data;
    const int64_t n = count_of(feature->student), one = rows ? n / rows : 0;
    float *g = feature->grad_student_out ? feature->grad_student_out->data : NULL;
    for (int64_t i = 0; i < n; i++) {
      const double w = weights && one ? weights[i / one] : 1, d = a[i] - b[i];
      loss += BREAKS(LIKES_DIFFERENCE) ? -w * d * d : w * d * d;
      if (wants) g[i] = BREAKS(FEATURE_GRADIENT_MISSING) ? 0 : (float)(2 * w * d * io->grad_scale);
      if (wants && BREAKS(LIKES_DIFFERENCE)) g[i] = -g[i];
    }
  }
  *io->loss_sum_out = loss;
  *io->weight_sum_out = weight_sum / divisor;
  if (BREAKS(POSITION_COUNTS)) *io->loss_sum_out = loss;
  return BH_OK;
}

static const bh_loss hooks = {sizeof(bh_loss), 0, compute};
static const void *extension(const char *id) { return (void)id, NULL; }

static const bh_plugin broken = {
    sizeof(bh_plugin), BH_HOOK_LOSS, BH_CAP_DETERMINISTIC,
    BH_NEED_TEACHER | BH_NEED_FEATURES, "org.example.broken.loss", plugin_name, "A broken loss.",
    NULL, 0, 0, 0, 0, NULL, NULL, NULL, create, destroy, NULL, NULL, NULL, &hooks, extension,
};
MODULE(broken)
