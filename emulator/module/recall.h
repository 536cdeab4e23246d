/* recall.c: answers that a thread knows already. */
#ifndef UKEY_RECALL_H
#define UKEY_RECALL_H

#include <stdatomic.h>

#include "module.h"

enum { KNOWN = 64, MOST_KNOWN = 1024 }; /* answers that are kept, and the bytes of each */
enum { OPERATIONS = 4 };                /* encrypt, decrypt, digest, sign */

/* A request and its answer, one frame behind the other. */
struct known {
    uint64_t epoch; /* that the answer holds in */
    size_t request, answer;
    uint8_t *frames;
};

struct recall {
    uint64_t epoch;         /* before the call that is under way; 0: nothing is to be kept */
    struct known answers[KNOWN];
    struct known *learning; /* what the call that is under way will fill in */
    struct known length;    /* that the output of the operation will have */
    uint64_t began, length_began; /* hash of the request that began an operation; 0: none */
    uint64_t began_epoch, session;
    unsigned whole;         /* the function that does this operation in one part */
    struct idle { uint64_t epoch, session; } idle[OPERATIONS]; /* where none is under way */
    bool goes_on;           /* a further call of the operation will meet the rack */
    struct frame untold;    /* calls that were answered here, for the rack */
    bool may_promise;       /* nobody else could see that a promised call is still to be made */
    atomic_bool promised;   /* one of the untold calls is */
};

bool recall_find(struct recall *recall, const struct call *call, const struct frame *request,
                 uint64_t epoch, struct reader *answer);
void recall_take_back(struct recall *recall, const struct frame *request);
void recall_learn(struct recall *recall, const struct call *call, const struct frame *answer);
void recall_forget(struct recall *recall);

#endif
