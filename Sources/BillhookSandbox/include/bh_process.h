// Starting a worker, and handing memory to it.
#ifndef BH_PROCESS_H
#define BH_PROCESS_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// Descriptors that a worker starts with, beside 0 (/dev/null), 1 and 2 (its error output).
#define BH_WORKER_SOCKET 3

// Starts `path` in a process group of its own with `socket` as descriptor 3 and `errors` as 1 and 2;
// every other descriptor is closed. `environment` ends with null. Returns the process's id and its
// descriptor (pidfd, or -1 without one) in `pidfd`, or a negative errno.
int bh_start_worker(const char *path, int socket, int errors, char *const *environment,
                    int *pidfd);

// A pair of message sockets, closed on exec; the first is the host's, where sending waits for at
// most 10 s. Returns 0 or errno.
int bh_message_sockets(int pair[2]);

// Sends one message, with a descriptor unless `fd` is -1. Returns 0 or errno.
int bh_send_message(int socket, const void *bytes, uint64_t count, int fd);

// Receives one message of at most `capacity` bytes; `fd` gets its descriptor or -1.
//
// Returns the number of bytes, 0 at the end of the connection, or a negative errno.
int64_t bh_receive_message(int socket, void *bytes, uint64_t capacity, int *fd);

// Memory without a name, of a fixed size; -1 when there is none.
int bh_shared_memory(const char *name, uint64_t bytes);

// Nobody may resize it; with `read_only`, nobody may map it for writing from now on. Returns 0 or
// errno.
int bh_seal_memory(int fd, int read_only);

// Waits until a descriptor can be read or its other end is gone, at most `milliseconds` (-1: for
// ever). `ready` gets 1 for each that is. Returns the number, or a negative errno.
int bh_wait_readable(const int *fds, int *ready, uint64_t count, int milliseconds);

// Kills the process group of a worker and the worker.
void bh_kill_group(int process);

// Waits for the end of a worker. `exit_code` gets its exit status or -1, `signal` the signal that
// ended it or 0. Returns 1 when it has ended, 0 when it runs still and `block` is 0.
int bh_reap(int process, int block, int *exit_code, int *signal);

// A pipe, closed on exec. Returns 0 or errno.
int bh_pipe(int pair[2]);

// Writes the path of the loaded library that offers `symbol`, ended with 0. Returns 0, or -1 when
// nobody does or the path is too long.
int bh_library_of(const char *symbol, char *path, uint64_t capacity);

// True when this program runs with more rights than its user's: the environment is not to be
// believed.
int bh_runs_privileged(void);

#ifdef __cplusplus
}
#endif
#endif
