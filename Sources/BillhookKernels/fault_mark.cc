#include "bh_fault_mark.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

thread_local bh_fault_mark current = {nullptr, nullptr};

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP};

// What was there before: nothing, or the backtracer of Swift.
struct sigaction earlier[NSIG];

// Writes the sentence; nothing here takes memory or a lock, for it runs in signal handlers.
void tell(const char *what) {
  const char *const parts[] = {
      "billhook: error: Plugin \"",
      current.plugin,
      "\" ",
      what,
      " \"",
      current.function != nullptr ? current.function : "?",
      "\", in Billhook's own process; it was trusted with that. "
      "Let it run in a worker (--isolation worker).\n",
  };
  constexpr int count = sizeof parts / sizeof *parts;
  iovec pieces[count];
  for (int i = 0; i < count; i++) {
    pieces[i].iov_base = const_cast<char *>(parts[i]);
    pieces[i].iov_len = strlen(parts[i]);
  }
  // Where standard error is closed, nobody wants to know.
  const ssize_t written = writev(STDERR_FILENO, pieces, count);
  static_cast<void>(written);
}

void on_fault(int number, siginfo_t *info, void *) {
  if (current.plugin != nullptr) tell("crashed in");
  current.plugin = nullptr;
  sigaction(number, &earlier[number], nullptr);
  // A fault of the processor happens again when the instruction is repeated, with the same
  // registers for whoever is next. What was raised, and a breakpoint, which is behind us, does not.
  if (info->si_code <= 0 || number == SIGABRT || number == SIGTRAP) raise(number);
}

void on_end() {
  if (current.plugin == nullptr) return;
  tell("ended the process in");
  fflush(nullptr);
  _exit(1);
}

bool install() {
  // Functions that are registered later run earlier, so this one comes after the library's own.
  atexit(on_end);
  for (const int number : signals) {
    if (sigaction(number, nullptr, &earlier[number]) != 0) continue;
    // Who ignores a signal wants to live.
    if (earlier[number].sa_handler == SIG_IGN) continue;
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, nullptr);
  }
  return true;
}

}  // namespace

bh_fault_mark bh_set_fault_mark(bh_fault_mark mark) {
  const bh_fault_mark before = current;
  current = mark;
  return before;
}

void bh_tell_faults(void) {
  static const bool installed = install();
  static_cast<void>(installed);
}
