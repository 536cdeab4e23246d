/* What libFuzzer calls, and replay.c where there is no libFuzzer. */
#ifndef UKEY_FUZZ_EXCHANGE_H
#define UKEY_FUZZ_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Where each call is told: words request size (0: not sent) and return value, then the request.
 * NULL: nowhere. */
extern FILE *record;

#endif
