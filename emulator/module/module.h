/* What the parts of the module tell each other. The layers, from below: frame.c (bytes),
 * connection.c (the rack's socket, threads, forks), request.c and answer.c (arguments and results
 * on the wire), libukeypkcs11.c (the functions). */
#ifndef UKEY_MODULE_H
#define UKEY_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cryptoki.h"

enum {
    PROTOCOL_VERSION = 1,
    HEADER_SIZE = 6, /* version, function number, length of the payload */
    FRAME_LIMIT = 256 * 1024 * 1024,
    MOST_ARGUMENTS = 12, /* of a C function */
    DEEPEST = 4,         /* templates inside templates */
    MOST_ATTRIBUTES = 65536,            /* of one template */
    MOST_PARAMETER = 16 * 1024 * 1024,  /* bytes of a mechanism's parameter, or behind a pointer in it */
    HELLO = 0,
    SETTLE = 1,
    FINALIZE = 2,
    TOLD = 0x80, /* in the number of a function: the module has answered this call */
};

#define NULL_WORD UINT64_MAX
#define NO_BUFFER_WORD (UINT64_MAX - 1)

/* What an argument is to the wire: the words of functions.def. */
enum kind {
    K_END, K_MORE, K_LOCALLY, K_UNSENT, K_SLOT, K_SESSION, K_ULONG, K_BOOL, K_DATA,
    K_OPTIONAL_DATA, K_PIN, K_LABEL, K_NAME, K_TEMPLATE, K_MECHANISM, K_WRAP_MECHANISM,
    K_SEAL_MECHANISM, K_OPEN_MECHANISM, K_RESERVED,
    K_DATA_OUT, K_FILL, K_ULONG_OUT, K_LIST_OUT, K_FOUND_OUT, K_SLOT_INFO, K_TOKEN_INFO,
    K_SESSION_INFO, K_MECHANISM_INFO, K_QUERY, K_SEAL_PARAMETER, K_OPEN_PARAMETER,
};

/* A call on its way: the C arguments, each as a word, and what they are. */
struct call {
    unsigned number;
    const uint8_t *kinds;               /* one for each C argument, then K_END */
    const uintptr_t *words;
    CK_ULONG capacity[MOST_ARGUMENTS];  /* of the outputs, as they were sent */
};

/* Bytes to be sent or received. `failed` stays set once memory has run out. */
struct frame {
    uint8_t *bytes;
    size_t size, capacity;
    bool failed;
};

bool frame_reserve(struct frame *frame, size_t capacity);
void frame_put(struct frame *frame, const void *bytes, size_t size);
void frame_put_word(struct frame *frame, uint64_t word);
void frame_begin(struct frame *frame, unsigned number);
void frame_end(struct frame *frame);
void frame_forget(struct frame *frame);

/* The part of an answer that is not read yet. `bad` stays set once something did not fit. */
struct reader {
    const uint8_t *bytes;
    size_t size;
    bool bad;
};

uint64_t reader_word(struct reader *reader);
const uint8_t *reader_bytes(struct reader *reader, uint64_t size);

/* layout.c: structs that hold pointers, as parameters.def has them. */
enum member {
    M_END, M_NUMBER, M_BYTE, M_BYTES, M_LENGTH_BYTES, M_BITS, M_BYTES_8, M_BYTES_16, M_POINTER_8,
    M_ITEMS, M_OAEP_POINTER, M_SKIPPED, M_IV, M_TAG, M_TAG_BITS, M_TAG_16,
    M_PASSWORD,
};

struct layout {
    size_t size;
    uint8_t members[12];
};

/* One member of a struct: a number, or bytes with the length that stands beside their pointer. */
struct field {
    enum member member;
    uint8_t *bytes;
    uint64_t size;   /* of the bytes */
    uint64_t number; /* the number, or the length as it stands in the struct */
};

const struct layout *layout_of_mechanism(CK_MECHANISM_TYPE mechanism, CK_ULONG size,
                                         bool authenticated);
const struct layout *layout_of_message(CK_ULONG size);
const struct layout *layout_oaep(void);
struct field layout_field(const struct layout *layout, unsigned index, const void *base);
bool mechanism_has_layout(CK_MECHANISM_TYPE mechanism);
bool layout_fits(const struct layout *layout, const void *base);
bool is_template_attribute(CK_ATTRIBUTE_TYPE type);

/* request.c and answer.c */
CK_RV request_put(struct frame *frame, struct call *call);
CK_RV answer_take(struct reader *reader, const struct call *call);

/* connection.c */
unsigned module_life(void); /* odd while initialised, another number after each change */
CK_RV module_initialise(const CK_C_INITIALIZE_ARGS *args);
CK_RV module_finalise(void);
CK_RV module_exchange(struct call *call, bool look_anew, bool endless);

#define CKR_NO_RACK ((CK_RV)-1) /* inside the module only */

#endif
