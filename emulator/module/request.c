/* Arguments of a call onto the wire: first one word for each, then what hangs on them (PROTOCOL.md).
 * A length that cannot be true is never followed. */
#define _GNU_SOURCE
#include "module.h"

enum form { NOTHING, PLAIN, STRUCTURED, MISFIT };

static void put_bytes_word(struct frame *frame, const void *bytes, uint64_t size, bool null_is_empty)
{
    frame_put_word(frame, bytes || (null_is_empty && !size) ? (bytes ? size : 0) : NULL_WORD);
}

/* Data of a length that cannot be true goes as none: the rack refuses it, and ends the operation. */
static const void *true_data(const void *bytes, uint64_t size)
{
    return size <= FRAME_LIMIT ? bytes : NULL;
}

static enum form form_of_value(const CK_ATTRIBUTE *attribute, unsigned depth)
{
    bool nests = is_template_attribute(attribute->type) && depth < DEEPEST &&
                 attribute->ulValueLen % sizeof(CK_ATTRIBUTE) == 0 &&
                 attribute->ulValueLen / sizeof(CK_ATTRIBUTE) <= MOST_ATTRIBUTES;

    if (attribute->ulValueLen == 0)
        return nests ? STRUCTURED : PLAIN;
    if (!attribute->pValue || attribute->ulValueLen > FRAME_LIMIT)
        return NOTHING;
    return nests ? STRUCTURED : PLAIN;
}

static void put_template(struct frame *frame, const CK_ATTRIBUTE *attributes, CK_ULONG count,
                         unsigned depth)
{
    for (CK_ULONG i = 0; i < count; i++) {
        frame_put_word(frame, attributes[i].type);
        frame_put_word(frame, attributes[i].ulValueLen);
        frame_put_word(frame, form_of_value(&attributes[i], depth));
    }
    for (CK_ULONG i = 0; i < count; i++) {
        enum form form = form_of_value(&attributes[i], depth);
        if (form == PLAIN)
            frame_put(frame, attributes[i].pValue, attributes[i].ulValueLen);
        else if (form == STRUCTURED)
            put_template(frame, attributes[i].pValue,
                         attributes[i].ulValueLen / sizeof(CK_ATTRIBUTE), depth + 1);
    }
}

static enum form form_of_query(const CK_ATTRIBUTE *attribute, unsigned depth)
{
    if (!attribute->pValue)
        return NOTHING;
    if (is_template_attribute(attribute->type) && depth < DEEPEST &&
        attribute->ulValueLen / sizeof(CK_ATTRIBUTE) <= MOST_ATTRIBUTES)
        return STRUCTURED;
    return PLAIN;
}

static void put_query(struct frame *frame, const CK_ATTRIBUTE *attributes, CK_ULONG count,
                      unsigned depth)
{
    for (CK_ULONG i = 0; i < count; i++) {
        frame_put_word(frame, attributes[i].type);
        frame_put_word(frame, attributes[i].pValue ? attributes[i].ulValueLen : 0);
        frame_put_word(frame, form_of_query(&attributes[i], depth));
    }
    for (CK_ULONG i = 0; i < count; i++)
        if (form_of_query(&attributes[i], depth) == STRUCTURED)
            put_query(frame, attributes[i].pValue,
                      attributes[i].ulValueLen / sizeof(CK_ATTRIBUTE), depth + 1);
}

