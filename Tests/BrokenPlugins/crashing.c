// A scorer that does what its parameter "mode" says, most of it forbidden, and loads well unless it
// is built with CRASHES_WHEN_LOADED. ON_LAYER restricts it to the layer of that name; with
// SAYS_LAYER it logs the name of each layer that it scores.
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "billhook/billhook.h"

#ifndef EXIT_CODE
#define EXIT_CODE 3
#endif

enum { GOOD, SEGFAULT, ABORT, EXIT, HANG, FORK, EXEC, MEMORY, PAST_END, BEFORE_START, FAR, INPUT,
       FLUSH, OPEN, SOCKET, SIGNAL, LIMIT, LOG, RANDOM, ONCE, HANG_IN_DESTROY,
       ABORT_IN_DESTROY, TERMINATE, CHMOD, CHOWN, TOUCH, RAISE_LIMIT, DEATH_SIGNAL, SHARED, ATTACH,
       PEEK, THAW, CLOSE, FLOOD, PRINT, THREADS, STOP, FAR_BEFORE, FAR_READ, RAISE };
static const char *const modes[] = {"good", "segfault", "abort", "exit", "hang", "fork", "exec",
                                    "memory", "past-end", "before-start", "far", "input", "flush",
                                    "open", "socket", "signal", "limit", "log", "random", "once",
                                    "hang-in-destroy", "abort-in-destroy", "terminate", "chmod",
                                    "chown", "touch", "raise-limit", "death-signal", "shared",
                                    "attach", "peek", "thaw", "close", "flood", "print", "threads",
                                    "stop", "far-before", "far-read", "raise"};

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call;
  *self = (void *)(intptr_t)(values[0].u.i64 + 1);
  return BH_OK;
}

static void destroy(void *self) {
  if ((int)(intptr_t)self - 1 == ABORT_IN_DESTROY) abort();
  while ((int)(intptr_t)self - 1 == HANG_IN_DESTROY) sleep(1);
}

static int64_t count_of(const bh_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
  return n;
}

static bh_status piece(bh_call *call, int64_t begin, int64_t end, void *context) {
  float *out = context;
  uint32_t words[64];
  const bh_status status =
      call->host->random(call, 3, (uint64_t)begin, words, (uint64_t)(end - begin));
  for (int64_t i = begin; i < end; i++) out[i] = (float)(words[i - begin] >> 8);
  return status;
}

static void *scribble(void *place) {
  float *out = place;
  for (unsigned i = 0;; i++) *(volatile float *)out = i % 2 ? 1.0f : NAN;
  return NULL;
}

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  const float *x = in->weight->data;
  float *out = scores_out->data;
  const int64_t n = count_of(scores_out);
  for (int64_t i = 0; i < n; i++) out[i] = fabsf(x[i]);
#if defined(SAYS_LAYER)
  call->host->log(call, BH_LOG_INFO, layer->name, strlen(layer->name));
#endif
#if defined(ON_LAYER)
  if (strcmp(layer->name, ON_LAYER) != 0) return BH_OK;
