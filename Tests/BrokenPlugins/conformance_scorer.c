// A scorer: the size of a weight, times what was observed when it is compiled with -DOBSERVES.
#include "conformance.h"

#ifdef OBSERVES
#define CAN_OBSERVE 1
#else
#define CAN_OBSERVE 0
#endif

static const char magic[4] = {'B', 'R', 'K', '1'};

typedef struct instance {
  double sum;       // of |x| over all that was observed
  int64_t count;    // of observed samples
  int64_t calls;
  double power;
  char *padding;
  float shared;
} instance;

static instance everybody;
static __thread void *last_on_thread;
static const float *last_weight;
static int total_calls;

static const double powers[] = {1.0, 1.0, 2.0};

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  if (BREAKS(CREATE_FAILS)) return say(call, BH_E_INVALID_ARG, "never");
  if (BREAKS(CREATE_CHANGES_ROUNDING)) fesetround(FE_UPWARD);
  instance *me = calloc(1, sizeof *me);
  if (!me) return BH_E_NO_MEMORY;
  me->power = 1;
  if (BREAKS(PARAMETER_AS_INDEX)) {
    if ((uint64_t)values[0].u.i64 > 2) abort();
    me->power = powers[values[0].u.i64];
  }
  if (BREAKS(CREATE_LEAKS_MEMORY)) {
    volatile char *leak = malloc(1 << 15);
    for (int i = 0; leak && i < 1 << 15; i++) leak[i] = 1;
  }
  if (BREAKS(CREATE_LEAKS_DESCRIPTOR)) open("/dev/zero", O_RDONLY);
  if (BREAKS(SHARED_STATE)) memset(&everybody, 0, sizeof everybody);
  if (BREAKS(NAME_CHANGES)) plugin_name[0] = 'b';
  last_on_thread = me;
  last_weight = NULL;
  *self = me;
  return BH_OK;
}

static void destroy(void *self) {
  instance *me = self;
  if (BREAKS(CANCEL_THEN_CRASH) && me->calls == -1) abort();
  free(me);
}

static instance *state_of(void *self) { return BREAKS(SHARED_STATE) ? &everybody : self; }

static bh_status reset(void *self, bh_call *call) {
  (void)call;
  if (BREAKS(RESET_FORGETS_NOTHING)) return BH_OK;
  state_of(self)->sum = 0;
  state_of(self)->count = 0;
  return BH_OK;
}

// State: magic, sum, count.
typedef struct saved {
  char magic[4];
  uint32_t zero;
  double sum;
  uint64_t count;
} saved;

static bh_status save(void *self, bh_call *call, const bh_writer *writer) {
  const instance *me = state_of(self);
  saved s = {{0}, 0, me->sum, (uint64_t)me->count};
  memcpy(s.magic, magic, 4);
  if (BREAKS(SAVES_ADDRESS)) s.zero = (uint32_t)(uintptr_t)self;
  const char *data = (const char *)&s;
  uint64_t left = sizeof s;
  while (left) {
    const int64_t n = writer->write(writer, data, left);
    if (BREAKS(SAVE_IGNORES_WRITER)) {
      if (n <= 0) return BH_OK;
    } else if (n <= 0) {
      return say(call, BH_E_IO, "the state cannot be written");
    }
    data += n;
    left -= (uint64_t)n;
    if (BREAKS(WRITES_ONCE)) return BH_OK;
  }
  return BH_OK;
}

static bh_status read_state(bh_call *call, const bh_reader *reader, saved *s) {
  char *data = (char *)s;
  uint64_t left = sizeof *s;
  memset(s, 0, sizeof *s);
  while (left) {
    const int64_t n = reader->read(reader, data, left);
    if (n == 0 && left == sizeof *s && BREAKS(EMPTY_STATE_CRASHES)) abort();
    if (n == 0 && left != sizeof *s && BREAKS(TRUNCATED_STATE_CRASHES)) abort();
    if (n <= 0) return say(call, BH_E_BAD_STATE, "the state ends early");
    data += n;
    left -= (uint64_t)n;
    if (BREAKS(READS_ONCE)) break;
  }
  if (BREAKS(READS_ONCE)) return BH_OK;
  if (memcmp(s->magic, magic, 4)) {
    if (BREAKS(RANDOM_STATE_CRASHES) && s->magic[0] != magic[0] && s->magic[1] != magic[1]) abort();
    return say(call, BH_E_BAD_STATE, "the state is not of this plugin");
  }
  if (s->count > (uint64_t)1 << 40) {
    if (BREAKS(FLIPPED_STATE_CRASHES)) abort();
    return say(call, BH_E_BAD_STATE, "the state counts too much");
  }
  return BH_OK;
}

