#define _GNU_SOURCE
#include "bh_process.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int bh_start_worker(const char *path, int socket, int errors, char *const *environment,
                    int *pidfd) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, errors, 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  posix_spawn_file_actions_adddup2(&actions, socket, BH_WORKER_SOCKET);
  posix_spawn_file_actions_addclosefrom_np(&actions, BH_WORKER_SOCKET + 1);
  // What the host ignores or blocks is not the worker's to inherit.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char *const arguments[] = {(char *)"billhook-worker", NULL};
  pid_t process = 0;
  const int error = posix_spawn(&process, path, &actions, &attributes, arguments, environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error) return -error;
  *pidfd = (int)syscall(SYS_pidfd_open, process, 0);
  if (*pidfd < 0) *pidfd = -1;
  return process;
}

int bh_message_sockets(int pair[2]) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return errno;
  // A worker that does not read must not stop the host.
  const struct timeval limit = {10, 0};
  setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return 0;
}

int bh_send_message(int socket, const void *bytes, uint64_t count, int fd) {
  struct iovec part = {(void *)(uintptr_t)bytes, count};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control.space;
    message.msg_controllen = sizeof control.space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  for (;;) {
    if (sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int64_t bh_receive_message(int socket, void *bytes, uint64_t capacity, int *fd) {
  struct iovec part = {bytes, capacity};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                           .msg_controllen = sizeof control.space};
  *fd = -1;
  ssize_t count;
  do {
    count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    // The padding has room for a second one, whoever sends it.
    const size_t held = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < held; i++) {
      int one;
      memcpy(&one, CMSG_DATA(header) + i * sizeof one, sizeof one);
      if (*fd < 0)
        *fd = one;
      else
        close(one);
    }
  }
  return count;
}

int bh_shared_memory(const char *name, uint64_t bytes) {
  const int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  if (ftruncate(fd, (off_t)bytes) == 0) return fd;
  close(fd);
  return -1;
}

int bh_seal_memory(int fd, int read_only) {
  int seals = F_SEAL_SHRINK | F_SEAL_GROW;
  if (read_only) seals |= F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  return fcntl(fd, F_ADD_SEALS, seals) == 0 ? 0 : errno;
}

int bh_wait_readable(const int *fds, int *ready, uint64_t count, int milliseconds) {
  struct pollfd polled[8];
  if (count > 8) return -EINVAL;
  for (uint64_t i = 0; i < count; i++) polled[i] = (struct pollfd){fds[i], POLLIN, 0};
  int found;
  do {
    found = poll(polled, count, milliseconds);
  } while (found < 0 && errno == EINTR);
  if (found < 0) return -errno;
  for (uint64_t i = 0; i < count; i++) ready[i] = polled[i].revents != 0;
  return found;
}

void bh_kill_group(int process) {
  if (process <= 1) return;
  kill(-process, SIGKILL);
  kill(process, SIGKILL);
}

int bh_reap(int process, int block, int *exit_code, int *signal) {
  int status = 0;
  siginfo_t information;
  memset(&information, 0, sizeof information);
  int failed;
  // Left unreaped, so that its number is nobody else's before its group is gone.
  do {
    failed = waitid(P_PID, (id_t)process, &information, WEXITED | WNOWAIT | (block ? 0 : WNOHANG));
  } while (failed != 0 && errno == EINTR);
  *exit_code = -1;
  *signal = 0;
  if (failed == 0 && information.si_pid == 0) return 0;
  if (failed == 0) kill(-process, SIGKILL);
  pid_t found;
  do {
    found = waitpid(process, &status, 0);
  } while (found < 0 && errno == EINTR);
  if (found == process && WIFEXITED(status)) *exit_code = WEXITSTATUS(status);
  if (found == process && WIFSIGNALED(status)) *signal = WTERMSIG(status);
  return 1;
}

int bh_pipe(int pair[2]) { return pipe2(pair, O_CLOEXEC) == 0 ? 0 : errno; }

int bh_library_of(const char *symbol, char *path, uint64_t capacity) {
  Dl_info info;
  void *const address = dlsym(RTLD_DEFAULT, symbol);
  if (!address || !dladdr(address, &info) || !info.dli_fname) return -1;
  const size_t length = strlen(info.dli_fname);
  if (length >= capacity) return -1;
  memcpy(path, info.dli_fname, length + 1);
  return 0;
}

int bh_runs_privileged(void) { return getauxval(AT_SECURE) != 0; }
