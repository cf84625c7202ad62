// The plugins of conformance_*.c keep every rule, until one is compiled with -DBREAK=NAME: then it
// breaks the one rule that the name says.
#define _GNU_SOURCE
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sys/prctl.h>

#include "billhook/billhook.h"

enum {
  NOTHING,
  // The library
  LOAD_THREAD, LOAD_ENVIRONMENT, LOAD_DESCRIPTOR, LOAD_SIGNAL, LOAD_PRINTS, ENTRY_CHANGES,
  INIT_FAILS, FINI_CRASHES,
  EXTENSION_FOR_ALL, EXTENSION_BY_PREFIX, NAME_CHANGES, EXACT_SIZES, FOLLOWS_NEXT,
  NEEDS_EXTENSION, MISSING_EXTENSION_IS_INTERNAL,
  // Instances
  CREATE_LEAKS_MEMORY, CREATE_LEAKS_DESCRIPTOR, CREATE_FAILS, SHARED_STATE, PARAMETER_AS_INDEX,
  SCRATCH_UNCHECKED, SCRATCH_IGNORED, RANDOM_IGNORED, SAVE_IGNORES_WRITER,
  // Memory
  WRITES_INPUT, WRITES_BEHIND, WRITES_BEFORE, READS_BEHIND, LEAVES_ONE_OUT, KEEPS_POINTER,
  NEEDS_ALIGNMENT, TYPE_DECLARED_ONLY,
  // Numbers
  EMPTY_CRASHES, ONE_ELEMENT_FAILS, NAN_HANGS, INDEX_OVERFLOWS,
  // Determinism
  REPEAT_DIFFERS, THREADS_DIFFER, ORDER_DIFFERS, SEED_UNUSED, SHARED_BUFFER, LAYERS_COUNTED,
  THREAD_LOCAL_STATE,
  // The process
  CANCEL_IGNORED, CANCEL_THEN_CRASH, ROUNDING_CHANGED, CREATE_CHANGES_ROUNDING, ENVIRONMENT_CHANGED,
  ENVIRONMENT_CLEARED,
  FOLDER_CHANGED, SIGNAL_CHANGED, LOCALE_CHANGED, DESCRIPTOR_LEFT, FILE_LEFT, THREAD_LEFT, PRINTS,
  PROCESS_LEFT, PROCESS_WAITED_FOR,
  FAILS_SILENTLY, EXITS,
  // State
  SAVES_ADDRESS, WRITES_ONCE, READS_ONCE, EMPTY_STATE_CRASHES, RANDOM_STATE_CRASHES,
  TRUNCATED_STATE_CRASHES, FLIPPED_STATE_CRASHES, VERSION_IGNORED, RESET_FORGETS_NOTHING,
  LAST_BATCH_WINS, MERGE_FORGETS, PIECES_DIFFER, KNOWS_WHERE_IT_RUNS,
  // Scores
  SCORE_INFINITE, CHANNELS_UNSUPPORTED, LOOKS_AT_UNDECLARED, MISSING_NEED_CRASHES,
  MISSING_NEED_IS_INTERNAL, SCORES_BEFORE_OBSERVE, ZERO_IS_HIGHEST, GLOBAL_BUT_NORMALISED,
  // Losses
  MEAN_NOT_SUM, WRONG_SIGN, ADDS_TO_GRADIENT, NEEDS_GRADIENT, NEEDS_LABELS, IGNORED_IS_NAN,
  EXP_OVERFLOWS, FEATURE_GRADIENT_MISSING, SCALED_TWICE, LIKES_DIFFERENCE, POSITION_COUNTS,
  // Quantizers
  LAYOUT_CHANGES, AXIS_OUT_OF_RANGE, SCALE_ZERO, ZERO_POINT_NOT_ZERO, INTEGER_OUT_OF_RANGE,
  TRUNCATES, GRID_MOVES, CONSTANT_BREAKS, ZERO_BREAKS, BITS_IGNORED, DEQUANT_NOT_EXACT,
  QUANT_NOT_EXACT, UNPACK_LOSES, FAKE_IS_IDENTITY, REMEMBERS_CALIBRATION, GRADIENT_EVERYWHERE,
};

