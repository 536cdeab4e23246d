/* dial.c: one connection to the rack's socket. */
#ifndef UKEY_DIAL_H
#define UKEY_DIAL_H

#include "module.h"

enum { IDENTITY_SIZE = 16 };

enum role { THREAD, ANCHOR };

enum patience { BRIEF = 10, LONG = 300, ENDLESS = 0 }; /* seconds for an answer */

int dial_rack(const uint8_t identity[IDENTITY_SIZE], enum role role);
CK_RV dial_exchange(int socket, struct frame *frame, enum patience patience);

#endif