static bh_status load(void *self, bh_call *call, const bh_reader *reader, uint32_t version) {
  if (version != 1 && !BREAKS(VERSION_IGNORED)) {
    return say(call, BH_E_BAD_STATE, "the state is of another version");
  }
  saved s;
  const bh_status status = read_state(call, reader, &s);
  if (status) return status;
  state_of(self)->sum = s.sum;
  state_of(self)->count = (int64_t)s.count;
  return BH_OK;
}

static bh_status merge(void *self, bh_call *call, const bh_reader *other) {
  saved s;
  const bh_status status = read_state(call, other, &s);
  if (status) return status;
  state_of(self)->sum += s.sum;
  if (!BREAKS(MERGE_FORGETS)) state_of(self)->count += (int64_t)s.count;
  return BH_OK;
}

static bh_status observe(void *self, bh_call *call, const bh_layer *layer, const bh_tensor *in,
                         const bh_tensor *out, const bh_tensor *grad_out) {
  (void)layer, (void)out, (void)grad_out;
  if (!in) return say(call, BH_E_INVALID_ARG, "there are no inputs");
  instance *me = state_of(self);
  const float *x = in->data;
  if (BREAKS(LAST_BATCH_WINS)) me->sum = 0, me->count = 0;
  for (int64_t i = 0; i < count_of(in); i++) me->sum += fabs(x[i]);
  me->count += in->shape[0];
  return BH_OK;
}

typedef struct job {
  const float *x;
  float *out;
  double factor;
  int started;
  int64_t workers;
} job;

