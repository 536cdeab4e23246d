/* The fuzz target of the module: one call with wild arguments, and whatever a rack may answer. The
 * module is all there, from C_Initialize to C_Finalize; only its socket is not: the rack is here.
 *
 * An input is one byte that picks the function, one byte for the manner in which the answer comes,
 * two bytes with the length of the part that makes the arguments, that part, the answer. */
#define _GNU_SOURCE
#include "exchange.h"

#include <stdlib.h>

#include "socket.h"
#include "wild.h"

enum {
    HEAD = 4,
    FRAMED = 0x80, /* manner: the answer's header is made to fit, the input has the payload alone */
    BROKEN = 0x40, /* manner: the connection ends with a fault, not orderly */
};

FILE *record;

/* For replay.c: the request and the return value. */
static void tell(CK_RV rv)
{
    uint64_t head[2] = {rack.request.size, rv};

    if (record) {
        fwrite(head, sizeof head, 1, record);
        if (rack.request.size)
            fwrite(rack.request.bytes, rack.request.size, 1, record);
    }
}

/* Whether a return value is the module's own word on a broken answer. */
static bool is_refusal(CK_RV rv, struct source answer)
{
    CK_RV given = CKR_OK;

    if (answer.size >= sizeof given)
        memcpy(&given, answer.bytes, sizeof given);
    return rv != given &&
           (rv == CKR_DEVICE_ERROR || rv == CKR_DEVICE_REMOVED || rv == CKR_HOST_MEMORY);
}

static void call(struct wild *wild, uint8_t manner, struct source answer)
{
    typedef CK_RV function(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                           uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);
    const uintptr_t *w = wild->words;
    CK_INTERFACE *newest;
    function *called;
    CK_RV rv;

    if (C_Initialize(NULL) != CKR_OK || C_GetInterface(NULL, NULL, &newest, 0) != CKR_OK)
        abort();
    socket_answer(wild->call.number, answer, manner & FRAMED, manner & BROKEN, manner & (BROKEN - 1));
    /* a list is its version, as long as a pointer, then the functions in order */
    memcpy(&called, (char *)newest->pFunctionList + wild->call.number * sizeof called, sizeof called);
    rv = called(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11]);
    if (!wild_is_untouched(wild, !is_refusal(rv, answer)))
        abort(); /* a broken answer writes nothing, a good one writes no input */
    tell(rv);
    socket_be_good();
    if (C_Finalize(NULL) != CKR_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct wild wild;
    size_t arguments;

    if (size < HEAD)
        return -1;
    setenv("UKEY_HOME", "/nowhere", 1);
    arguments = bytes[2] | (size_t)bytes[3] << 8;
    if (arguments > size - HEAD)
        arguments = size - HEAD;
    struct source answer = {bytes + HEAD + arguments, size - HEAD - arguments};
    if (wild_make(&wild, bytes[0], (struct source){bytes + HEAD, arguments}, answer.size))
        call(&wild, bytes[1], answer);
    else
        tell(CKR_HOST_MEMORY);
    wild_free(&wild);
    socket_forget();
    return 0;
}
