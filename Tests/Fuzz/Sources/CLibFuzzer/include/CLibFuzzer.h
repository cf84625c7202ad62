#ifndef CLIBFUZZER_H
#define CLIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

// libFuzzer's loop, for programs with a `main` of their own. It takes its options from argv.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*test)(const uint8_t *data, size_t size));

// An empty file that lives in memory; negative when there is none.
int bh_fuzz_memory_file(void);

#endif