static void put_fields(struct frame *frame, const struct layout *layout, const void *base,
                       bool sealing)
{
    for (unsigned i = 0; layout->members[i] != M_END; i++) {
        struct field field = layout_field(layout, i, base);
        switch (field.member) {
        case M_NUMBER: case M_BYTE:
            frame_put_word(frame, field.number);
            break;
        case M_BITS:
            put_bytes_word(frame, field.bytes, field.size, true);
            frame_put_word(frame, field.number);
            break;
        case M_TAG: case M_TAG_BITS: /* sealing: the token writes it, what is there is no news */
            put_bytes_word(frame, field.bytes, sealing ? 0 : field.size, false);
            frame_put_word(frame, field.number);
            break;
        case M_TAG_16:
            put_bytes_word(frame, field.bytes, sealing ? 0 : field.size, false);
            break;
        case M_OAEP_POINTER:
            frame_put_word(frame, field.bytes ? 1 : NULL_WORD);
            break;
        case M_SKIPPED: case M_END:
            break;
        default:
            put_bytes_word(frame, field.bytes, field.size, true);
        }
    }
    for (unsigned i = 0; layout->members[i] != M_END; i++) {
        struct field field = layout_field(layout, i, base);
        if (!field.bytes)
            continue;
        switch (field.member) {
        case M_TAG: case M_TAG_BITS: case M_TAG_16:
            if (!sealing)
                frame_put(frame, field.bytes, field.size);
            break;
        case M_ITEMS:
            put_template(frame, (const CK_ATTRIBUTE *)(const void *)field.bytes, field.size,
                         DEEPEST);
            break;
        case M_OAEP_POINTER:
            put_fields(frame, layout_oaep(), field.bytes, false);
            break;
        case M_NUMBER: case M_BYTE: case M_SKIPPED: case M_END:
            break;
        default:
            frame_put(frame, field.bytes, field.size);
        }
    }
}

static enum form form_of_parameter(const struct layout *layout, bool flat, const void *parameter,
                                   CK_ULONG size)
{
    if (!parameter || !size)
        return size ? MISFIT : NOTHING;
    if (layout)
        return layout_fits(layout, parameter) ? STRUCTURED : MISFIT;
    return flat && size <= MOST_PARAMETER ? PLAIN : MISFIT;
}

static bool is_authenticated(uint8_t kind)
{
    return kind == K_SEAL_MECHANISM || kind == K_OPEN_MECHANISM;
}

static enum form form_of_mechanism(const CK_MECHANISM *mechanism, uint8_t kind)
{
    return form_of_parameter(layout_of_mechanism(mechanism->mechanism, mechanism->ulParameterLen,
                                                 is_authenticated(kind)),
                             !mechanism_has_layout(mechanism->mechanism), mechanism->pParameter,
                             mechanism->ulParameterLen);
}

static void put_parameter(struct frame *frame, enum form form, const struct layout *layout,
                          const void *parameter, CK_ULONG size, bool sealing)
{
    frame_put_word(frame, size);
    if (form == PLAIN)
        frame_put(frame, parameter, size);
    else if (form == STRUCTURED)
        put_fields(frame, layout, parameter, sealing);
}

/* The capacity of an output, and the word that says it. */
static uint64_t out_word(const void *buffer, const CK_ULONG *capacity, CK_ULONG *known)
{
    *known = capacity && buffer ? *capacity : 0;
    if (!capacity)
        return NULL_WORD;
    if (!buffer)
        return NO_BUFFER_WORD;
    return *known < NO_BUFFER_WORD ? *known : NO_BUFFER_WORD - 1;
}

static void put_words(struct frame *frame, struct call *call)
{
    for (unsigned i = 0; call->kinds[i] != K_END; i++) {
        const uintptr_t *word = call->words + i;
        const void *pointer = (const void *)word[0];
        CK_ULONG *capacity = &call->capacity[i];

        switch ((enum kind)call->kinds[i]) {
        case K_END: case K_MORE: case K_LOCALLY: case K_UNSENT:
            break;
        case K_SLOT: case K_SESSION: case K_ULONG:
            frame_put_word(frame, word[0]);
            break;
        case K_BOOL: case K_RESERVED: case K_ULONG_OUT: case K_SLOT_INFO: case K_TOKEN_INFO:
        case K_SESSION_INFO: case K_MECHANISM_INFO:
            frame_put_word(frame, word[0] != 0);
            break;
        case K_DATA:
            put_bytes_word(frame, true_data(pointer, word[1]), word[1], true);
            break;
        case K_OPTIONAL_DATA: case K_PIN:
            put_bytes_word(frame, pointer, word[1], false);
            break;
        case K_LABEL:
            put_bytes_word(frame, pointer, 32, false);
            break;
        case K_NAME:
            put_bytes_word(frame, pointer, pointer ? strnlen(pointer, 256) : 0, false);
            break;
        case K_TEMPLATE: case K_QUERY:
            put_bytes_word(frame, pointer, word[1], true);
            break;
        case K_MECHANISM: case K_WRAP_MECHANISM: case K_SEAL_MECHANISM: case K_OPEN_MECHANISM:
            frame_put_word(frame, pointer ? form_of_mechanism(pointer, call->kinds[i]) : NULL_WORD);
            break;
        case K_DATA_OUT: case K_LIST_OUT:
            frame_put_word(frame, out_word(pointer, (const CK_ULONG *)word[1], capacity));
            break;
        case K_FOUND_OUT: {
            CK_ULONG most = word[1];
            frame_put_word(frame, out_word(pointer, word[2] ? &most : NULL, capacity));
            break;
        }
        case K_FILL:
            *capacity = word[1];
            put_bytes_word(frame, pointer, word[1], true);
            break;
        case K_SEAL_PARAMETER: case K_OPEN_PARAMETER:
            frame_put_word(frame, form_of_parameter(layout_of_message(word[1]), false, pointer,
                                                    word[1]));
            break;
        }
    }
}