#endif
  switch ((int)(intptr_t)self - 1) {
    case SEGFAULT: *(volatile int *)8 = 1; break;
    case ABORT:
      fputs("last words\n", stderr);
      abort();
    case EXIT: exit(EXIT_CODE);
    case HANG:
      for (;;) sleep(1);
    case FORK: {
      const pid_t child = fork();
      if (child == 0) _exit(0);
      if (child > 0) waitpid(child, NULL, 0);
      break;
    }
    case EXEC: execl("/bin/true", "true", (char *)NULL); break;
    case MEMORY:
      for (int i = 0; i < 1000; i++) {
        char *block = malloc((size_t)1 << 30);
        if (!block) abort();
        memset(block, 1, 4096);
      }
      break;
    case PAST_END: out[n] = 1; break;
    case BEFORE_START: out[-1] = 1; break;
    case FAR: out[n + 4096] = 1; break;
    case FAR_BEFORE: {
      // In front of the block of 1 MiB that ends with the 64 bytes which the output ends in.
      const uintptr_t end = ((uintptr_t)(out + n) + 63) & ~(uintptr_t)63;
      ((float *)(end - ((uintptr_t)1 << 20)))[-1] = 1;
      break;
    }
    case FAR_READ: out[0] = *(volatile float *)&out[n + 4096]; break;
    case RAISE: raise(SIGSEGV); break;
    case INPUT: ((float *)in->weight->data)[0] = 1; break;
    case FLUSH:
#if defined(__x86_64__)
      _mm_setcsr(_mm_getcsr() | 0x8000);
#endif
      break;
    case OPEN: out[0] = open("/etc/passwd", O_RDONLY) < 0 ? 1 : 0; break;
    case SOCKET: out[0] = socket(AF_INET, SOCK_STREAM, 0) < 0 ? 1 : 0; break;
    case SIGNAL: out[0] = kill(getppid(), SIGTERM) < 0 ? 1 : 0; break;
    case LIMIT: {
      const struct rlimit none = {0, 0};
      out[0] = prlimit(getppid(), RLIMIT_NOFILE, &none, NULL) < 0 ? 1 : 0;
      break;
    }
    // What these change is as it was, should they succeed.
    case CHMOD: out[0] = chmod("/", 0755) < 0 ? 1 : 0; break;
    case CHOWN: out[0] = chown("/", 0, 0) < 0 ? 1 : 0; break;
    case TOUCH: out[0] = utimensat(AT_FDCWD, "/tmp", NULL, 0) < 0 ? 1 : 0; break;
    case RAISE_LIMIT: {
      struct rlimit files, more = {1024, 1024};
      const int known = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max == 64;
      out[0] = known && setrlimit(RLIMIT_NOFILE, &more) < 0 ? 1 : 0;
      break;
    }
    case DEATH_SIGNAL:
      out[0] = prctl(PR_SET_PDEATHSIG, 0) < 0 && prctl(PR_SET_DUMPABLE, 1) < 0 ? 1 : 0;
      break;
    case SHARED: out[0] = shmget(IPC_PRIVATE, 4096, 0600) < 0 ? 1 : 0; break;
    case ATTACH: ptrace(PTRACE_ATTACH, getppid(), NULL, NULL); break;
    case PEEK: {
      char byte;
      struct iovec here = {&byte, 1}, there = {(void *)layer, 1};
      process_vm_readv(getppid(), &here, 1, &there, 1, 0);
      break;
    }
    // Inputs cannot be made writable.
    case THAW: {
      const uintptr_t page = (uintptr_t)x & ~(uintptr_t)4095;
      out[0] = mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) < 0 ? 1 : 0;
      break;
    }
    case CLOSE:
      for (int fd = 0; fd < 64; fd++) close(fd);
      break;
    case FLOOD: {
      static char line[1000];
      memset(line, 'x', sizeof line);
      for (int i = 0; i < 30000; i++) call->host->log(call, BH_LOG_INFO, line, sizeof line);
      break;
    }
    case PRINT:
      for (int i = 0; i < 100000; i++) {
        puts("a line of 80 characters that nobody wants to read, over and over and over again");
        fputs("the same on the other stream\n", stderr);
      }
      break;
    // One that writes while the host reads, and goes on after the call.
    case THREADS: {
      static int is_running;
      pthread_t thread;
      if (!is_running && pthread_create(&thread, NULL, scribble, out) != 0) return BH_E_INTERNAL;
      is_running = 1;
      break;
    }
    case STOP: raise(SIGSTOP); break;
    case TERMINATE: raise(SIGTERM); break;
    case LOG: call->host->log(call, BH_LOG_WARNING, layer->name, strlen(layer->name)); break;
    case RANDOM: return call->host->parallel_for(call, n, 64, piece, out);
    case ONCE:
      if (layer->index == 1) abort();
      break;
    default: break;
  }
  return BH_OK;
}

static const bh_param mode = {sizeof(bh_param), BH_TYPE_CHOICE, 0, sizeof modes / sizeof *modes,
                              "mode", "What to do.", NULL, {BH_TYPE_CHOICE, 1, {0}}, 0, 0, modes};
static const bh_param *const params[] = {&mode};
static const bh_scorer hooks = {.struct_size = sizeof(bh_scorer), .score = score};
static const bh_plugin plugin = {
    .struct_size = sizeof(bh_plugin), .hook = BH_HOOK_SCORER,
#if defined(CHUNKED)
    .caps = BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED,
#elif defined(DETERMINISTIC)
    .caps = BH_CAP_DETERMINISTIC,
#endif
    .id = "org.example.crashing", .name = "Crashing", .summary = "Crashes.", .n_params = 1,
    .granularities = BH_GRANULARITY_BIT_ELEMENT, .params = params, .create = create,
    .destroy = destroy, .vtable = &hooks};
static const bh_plugin *const list[] = {&plugin};
static const bh_module module = {
    .magic = BH_MAGIC, .struct_size = sizeof(bh_module), .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR, .header_minor = BH_ABI_MINOR, .id = "org.example.crashing",
    .version = "1.0.0", .vendor = "Example", .license = "0BSD", .n_plugins = 1, .plugins = list};

#if defined(CRASHES_WHEN_LOADED)
__attribute__((constructor)) static void crash(void) { abort(); }
#endif

const bh_module *billhook_module_v1(void) { return &module; }
