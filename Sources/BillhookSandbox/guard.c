#define _GNU_SOURCE
#include "bh_guard.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

// Wide enough for an index that is wrong by some thousand elements; a multiple of all page sizes.
#define GUARD_BYTES ((uint64_t)1 << 16)

// Blocks that are told apart; a worker that gets more crashes without a reason.
#define BLOCK_COUNT 1024u

typedef struct block {
  uintptr_t start;
  uint64_t bytes;
  uint32_t number;
} block;

// Written by one thread, and read by the handler up to `count`.
static block blocks[BLOCK_COUNT];
static uint32_t count;
static bh_fault *told;

void *bh_map_guarded(int fd, uint64_t bytes, int writable, uint32_t number) {
  char *room = mmap(NULL, bytes + 2 * GUARD_BYTES, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return NULL;
  void *place = mmap(room + GUARD_BYTES, bytes, PROT_READ | (writable ? PROT_WRITE : 0),
                     MAP_SHARED | MAP_FIXED, fd, 0);
  if (place == MAP_FAILED) {
    munmap(room, bytes + 2 * GUARD_BYTES);
    return NULL;
  }
  if (count < BLOCK_COUNT) {
    blocks[count] = (block){(uintptr_t)place, bytes, number};
    __atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
  }
  return place;
}

static uint32_t access_of(const void *context) {
#if defined(__x86_64__)
  // Bit 1 of the page fault's error code.
  const ucontext_t *machine = context;
  return machine->uc_mcontext.gregs[REG_ERR] & 2 ? BH_FAULT_WRITE : BH_FAULT_READ;
#else
  (void)context;
  return BH_FAULT_UNKNOWN;
#endif
}

static void tell(uintptr_t address, const void *context) {
  const uint32_t known = __atomic_load_n(&count, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < known; i++) {
    const block it = blocks[i];
    const uintptr_t end = it.start + it.bytes;
    if (address < it.start - GUARD_BYTES || address >= end + GUARD_BYTES) continue;
    told->block = it.number;
    told->place = address < it.start ? BH_FAULT_BEFORE
                  : address < end    ? BH_FAULT_INSIDE
                                     : BH_FAULT_BEHIND;
    __atomic_store_n(&told->access, access_of(context), __ATOMIC_RELEASE);
    return;
  }
}

// The signal's own effect is back when this runs: a fault repeats and ends the process, and a signal
// that somebody sent is sent again.
static void on_fault(int number, siginfo_t *information, void *context) {
  if (information->si_code <= 0) {
    raise(number);
    return;
  }
  tell((uintptr_t)information->si_addr, context);
}

int bh_tell_guard_faults(bh_fault *fault) {
  told = fault;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | (int)SA_RESETHAND;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGSEGV, &action, NULL) == 0 ? 0 : errno;
}
