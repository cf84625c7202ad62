#define _GNU_SOURCE
#include "bh_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Limits and rights ------------------------------------------------------------------------------

static int limit(int resource, uint64_t value) {
  struct rlimit now;
  if (getrlimit((__rlimit_resource_t)resource, &now) != 0) return errno;
  if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value) value = now.rlim_max;
  const struct rlimit wanted = {value, value};
  return setrlimit((__rlimit_resource_t)resource, &wanted) == 0 ? 0 : errno;
}

int bh_limit_resources(uint64_t memory_bytes) {
  int error = limit(RLIMIT_AS, memory_bytes);
  if (!error) error = limit(RLIMIT_NOFILE, 64);
  if (!error) error = limit(RLIMIT_FSIZE, 0);
  if (!error) error = limit(RLIMIT_CORE, 0);
  return error;
}

int bh_end_with(int parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return errno;
  // Who died before that line sends no signal.
  return getppid() == parent ? 0 : ESRCH;
}

int bh_renounce_rights(void) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  // Whoever runs the host as root has not meant the plugin to be it.
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &header, none) != 0) return errno;
  // Not dumpable: other processes of the user cannot look into it, and it writes no core.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return errno;
  return 0;
}

// Landlock ---------------------------------------------------------------------------------------

// Rights that newer kernels know and older headers do not.
#define RIGHT_REFER (1ULL << 13)     // version 2
#define RIGHT_TRUNCATE (1ULL << 14)  // version 3
#define RIGHT_IOCTL (1ULL << 15)     // version 5
#define RIGHTS_OF_VERSION_1 ((1ULL << 13) - 1)
#define TCP_RIGHTS 3ULL              // version 4: bind and connect
#define SCOPES 3ULL                  // version 6: abstract sockets and signals

// The kernel's struct as of version 6; an older kernel takes the first fields.
struct ruleset {
  uint64_t files, network, scopes;
};

int bh_landlock_version(void) {
  const long version =
      syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? (int)version : 0;
}

static int allow_reading(int ruleset, const char *path) {
  const int place = open(path, O_PATH | O_CLOEXEC);
  if (place < 0) return errno == ENOENT || errno == EACCES ? 0 : -errno;
  struct stat status;
  const int is_folder = fstat(place, &status) == 0 && S_ISDIR(status.st_mode);
  const struct landlock_path_beneath_attr rule = {
      .allowed_access =
          LANDLOCK_ACCESS_FS_READ_FILE | (is_folder ? LANDLOCK_ACCESS_FS_READ_DIR : 0),
      .parent_fd = place,
  };
  const long failed =
      syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  const int error = errno;
  close(place);
  return failed ? -error : 0;
}

int bh_restrict_files(const char *const *paths, uint64_t count) {
  const int version = bh_landlock_version();
  if (version == 0) return 0;
  struct ruleset rules = {RIGHTS_OF_VERSION_1, 0, 0};
  if (version >= 2) rules.files |= RIGHT_REFER;
  if (version >= 3) rules.files |= RIGHT_TRUNCATE;
  if (version >= 5) rules.files |= RIGHT_IOCTL;
  if (version >= 4) rules.network = TCP_RIGHTS;
  if (version >= 6) rules.scopes = SCOPES;
  const size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const long made = syscall(SYS_landlock_create_ruleset, &rules, size, 0);
  if (made < 0) return -errno;
  const int ruleset = (int)made;
  int result = 0;
  for (uint64_t i = 0; i < count && result == 0; i++) result = allow_reading(ruleset, paths[i]);
  if (result == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) result = -errno;
  close(ruleset);
  return result == 0 ? version : result;
}

// System calls -----------------------------------------------------------------------------------

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define LOAD(FIELD) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, FIELD))
#define LOAD_HIGH(FIELD) \
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, FIELD) + 4)
#define RETURN(VALUE) BPF_STMT(BPF_RET | BPF_K, VALUE)
#define REFUSE RETURN(SECCOMP_RET_ERRNO | EPERM)
#define KILL RETURN(SECCOMP_RET_KILL_PROCESS)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
// When the loaded word is `VALUE`, the next instruction applies; else it is passed over.
#define WHEN(VALUE) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VALUE, 0, 1)

#if defined(ARCHITECTURE)

static const uint32_t deadly[] = {
    SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
#if defined(SYS_fork)
    SYS_fork, SYS_vfork,
#endif
};

