// A lane: two processes that take turns in a shared page, one call at a time.
//
// The words around `turn` belong to whoever has the turn. Waiting spins first, because the answer to
// a short call comes within microseconds, and then sleeps in the kernel (futex).
#ifndef BH_LANE_H
#define BH_LANE_H
#include <stdint.h>

#include "bh_guard.h"
#ifdef __cplusplus
extern "C" {
#endif

#define BH_LANE_HOST 0u    // the host has the turn
#define BH_LANE_WORKER 1u  // the worker has the turn

// Bytes of one lane in the shared memory, and where its two areas start.
#define BH_LANE_HEADER_BYTES 128u
#define BH_LANE_AREA_BYTES 262144u
#define BH_LANE_BYTES 528384u  // a page and two areas
#define BH_LANE_REQUEST_OFFSET 4096u
#define BH_LANE_REPLY_OFFSET 266240u

// The first bytes of a lane. Only `turn` and `asleep` are touched by both sides at once.
typedef struct bh_lane {
  uint32_t turn;           // BH_LANE_HOST or BH_LANE_WORKER; a futex
  uint32_t asleep;         // the number of sides that sleep or are about to
  uint32_t kind;           // what the side that passed the turn wants: the protocol's words
  uint32_t request_bytes;  // valid bytes of the request area
  uint32_t reply_bytes;    // valid bytes of the reply area
  uint32_t reserved[27];   // 0
} bh_lane;

// The first bytes of the control memory, before the lanes.
typedef struct bh_control {
  uint32_t cancelled;     // not 0 when the user wants to stop
  uint32_t closed;        // not 0 when the worker is to end, or has ended
  bh_fault fault;         // what ended the worker, by its own account
  uint32_t reserved[27];  // 0
} bh_control;

// Gives the turn to `side` and wakes it if it sleeps. All earlier writes are visible to it.
void bh_lane_pass(bh_lane *lane, uint32_t side);

// Waits until `side` has the turn, `closed` is not 0, or the time is over.
//
// Spins for `spin_nanoseconds`, then sleeps for at most `sleep_nanoseconds`. Returns 1 when `side`
// has the turn, else 0.
int bh_lane_wait(bh_lane *lane, uint32_t side, const uint32_t *closed, uint64_t spin_nanoseconds,
                 uint64_t sleep_nanoseconds);

// Wakes everybody who waits in the lane, whoever has the turn.
void bh_lane_wake(bh_lane *lane);

// Reads and writes of a flag that both sides see.
uint32_t bh_flag_load(const uint32_t *flag);
void bh_flag_store(uint32_t *flag, uint32_t value);

// Nanoseconds since some moment.
uint64_t bh_monotonic_nanoseconds(void);

#ifdef __cplusplus
}
#endif
#endif