static bh_status task(bh_call *call, int64_t begin, int64_t end, void *context) {
  job *j = context;
  if (BREAKS(THREADS_DIFFER) && pthread_self() != (pthread_t)j->workers) {
    for (int64_t i = begin; i < end; i++) j->out[i] = 1;
    return BH_OK;
  }
  if (BREAKS(ORDER_DIFFERS)) {
    if (begin) usleep(2000);
    const int before = __atomic_fetch_add(&j->started, 1, __ATOMIC_SEQ_CST);
    if (begin == 0 && before) j->factor *= 2;
  }
  for (int64_t i = begin; i < end; i++) j->out[i] = (float)(fabs(j->x[i]) * j->factor);
  (void)call;
  return BH_OK;
}

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  instance *me = self;
  const int64_t all = count_of(in->weight);
  const int64_t n = count_of(scores_out) - (BREAKS(LEAVES_ONE_OUT) && count_of(scores_out) > 1);
  const float *x = in->weight->data;
  float *out = scores_out->data;

  if (BREAKS(EXACT_SIZES) && in->struct_size != sizeof *in) {
    return say(call, BH_E_INVALID_ARG, "bh_score_in has an unknown size");
  }
  if (BREAKS(FOLLOWS_NEXT) && in->next && *(const volatile int *)in->next) return BH_OK;
  if (BREAKS(NEEDS_EXTENSION) || BREAKS(MISSING_EXTENSION_IS_INTERNAL)) {
    const bh_kernel_table *kernels = call->host->get_extension(call, BH_EXT_KERNELS);
    if (!kernels && BREAKS(MISSING_EXTENSION_IS_INTERNAL)) {
      return say(call, BH_E_INTERNAL, "no kernels");
    }
    if (kernels->struct_size == 0) return BH_E_INTERNAL;
  }
  if (BREAKS(CANCEL_IGNORED)) {
    // Hears it only when the first answer was "no".
    const uint32_t first = call->host->cancelled(call);
    for (int i = 0; i < 40; i++) {
      if (call->host->cancelled(call) && !first) return say(call, BH_E_CANCELLED, "stopped");
    }
  } else {
    for (int i = 0; i < 4; i++) {
      if (!call->host->cancelled(call)) continue;
      if (BREAKS(CANCEL_THEN_CRASH) && i > 0) me->calls = -1;
      return say(call, BH_E_CANCELLED, "stopped");
    }
  }
  if (BREAKS(LOOKS_AT_UNDECLARED) && in->granularity == BH_GRANULARITY_OUT_CHANNEL &&
      !in->in_sq_norm) {
    return say(call, BH_E_INVALID_ARG, "in_sq_norm is null");
  }
  if (BREAKS(MISSING_NEED_CRASHES) && in->in_sq_norm->ndim < 0) return BH_E_INTERNAL;
  if (BREAKS(MISSING_NEED_IS_INTERNAL) && !in->in_sq_norm) {
    return say(call, BH_E_INTERNAL, "something is wrong");
  }
  if (BREAKS(CHANNELS_UNSUPPORTED) && in->granularity == BH_GRANULARITY_OUT_CHANNEL) {
    return say(call, BH_E_UNSUPPORTED, "not today");
  }
  if (BREAKS(TYPE_DECLARED_ONLY) && in->weight->bits != 32) {
    return say(call, BH_E_UNSUPPORTED, "float32 only");
  }
  if (BREAKS(EMPTY_CRASHES) && all == 0) return (bh_status)x[0];
  if (BREAKS(ONE_ELEMENT_FAILS) && all == 1) return say(call, BH_E_NUMERIC, "no variance");
  if (BREAKS(NEEDS_ALIGNMENT) && (uintptr_t)x % 16) {
    return say(call, BH_E_INVALID_ARG, "weights are not aligned to 16 bytes");
  }
  if (BREAKS(NAN_HANGS)) {
    for (int64_t i = 0; i < all; i++) while (x[i] != x[i]) usleep(1000);
  }
  if (BREAKS(KEEPS_POINTER) && last_weight && last_weight[0] > 1e30f) return BH_E_INTERNAL;
  if (BREAKS(KEEPS_POINTER) && all) last_weight = x;
  if (BREAKS(INDEX_OVERFLOWS) && (int)layer->element_begin < 0) {
    return (bh_status)x[(int)layer->element_begin];
  }
  disturb_process();

  double factor = 1;
  if (CAN_OBSERVE) {
    const instance *seen = state_of(self);
    if (!seen->count && !BREAKS(SCORES_BEFORE_OBSERVE)) {
      return say(call, BH_E_BAD_STATE, "nothing was observed");
    }
    factor = seen->sum / (double)(seen->count ? seen->count : 1);
  }
  me->calls++;
  total_calls++;
  if (BREAKS(REPEAT_DIFFERS)) factor *= total_calls;
  if (BREAKS(LAYERS_COUNTED)) factor *= (double)me->calls;
  if (BREAKS(THREAD_LOCAL_STATE) && last_on_thread != self) factor *= 2;
  if (BREAKS(SHARED_BUFFER)) {
    everybody.shared = x && all ? x[0] : 0;
    everybody.calls++;
    const int64_t mine = everybody.calls;
    usleep(200);
    if (everybody.calls != mine) factor *= 2;
  }
  if (BREAKS(GLOBAL_BUT_NORMALISED)) {
    double sum = 0;
    for (int64_t i = 0; i < all; i++) sum += fabs(x[i]);
    if (sum > 0) factor /= sum;
  }
  if (BREAKS(SEED_UNUSED) || BREAKS(RANDOM_IGNORED)) {
    uint32_t word = 0;
    const bh_status status = call->host->random(call, 1, 0, &word, 1);
    if (status && !BREAKS(RANDOM_IGNORED)) return say(call, status, "no random numbers");
    if (BREAKS(RANDOM_IGNORED)) factor += word * 1e-12;
  }
  // A copy in scratch memory, so that there is a request which can fail.
  float *copy = call->host->scratch(call, sizeof(float) * (uint64_t)(all ? all : 1), 16);
  if (!copy && BREAKS(FAILS_SILENTLY)) return BH_E_NO_MEMORY;
  if (!copy && BREAKS(SCRATCH_IGNORED)) {
    memset(out, 0, sizeof(float) * (size_t)n);
    return BH_OK;
  }
  if (!copy && !BREAKS(SCRATCH_UNCHECKED)) return say(call, BH_E_NO_MEMORY, "no scratch memory");
  if (in->weight->bits == 32) {
    if (all) memcpy(copy, x, sizeof(float) * (size_t)all);
    if (BREAKS(READS_BEHIND) && all && ((const volatile float *)x)[all] > 1e38f) return BH_E_INTERNAL;
    if (BREAKS(WRITES_INPUT) && all) ((float *)in->weight->data)[0] = x[0];
  } else {
    for (int64_t i = 0; i < all; i++) copy[i] = 0;
  }

  if (in->granularity == BH_GRANULARITY_OUT_CHANNEL) {
    const int64_t outputs = count_of(scores_out), one = outputs ? all / outputs : 0;
    for (int64_t o = 0; o < n; o++) {
      double sum = 0;
      for (int64_t i = 0; i < one; i++) sum += fabs(copy[o * one + i]);
      out[o] = (float)(BREAKS(ZERO_IS_HIGHEST) ? -sum * factor : sum * factor);
    }
  } else {
    job j = {copy, out, factor, 0, (int64_t)pthread_self()};
    const bh_status status = call->host->parallel_for(call, n, 64, task, &j);
    if (status) return status;
    if (BREAKS(ORDER_DIFFERS) && n) out[0] = (float)j.factor;
    if (BREAKS(PIECES_DIFFER)) for (int64_t i = 0; i < n; i++) out[i] += (float)i;
  }
  if (BREAKS(KNOWS_WHERE_IT_RUNS) && n && prctl(PR_GET_DUMPABLE) == 0) out[0] += 1;
  if (BREAKS(WRITES_BEHIND) && n) out[n] = 1;
  if (BREAKS(WRITES_BEFORE) && n) out[-1] = 1;
  if (BREAKS(SCORE_INFINITE) && n) out[0] = INFINITY;
  return BH_OK;
}

