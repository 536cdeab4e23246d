/* What the parts of the recording module tell each other: record.c (the lists of functions),
 * record_entry.c (one line of the recording), record_answer.c (what a call gave). request.c,
 * layout.c and frame.c are those of libukeypkcs11. */
#ifndef UKEY_RECORD_H
#define UKEY_RECORD_H

#include <stddef.h>
#include <stdlib.h>

#include "module.h"

/* How much of a call is written (UKEY_RECORD_LEVEL): nothing of its arguments, their shape and what
 * is no secret, all that a replay needs, everything. */
enum level { BARE, CALLS, REPLAY, TRAFFIC };

enum { GET_INFO = 3, FUNCTIONS = 104 };

/* A call while the recorded module carries it out. */
struct entry {
    struct call call;
    struct frame request;
    bool readable; /* whether the request could be written down */
    enum level level;
    unsigned long n;
    int64_t time, begun; /* in microseconds */
};

void entry_settings(void);
void entry_begin(struct entry *entry, unsigned number, const uint8_t *kinds,
                 const uintptr_t *words);
void entry_end(struct entry *entry, const char *function, CK_RV rv);
void entry_module(const char *path, const CK_INTERFACE *interfaces, CK_ULONG count);

bool is_left_out(const CK_ATTRIBUTE *attribute, const CK_ATTRIBUTE *attributes, CK_ULONG count,
                 enum level level);
void results_put(struct frame *frame, const struct call *call, const struct frame *request,
                 CK_RV rv, enum level level);

static inline void frame_release(struct frame *frame)
{
    frame_forget(frame);
    free(frame->bytes);
    *frame = (struct frame){0};
}

#endif
