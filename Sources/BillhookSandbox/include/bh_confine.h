// What a worker process gives up before and after it loads a plugin.
//
// Everything here is one-way: nothing can be taken back, and new threads inherit it.
#ifndef BH_CONFINE_H
#define BH_CONFINE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// Limits of the process: `memory_bytes` of addresses in all, 64 open files, no file may be written,
// no core dump. Returns 0, or an errno.
int bh_limit_resources(uint64_t memory_bytes);

// The process dies with the thread that started it. Returns 0 or errno; ESRCH when the process
// `parent` is gone already.
int bh_end_with(int parent);

// The process gives up the rights of root, and can never gain any. Returns 0 or errno.
int bh_renounce_rights(void);

// The Landlock version of the kernel; 0 when there is none.
int bh_landlock_version(void);

// From now on only files below the `count` paths may be opened, for reading; nothing may be written,
// executed or removed; no TCP; no signals and abstract sockets to the outside where the kernel can.
//
// Paths that do not exist are left out. Not for a process with several threads. Returns the Landlock
// version in force (0: the kernel has none), or a negative errno.
int bh_restrict_files(const char *const *paths, uint64_t count);

// The system calls that a filter lets through.
#define BH_FILTER_LOADING 0  // no new programs or processes, no sockets, no touching of others
#define BH_FILTER_CALLING 1  // also no opening of files and no new executable memory

// Installs a filter for all threads. Refused are signals to other processes, changes of limits, and
// of the owner, rights, times and attributes of files. A new process or program, and a look into
// another process, end this process with SIGSYS; other forbidden calls fail with EPERM. Returns 1
// when it is in force, 0 when the kernel has no filters, or a negative errno.
int bh_filter_system_calls(int filter);

#ifdef __cplusplus
}
#endif
#endif
