/* socket.c: the rack, in the place of the module's socket. */
#ifndef UKEY_FUZZ_SOCKET_H
#define UKEY_FUZZ_SOCKET_H

#include "module.h"
#include "wild.h"

/* What the module has sent for the function that is called: its frame. */
struct rack {
    struct frame request;
};

extern struct rack rack;

void socket_answer(unsigned number, struct source answer, bool framed, bool broken, unsigned manner);
void socket_be_good(void);
void socket_forget(void);

#endif