static void put_tails(struct frame *frame, const struct call *call)
{
    for (unsigned i = 0; call->kinds[i] != K_END; i++) {
        const uintptr_t *word = call->words + i;
        const void *pointer = (const void *)word[0];
        const CK_MECHANISM *mechanism = pointer;
        const struct layout *layout;

        if (!pointer && call->kinds[i] != K_SEAL_PARAMETER && call->kinds[i] != K_OPEN_PARAMETER)
            continue;
        switch ((enum kind)call->kinds[i]) {
        case K_DATA:
            if (true_data(pointer, word[1]))
                frame_put(frame, pointer, word[1]);
            break;
        case K_OPTIONAL_DATA: case K_PIN:
            frame_put(frame, pointer, word[1]);
            break;
        case K_LABEL:
            frame_put(frame, pointer, 32);
            break;
        case K_NAME:
            frame_put(frame, pointer, strnlen(pointer, 256));
            break;
        case K_TEMPLATE:
            put_template(frame, pointer, word[1], 1);
            break;
        case K_QUERY:
            put_query(frame, pointer, word[1], 1);
            break;
        case K_MECHANISM: case K_WRAP_MECHANISM: case K_SEAL_MECHANISM: case K_OPEN_MECHANISM:
            layout = layout_of_mechanism(mechanism->mechanism, mechanism->ulParameterLen,
                                         is_authenticated(call->kinds[i]));
            frame_put_word(frame, mechanism->mechanism);
            put_parameter(frame, form_of_mechanism(mechanism, call->kinds[i]), layout,
                          mechanism->pParameter, mechanism->ulParameterLen,
                          call->kinds[i] == K_SEAL_MECHANISM);
            break;
        case K_SEAL_PARAMETER: case K_OPEN_PARAMETER:
            layout = layout_of_message(word[1]);
            put_parameter(frame, form_of_parameter(layout, false, pointer, word[1]), layout,
                          pointer, word[1], call->kinds[i] == K_SEAL_PARAMETER);
            break;
        default:
            break;
        }
    }
}

/* Whether the lengths beside the pointers can be true: CKR_ARGUMENTS_BAD if not. */
static bool lengths_fit(const struct call *call)
{
    for (unsigned i = 0; call->kinds[i] != K_END; i++) {
        uint64_t most = UINT64_MAX;
        if (call->kinds[i] == K_OPTIONAL_DATA || call->kinds[i] == K_PIN)
            most = FRAME_LIMIT;
        else if (call->kinds[i] == K_TEMPLATE || call->kinds[i] == K_QUERY)
            most = MOST_ATTRIBUTES;
        if (most != UINT64_MAX && call->words[i] && call->words[i + 1] > most)
            return false;
    }
    return true;
}

/* Write a call as a frame. CKR_ARGUMENTS_BAD where a length is beyond what a frame can hold,
 * CKR_HOST_MEMORY where memory has run out or all arguments together are too long. */
CK_RV request_put(struct frame *frame, struct call *call)
{
    if (!lengths_fit(call))
        return CKR_ARGUMENTS_BAD;
    frame_begin(frame, call->number);
    put_words(frame, call);
    put_tails(frame, call);
    frame_end(frame);
    return frame->failed ? CKR_HOST_MEMORY : CKR_OK;
}
