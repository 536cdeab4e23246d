/* dial.c: one connection to the rack's socket; epoch.c: the number that the rack shares. */
#ifndef UKEY_DIAL_H
#define UKEY_DIAL_H

#include "module.h"

enum { IDENTITY_SIZE = 16 };

enum role { THREAD, ANCHOR };

enum patience { BRIEF = 10, LONG = 300, ENDLESS = 0 }; /* seconds for an answer */

int dial_rack(const uint8_t identity[IDENTITY_SIZE], enum role role, int *epoch);
void dial_tell(int socket, struct frame *told);
CK_RV dial_exchange(int socket, struct frame *told, struct frame *frame, bool *slow,
                    enum patience patience);

/* epoch.c */
void epoch_take(int descriptor);
void epoch_drop(void);
void epoch_end(void);
uint64_t epoch_now(void);

#endif
