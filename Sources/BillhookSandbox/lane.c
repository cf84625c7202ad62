#define _GNU_SOURCE
#include "bh_lane.h"

#include <linux/futex.h>
#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(bh_lane) == BH_LANE_HEADER_BYTES, "both sides read the same header");
_Static_assert(BH_LANE_BYTES == 4096 + 2 * BH_LANE_AREA_BYTES, "a page and two areas");
_Static_assert(sizeof(bh_control) == 128, "both sides read the same header");

// Nanoseconds of spinning after which each round offers the core to others.
#define YIELD_AFTER 4000u

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

uint64_t bh_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t bh_flag_load(const uint32_t *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

void bh_flag_store(uint32_t *flag, uint32_t value) {
  __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

void bh_lane_pass(bh_lane *lane, uint32_t side) {
  // Sequentially consistent, as is the other side's look at `turn` after it raised `asleep`: one of
  // the two sees the other's write, so no wake-up is lost.
  __atomic_store_n(&lane->turn, side, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&lane->asleep, __ATOMIC_SEQ_CST) != 0) bh_lane_wake(lane);
}

void bh_lane_wake(bh_lane *lane) {
  syscall(SYS_futex, &lane->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int bh_lane_wait(bh_lane *lane, uint32_t side, const uint32_t *closed, uint64_t spin_nanoseconds,
                 uint64_t sleep_nanoseconds) {
  if (__atomic_load_n(&lane->turn, __ATOMIC_ACQUIRE) == side) return 1;
  if (spin_nanoseconds > 0) {
    const uint64_t start = bh_monotonic_nanoseconds();
    uint64_t now = start;
    do {
      // The clock costs more than a look at the word.
      for (int i = 0; i < 64; i++) {
        if (__atomic_load_n(&lane->turn, __ATOMIC_ACQUIRE) == side) return 1;
        pause_briefly();
      }
      // The other side may wait for this very core.
      if (now - start > YIELD_AFTER) sched_yield();
      now = bh_monotonic_nanoseconds();
    } while (now - start < spin_nanoseconds);
  }
  const struct timespec time = {(time_t)(sleep_nanoseconds / 1000000000u),
                                (long)(sleep_nanoseconds % 1000000000u)};
  __atomic_fetch_add(&lane->asleep, 1, __ATOMIC_SEQ_CST);
  const uint32_t turn = __atomic_load_n(&lane->turn, __ATOMIC_SEQ_CST);
  if (turn != side && bh_flag_load(closed) == 0)
    syscall(SYS_futex, &lane->turn, FUTEX_WAIT, turn, &time, NULL, 0);
  __atomic_fetch_sub(&lane->asleep, 1, __ATOMIC_SEQ_CST);
  return __atomic_load_n(&lane->turn, __ATOMIC_ACQUIRE) == side;
}
