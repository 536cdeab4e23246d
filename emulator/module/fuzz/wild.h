/* A call whose arguments are made from a fuzzer's bytes. */
#ifndef UKEY_FUZZ_WILD_H
#define UKEY_FUZZ_WILD_H

#include "module.h"

enum { MOST_PIECES = 512 };

/* Bytes that are used up from the front; where none is left they are 0. */
struct source {
    const uint8_t *bytes;
    size_t size;
};

/* One piece of the program's memory, exactly as long as its length says, so that a sanitizer sees
 * the first byte beyond. `before` is what stood there when the call began. */
struct piece {
    uint8_t *bytes, *before;
    size_t size;
    bool writable; /* whether an answer may write it */
};

struct wild {
    struct call call;
    uintptr_t words[MOST_ARGUMENTS];
    struct source source;
    size_t most_written; /* no answer can write more bytes than this */
    struct piece pieces[MOST_PIECES];
    unsigned count;
    bool full;
};

bool wild_make(struct wild *wild, unsigned choice, struct source source, size_t most_written);
bool wild_is_untouched(const struct wild *wild, bool inputs_alone);
void wild_free(struct wild *wild);

#endif