static const uint32_t refused[] = {
    SYS_socket,   SYS_socketpair, SYS_connect, SYS_bind,   SYS_listen, SYS_accept, SYS_accept4,
    SYS_setsid,   SYS_mount,      SYS_umount2, SYS_bpf,    SYS_keyctl, SYS_add_key,
    SYS_request_key, SYS_unshare, SYS_setns,   SYS_io_uring_setup, SYS_perf_event_open,
    SYS_userfaultfd, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_tkill, SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo, SYS_kexec_load, SYS_init_module, SYS_personality,
    // Landlock does not cover these changes of files.
    SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr,
    SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, SYS_mknodat, SYS_chroot,
    SYS_pivot_root, SYS_open_by_handle_at, SYS_name_to_handle_at,
#if defined(SYS_chmod)
    SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat, SYS_mknod,
#endif
#if defined(SYS_fchmodat2)
    SYS_fchmodat2,
#endif
    // Memory and queues that outlive the process, watching of files, other processes' standing.
    SYS_shmget, SYS_shmat, SYS_msgget, SYS_semget, SYS_mq_open, SYS_mq_unlink, SYS_inotify_init1,
    SYS_fanotify_init, SYS_pidfd_open, SYS_setpgid, SYS_setpriority, SYS_sched_setscheduler,
    SYS_sched_setparam, SYS_sched_setattr, SYS_ioprio_set, SYS_move_pages, SYS_migrate_pages,
    SYS_kcmp, SYS_setrlimit, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_settimeofday,
    SYS_clock_settime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_acct,
#if defined(SYS_inotify_init)
    SYS_inotify_init,
#endif
};

static const uint32_t refused_when_calling[] = {
    SYS_openat, SYS_openat2, SYS_unlinkat, SYS_renameat2, SYS_mkdirat, SYS_linkat, SYS_symlinkat,
    SYS_truncate, SYS_memfd_create, SYS_pkey_mprotect,
#if defined(SYS_open)
    SYS_open, SYS_creat, SYS_unlink, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_link, SYS_symlink,
    SYS_renameat,
#endif
};

static size_t append(struct sock_filter *program, size_t at, const uint32_t *calls, size_t count,
                     struct sock_filter action) {
  for (size_t i = 0; i < count; i++) {
    program[at++] = (struct sock_filter)WHEN(calls[i]);
    program[at++] = action;
  }
  return at;
}

#define COUNT(ARRAY) (sizeof(ARRAY) / sizeof((ARRAY)[0]))
#define APPEND(...)                                                  \
  do {                                                               \
    const struct sock_filter part[] = {__VA_ARGS__};                 \
    memcpy(program + n, part, sizeof part);                          \
    n += COUNT(part);                                                \
  } while (0)

int bh_filter_system_calls(int filter) {
  struct sock_filter program[1024];
  size_t n = 0;
  APPEND(LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), KILL, LOAD(nr));
#if defined(__x86_64__)
  // The x32 numbers are another way to the same calls.
  APPEND(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), KILL);
#endif
  n = append(program, n, deadly, COUNT(deadly), (struct sock_filter)KILL);
  n = append(program, n, refused, COUNT(refused), (struct sock_filter)REFUSE);
  // Its flags are in memory, where a filter cannot look; the C library then uses clone.
  APPEND(WHEN(SYS_clone3), RETURN(SECCOMP_RET_ERRNO | ENOSYS));
  if (filter == BH_FILTER_CALLING) {
    n = append(program, n, refused_when_calling, COUNT(refused_when_calling),
               (struct sock_filter)REFUSE);
    // mmap and mprotect of executable memory.
    APPEND(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0),
           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4), LOAD(args[2]),
           BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), REFUSE, ALLOW);
  }
  // Signals reach this process only, as abort() sends them, and limits are its own.
  APPEND(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 1, 0),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4), LOAD(args[0]),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1), ALLOW, REFUSE,
         // Limits may be read, and not changed: a null pointer has no bit in either half.
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 9), LOAD(args[0]),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), REFUSE, LOAD(args[2]),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2), LOAD_HIGH(args[2]),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), REFUSE, ALLOW,
         // To end with the host, and to be closed to other processes' looks, is not to be undone.
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 5), LOAD(args[0]),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PDEATHSIG, 1, 0),
         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_DUMPABLE, 0, 1), REFUSE, ALLOW);
  // A new thread of this process is fine, a new process is not.
  APPEND(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3), LOAD(args[0]),
         BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0), KILL, ALLOW);

  const struct sock_fprog code = {(unsigned short)n, program};
  const long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                              SECCOMP_FILTER_FLAG_TSYNC, &code);
  if (failed == 0) return 1;
  return errno == ENOSYS || errno == EINVAL ? 0 : -errno;
}

#else

int bh_filter_system_calls(int filter) {
  (void)filter;
  return 0;
}

#endif
