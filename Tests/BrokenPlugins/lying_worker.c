// A worker program that says of its library what the file NAME.json beside it holds, and then treats
// calls as NAME.mode says: "hang", "noise", "flip" or "messages", and a seed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SOCKET = 3, CONFINED = 3, PIECE, LOADED, REFUSED, READY, LOG };
enum { LANE = 528384, REPLY = 266240, AREA = 262144 };

static uint64_t head[5];  // of the host's first message: magic and version are its own
static char *lanes;
static long lane_count;
static uint64_t state;

static uint32_t next(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}

static void say(uint64_t message, const char *text, uint64_t size) {
  static char bytes[65536];
  const uint64_t header[5] = {head[0], head[1], message, 0, size};
  memcpy(bytes, header, 40);
  memcpy(bytes + 40, text, size);
  send(SOCKET, bytes, (40 + size + 7) & ~7ull, MSG_NOSIGNAL);
}

static uint32_t *word(long lane, int index) { return (uint32_t *)(lanes + lane * LANE) + index; }

static void *flip(void *unused) {
  for (;;) {
    for (long i = 0; i < lane_count; i++) {
      *word(i, 2) = next();
      *word(i, 4) = next();
      lanes[i * LANE + REPLY + next() % 256] = (char)next();
    }
  }
  return unused;
}

static void serve(int is_noise) {
  // What a worker may answer: small numbers are more dangerous than any.
  static const uint64_t odd[] = {0, 1, 2, 8, 64, 0x7fffffff, 0xffffffff, 1ull << 40, 1ull << 47,
                                 1ull << 62, 1ull << 63, ~0ull};
  for (;;) {
    for (long i = 0; i < lane_count; i++) {
      if (__atomic_load_n(word(i, 0), __ATOMIC_ACQUIRE) != 1) continue;
      uint64_t *reply = (uint64_t *)(lanes + i * LANE + REPLY);
      const int is_creation = *word(i, 2) == 1;
      memset(reply, 0, 256);
      if (is_creation) {
        reply[3] = 1;
      } else if (is_noise) {
        for (int k = 0; k < 32; k++) reply[k] = next() % 3 ? odd[next() % 12] : next();
      }
      *word(i, 2) = is_noise && !is_creation && next() % 4 == 0 ? 6 + next() % 2 : 5;
      *word(i, 4) = is_creation ? 32 : is_noise ? (uint32_t)odd[next() % 12] : 256;
      __atomic_store_n(word(i, 0), 0, __ATOMIC_SEQ_CST);
      syscall(SYS_futex, word(i, 0), FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
  }
}

static long read_file(const char *name, const char *suffix, char *to, long capacity) {
  char path[4096];
  snprintf(path, sizeof path, "%s%s", name, suffix);
  const int file = open(path, O_RDONLY);
  const long count = file < 0 ? 0 : read(file, to, capacity - 1);
  to[count > 0 ? count : 0] = 0;
  return count;
}

int main(void) {
  static char order[65536], text[1 << 20], mode[64], name[4096];
  char control[64];
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a killed test must not leave it spinning
  struct iovec part = {order, sizeof order - 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  if (recvmsg(SOCKET, &message, 0) < 40) return 1;
  memcpy(head, order, 40);
  int memory = -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_type == SCM_RIGHTS) memcpy(&memory, CMSG_DATA(c), sizeof memory);
  const char *count = strstr(order + 40, "\"laneCount\":");
  lane_count = count ? strtol(count + 12, NULL, 10) : 0;
  struct stat size;
  if (fstat(memory, &size) != 0) return 1;
  char *all = mmap(NULL, (size_t)size.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  lanes = all + size.st_size - lane_count * LANE;
  if (readlink("/proc/self/exe", name, sizeof name - 1) < 0) return 1;
  long rest = read_file(name, ".json", text, sizeof text);
  read_file(name, ".mode", mode, sizeof mode);
  const char *blank = strchr(mode, ' ');
  state = blank ? strtoull(blank, NULL, 10) : 0;

  static const char confined[] =
      "{\"filtersSystemCalls\":true,\"landlockVersion\":9,\"memoryBytes\":1}";
  say(CONFINED, confined, sizeof confined - 1);
  const char *at = text;
  for (; rest > 30000; rest -= 30000, at += 30000) say(PIECE, at, 30000);
  say(LOADED, at, (uint64_t)rest);
  say(READY, "", 0);
  if (!strncmp(mode, "messages", 8)) {
    for (int i = 0; i < 200; i++) {
      for (int k = 0; k < 200; k++) text[k] = (char)next();
      say(next() % 16, text, next() % 200);
    }
  }
  pthread_t thread;
  if (!strncmp(mode, "flip", 4)) pthread_create(&thread, NULL, flip, NULL);
  if (strncmp(mode, "hang", 4)) serve(!strncmp(mode, "noise", 5));
  for (;;) pause();
}
