// @name@: a loss. Half the squared distance of student and teacher logits.
//
// Source: Ba and Caruana, Do Deep Nets Really Need to be Deep?, 2014, section 2.2, arXiv:1312.6184.
#include <billhook/billhook.h>

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call, (void)values;
  *self = NULL;  // there is no state
  return BH_OK;
}

static void destroy(void *self) { (void)self; }

static bh_status compute(void *self, bh_call *call, const bh_loss_io *io) {
  (void)self;
  if (!io->teacher) {
    static const char text[] = "there is no teacher to compare with";
    return call->host->fail(call, BH_E_INVALID_ARG, text, sizeof text - 1);
  }
  const int64_t rows = io->student->shape[0], classes = io->student->shape[1];
  const float *student = io->student->data, *teacher = io->teacher->data;
  const float *weights = io->sample_weight ? io->sample_weight->data : 0;
  float *gradient = io->grad_student_out ? io->grad_student_out->data : 0;
  double loss = 0, weight_sum = 0;
  for (int64_t row = 0; row < rows; row++) {
    const double weight = weights ? weights[row] : 1;
    double sum = 0;
    for (int64_t i = row * classes; i < (row + 1) * classes; i++) {
      const double difference = (double)student[i] - (double)teacher[i];
      sum += difference * difference / 2;
      if (gradient) gradient[i] = (float)(weight * difference * io->grad_scale);
    }
    loss += weight * sum;
    weight_sum += weight;
  }
  // Sums, not means: the host divides.
  *io->loss_sum_out = loss;
  *io->weight_sum_out = weight_sum;
  return BH_OK;
}

static const bh_loss hooks = {.struct_size = sizeof(bh_loss), .compute = compute};

static const bh_plugin plugin = {
    .struct_size = sizeof(bh_plugin),
    .hook = BH_HOOK_LOSS,
    .caps = BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT,
    .needs = BH_NEED_TEACHER,
    .id = "org.example.@name@",
    .name = "@name@",
    .summary = "Half the squared distance of the logits.",
    .create = create,
    .destroy = destroy,
    .vtable = &hooks,
};
static const bh_plugin *const plugins[] = {&plugin};

static const bh_module module = {
    .magic = BH_MAGIC,
    .struct_size = sizeof(bh_module),
    .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR,
    .header_minor = BH_ABI_MINOR,
    .id = "org.example.@name@.module",
    .version = "1.0.0",
    .vendor = "Example",
    .license = "0BSD",
    .n_plugins = 1,
    .plugins = plugins,
};

const bh_module *billhook_module_v1(void) { return &module; }
