// Says which plugin it was when this process dies, or ends, inside of one: a plugin in the host's
// own process takes the host with it, and without a word nobody would know why.
#ifndef BH_FAULT_MARK_H
#define BH_FAULT_MARK_H
#ifdef __cplusplus
extern "C" {
#endif

// What a thread is inside of. Both texts end with a zero byte and live as long as the mark is set;
// a null plugin is the host itself.
typedef struct bh_fault_mark {
  const char *plugin;
  const char *function;
} bh_fault_mark;

// Sets the calling thread's mark and returns the one before, to be set again after the call. [any]
bh_fault_mark bh_set_fault_mark(bh_fault_mark mark);

// From now on a crash on a marked thread is told on standard error, before it takes the way it
// would have taken without; and exit() on a marked thread is told and gives exit code 1. The second
// call does nothing. [any]
void bh_tell_faults(void);

#ifdef __cplusplus
}
#endif
#endif
