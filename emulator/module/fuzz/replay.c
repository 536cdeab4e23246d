/* Runs the fuzz target on inputs from standard input, each behind a word with its length, with no
 * fuzzer at hand; what was sent, and what came of it, goes to standard output (exchange.h). */
#include <stdlib.h>

#include "exchange.h"

enum { LONGEST = 1024 * 1024 };

int main(void)
{
    uint64_t size;

    record = stdout;
    while (fread(&size, sizeof size, 1, stdin) == 1) {
        uint8_t *bytes = size <= LONGEST ? malloc(size ? size : 1) : NULL;
        if (!bytes || (size && fread(bytes, size, 1, stdin) != 1)) {
            fprintf(stderr, "an input of %llu bytes cannot be read\n", (unsigned long long)size);
            free(bytes);
            return 2;
        }
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    return fflush(stdout) == 0 ? 0 : 2;
}
