// Memory of a worker between pages that nobody can touch, and what a crash there tells the host.
#ifndef BH_GUARD_H
#define BH_GUARD_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// What was done where it must not be.
#define BH_FAULT_NONE 0u
#define BH_FAULT_READ 1u
#define BH_FAULT_WRITE 2u
#define BH_FAULT_UNKNOWN 3u  // a read or a write: this machine does not say which

// Where it was done.
#define BH_FAULT_BEFORE 0u  // before the block's first byte
#define BH_FAULT_INSIDE 1u  // in a block that can only be read
#define BH_FAULT_BEHIND 2u  // behind the block's last byte

// A touch of memory that ended the worker. The worker can write it: what it says may be a lie.
typedef struct bh_fault {
  uint32_t access;  // BH_FAULT_NONE to BH_FAULT_UNKNOWN
  uint32_t place;   // BH_FAULT_BEFORE to BH_FAULT_BEHIND
  uint32_t block;   // the number that bh_map_guarded was given
} bh_fault;

// Maps `bytes` of shared memory between 64 KiB on each side that nobody can touch, as number
// `block` of faults. Null on failure.
void *bh_map_guarded(int fd, uint64_t bytes, int writable, uint32_t block);

// From now on a crash at or beside a block of bh_map_guarded is written to `fault`, once, before the
// signal ends the process as it would anyway. Returns 0 or errno.
int bh_tell_guard_faults(bh_fault *fault);

#ifdef __cplusplus
}
#endif
#endif