#ifndef BREAK
#define BREAK NOTHING
#endif
#define BREAKS(name) (BREAK == (name))

static inline bh_status say(bh_call *call, bh_status status, const char *text) {
  return call->host->fail(call, status, text, strlen(text));
}

static inline int64_t count_of(const bh_tensor *t) {
  int64_t n = 1;
  for (int32_t i = 0; i < t->ndim; i++) n *= t->shape[i];
  return n;
}

// What is done to the process, by loading the library or by a call.
static inline void *sleeper(void *unused) {
  (void)unused;
  sleep(5);
  return NULL;
}

static inline void start_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, sleeper, NULL);
  pthread_detach(thread);
}

static inline void on_signal(int number) { (void)number; }

__attribute__((constructor)) static void loaded(void) {
  if (BREAKS(LOAD_THREAD)) start_thread();
  if (BREAKS(LOAD_ENVIRONMENT)) setenv("BILLHOOK_BROKEN", "1", 1);
  if (BREAKS(LOAD_DESCRIPTOR)) open("/dev/zero", O_RDONLY);
  if (BREAKS(LOAD_SIGNAL)) signal(SIGUSR1, on_signal);
  if (BREAKS(LOAD_PRINTS)) puts("broken: loaded");
}

static inline void disturb_process(void) {
  if (BREAKS(ROUNDING_CHANGED)) fesetround(FE_UPWARD);
  if (BREAKS(ENVIRONMENT_CHANGED)) setenv("BILLHOOK_BROKEN", "1", 1);
  if (BREAKS(ENVIRONMENT_CLEARED)) clearenv();
  if (BREAKS(FOLDER_CHANGED) && chdir("/")) return;
  if (BREAKS(SIGNAL_CHANGED)) signal(SIGUSR1, on_signal);
  if (BREAKS(LOCALE_CHANGED)) setlocale(LC_ALL, "C.UTF-8");
  if (BREAKS(DESCRIPTOR_LEFT)) open("/dev/zero", O_RDONLY);
  if (BREAKS(FILE_LEFT)) close(open("billhook-was-here", O_CREAT | O_WRONLY, 0600));
  if (BREAKS(THREAD_LEFT)) start_thread();
  if (BREAKS(PROCESS_LEFT) && fork() == 0) _exit(0);
  if (BREAKS(PROCESS_WAITED_FOR)) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (child > 0) waitpid(child, NULL, 0);
  }
  if (BREAKS(PRINTS)) puts("broken: scoring");
  if (BREAKS(EXITS)) exit(0);
}

#if defined(__GNUC__)
#define UNUSED __attribute__((unused))
#endif

// The module around one plugin.
static UNUSED char plugin_name[] = "Broken";

static UNUSED bh_status init(const bh_host *host) {
  (void)host;
  return BREAKS(INIT_FAILS) ? BH_E_INTERNAL : BH_OK;
}

static UNUSED void fini(void) {
  if (BREAKS(FINI_CRASHES)) abort();
}

#define MODULE(PLUGIN)                                                                             \
  static const bh_plugin *const plugins[] = {&PLUGIN};                                             \
  static bh_module module = {                                                                      \
      BH_MAGIC, sizeof(bh_module), BH_ABI_MAJOR, BH_TARGET_MINOR, BH_ABI_MINOR, 0,                 \
      "org.example.broken", "1.0.0", "Example", "0BSD", NULL, 1, plugins, init, fini,              \
  };                                                                                               \
  const bh_module *billhook_module_v1(void) {                                                      \
    if (!BREAKS(ENTRY_CHANGES)) return &module;                                                    \
    bh_module *copy = malloc(sizeof module);                                                       \
    memcpy(copy, &module, sizeof module);                                                          \
    return copy;                                                                                   \
  }

#ifdef EXPORTS_MORE
__attribute__((visibility("default"))) int billhook_more;
#endif