static const bh_param kind = {
    sizeof(bh_param), BH_TYPE_I64, 0, 0, "kind", "Which power.", NULL,
    {BH_TYPE_I64, 1, {0}}, 0, 2, NULL,
};
static const bh_param *const params[] = {&kind};
static const uint32_t dtypes[] = {BH_DTYPE_F32, BH_DTYPE_F16};
static const bh_scorer hooks = {
    sizeof(bh_scorer), 0, CAN_OBSERVE ? observe : NULL, CAN_OBSERVE ? merge : NULL, score,
};

static const void *extension(const char *id) {
  if (BREAKS(EXTENSION_FOR_ALL)) return &hooks;
  if (BREAKS(EXTENSION_BY_PREFIX) && !strncmp(id, "billhook.", 9)) return &hooks;
  return NULL;
}

static const bh_plugin broken = {
    sizeof(bh_plugin), BH_HOOK_SCORER,
    BH_CAP_DETERMINISTIC | (CAN_OBSERVE ? BH_CAP_STREAMING | BH_CAP_MERGEABLE : BH_CAP_CHUNKED) |
        (CAN_OBSERVE ? 0 : BH_CAP_CONCURRENT | BH_CAP_GLOBAL_SCALE),
    (CAN_OBSERVE ? BH_NEED_RAW_IN : 0) |
        (BREAKS(MISSING_NEED_CRASHES) || BREAKS(MISSING_NEED_IS_INTERNAL) ? BH_NEED_IN_SQ_NORM : 0),
    "org.example.broken.scorer", plugin_name, "A broken scorer.", NULL, 1,
    BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL,
    BREAKS(TYPE_DECLARED_ONLY) ? 2 : 0, CAN_OBSERVE ? 1 : 0, params,
    BREAKS(TYPE_DECLARED_ONLY) ? dtypes : NULL, NULL, create, destroy,
    CAN_OBSERVE ? reset : NULL, CAN_OBSERVE ? save : NULL, CAN_OBSERVE ? load : NULL, &hooks,
    extension,
};
MODULE(broken)
