/* What a call gave, from the program's memory onto the wire: the payload of an answer, as
 * PROTOCOL.md has it. Nothing is read beyond what the program offered before the call. */
#include "record.h"

enum tag { NOTHING, WORD, CONTENT };
enum form { NO_VALUE, VALUE, NESTED };

#define CKR_ATTRIBUTE_SENSITIVE 0x11UL
#define CKR_ATTRIBUTE_TYPE_INVALID 0x12UL
#define UNAVAILABLE (~0UL)

/* One output: what stands in its two words, and its tail. */
struct output {
    uint64_t tag, word;
    const void *bytes;
    uint64_t size;
};

struct query {
    uint64_t type, capacity, form;
};

static struct query next_query(struct reader *entries)
{
    struct query query;

    query.type = reader_word(entries);
    query.capacity = reader_word(entries);
    query.form = reader_word(entries);
    return query;
}

static enum form form_of_given(const CK_ATTRIBUTE *attributes, uint64_t given, uint64_t i,
                               struct query query, enum level level)
{
    const CK_ATTRIBUTE *attribute = attributes + i;

    if (query.form == NO_VALUE || attribute->ulValueLen == UNAVAILABLE ||
        attribute->ulValueLen > query.capacity || !attribute->pValue)
        return NO_VALUE;
    if (query.form == NESTED)
        return attribute->ulValueLen % sizeof(CK_ATTRIBUTE) ? NO_VALUE : NESTED;
    return level == CALLS && is_left_out(attribute, attributes, given, level) ? NO_VALUE : VALUE;
}

/* `asked` stands at the entries of `count` queries in the request, of which `given` are answered. */
static void put_given(struct frame *frame, struct reader *asked, const CK_ATTRIBUTE *attributes,
                      uint64_t count, uint64_t given, unsigned depth, enum level level)
{
    struct reader entries = {.size = count * sizeof(struct query)};
    struct reader again;

    entries.bytes = reader_bytes(asked, entries.size);
    entries.bad = asked->bad;
    again = entries;
    for (uint64_t i = 0; i < given && !entries.bad; i++) {
        struct query query = next_query(&entries);
        if (depth > 1)
            frame_put_word(frame, attributes[i].type);
        frame_put_word(frame, attributes[i].ulValueLen);
        frame_put_word(frame, form_of_given(attributes, given, i, query, level));
    }
    for (uint64_t i = 0; i < count && !again.bad; i++) {
        struct query query = next_query(&again);
        enum form form = i < given ? form_of_given(attributes, given, i, query, level) : NO_VALUE;
        uint64_t inside = form == NESTED ? attributes[i].ulValueLen / sizeof(CK_ATTRIBUTE) : 0;
        if (form == VALUE)
            frame_put(frame, attributes[i].pValue, attributes[i].ulValueLen);
        if (query.form == NESTED)
            put_given(frame, asked, form == NESTED ? attributes[i].pValue : NULL,
                      query.capacity / sizeof(CK_ATTRIBUTE), inside, depth + 1, level);
    }
}

/* C_GetAttributeValue writes what it can, also with these (PKCS#11 3.2 §5.7.5). */
static bool gives_attributes(CK_RV rv)
{
    return rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
           rv == CKR_BUFFER_TOO_SMALL;
}

static struct field field_of(const struct layout *layout, const void *parameter, bool tag)
{
    for (unsigned i = 0; layout && parameter && layout->members[i] != M_END; i++) {
        enum member member = layout->members[i];
        if (tag ? member == M_TAG || member == M_TAG_BITS || member == M_TAG_16 : member == M_IV)
            return layout_field(layout, i, parameter);
    }
    return (struct field){0};
}

static void put_message(struct frame *frame, const struct layout *layout, const void *parameter)
{
    struct field iv = field_of(layout, parameter, false), tag = field_of(layout, parameter, true);

    frame_put_word(frame, iv.bytes ? iv.size : NULL_WORD);
    frame_put_word(frame, tag.bytes ? tag.size : NULL_WORD);
    if (iv.bytes)
        frame_put(frame, iv.bytes, iv.size);
    if (tag.bytes)
        frame_put(frame, tag.bytes, tag.size);
}

/* The count beside an output: with an error only what has changed is news. */
static struct output counted(const uintptr_t *word, unsigned beside, uint64_t capacity, CK_RV rv,
                             size_t item)
{
    struct output output = {.bytes = (const void *)word[0]};
    const CK_ULONG *count = (const CK_ULONG *)word[beside];

    if (!count || (rv != CKR_OK && (!output.bytes || *count == capacity)))
        return output;
    output.tag = rv == CKR_OK && output.bytes && *count <= capacity ? CONTENT : WORD;
    output.word = *count;
    output.size = output.tag == CONTENT ? *count * item : 0;
    return output;
}

static struct output whole(const void *bytes, uint64_t size, CK_RV rv)
{
    return bytes && rv == CKR_OK ? (struct output){CONTENT, size, bytes, size}
                                 : (struct output){0};
}

static bool has_layout(const struct layout *layout, const void *parameter)
{
    return layout && parameter && layout_fits(layout, parameter);
}

static struct output given(struct frame *tails, const struct call *call,
                           const struct frame *request, unsigned i, CK_RV rv, enum level level)
{
    const uintptr_t *word = call->words + i;
    const CK_MECHANISM *mechanism = (const CK_MECHANISM *)word[0];
    const struct layout *layout;
    struct output output = {0};
    size_t before = tails->size;

    switch ((enum kind)call->kinds[i]) {
    case K_ULONG_OUT:
        if (word[0] && rv == CKR_OK)
            output = (struct output){.tag = WORD, .word = *(const CK_ULONG *)word[0]};
        break;
    case K_DATA_OUT: case K_LIST_OUT: {
        bool numbers = call->kinds[i] == K_LIST_OUT;
        output = counted(word, 1, call->capacity[i], rv, numbers ? sizeof(CK_ULONG) : 1);
        if (output.tag == CONTENT && !numbers && level < REPLAY)
            output.tag = WORD;
        break;
    }
    case K_FOUND_OUT:
        if (rv == CKR_OK)
            output = counted(word, 2, call->capacity[i], rv, sizeof(CK_ULONG));
        break;
    case K_FILL:
        if (level >= REPLAY)
            output = whole((const void *)word[0], call->capacity[i], rv);
        break;
    case K_SLOT_INFO:
        output = whole((const void *)word[0], sizeof(CK_SLOT_INFO), rv);
        break;
    case K_TOKEN_INFO:
        output = whole((const void *)word[0], sizeof(CK_TOKEN_INFO), rv);
        break;
    case K_SESSION_INFO:
        output = whole((const void *)word[0], sizeof(CK_SESSION_INFO), rv);
        break;
    case K_MECHANISM_INFO:
        output = whole((const void *)word[0], sizeof(CK_MECHANISM_INFO), rv);
        break;
    case K_QUERY:
        if ((word[0] || !word[1]) && gives_attributes(rv)) { /* after the session and the object */
            struct reader asked = {request->bytes + HEADER_SIZE, request->size - HEADER_SIZE, 0};
            reader_bytes(&asked, 3 * sizeof(uint64_t));
            put_given(tails, &asked, (const CK_ATTRIBUTE *)word[0], word[1], word[1], 1, level);
            output = (struct output){.tag = CONTENT, .word = word[1]};
        }
        break;
    case K_SEAL_PARAMETER:
        layout = layout_of_message(word[1]);
        if (rv == CKR_OK && level >= REPLAY && has_layout(layout, (const void *)word[0])) {
            put_message(tails, layout, (const void *)word[0]);
            output = (struct output){.tag = CONTENT, .word = tails->size - before};
        }
        break;
    case K_SEAL_MECHANISM: case K_WRAP_MECHANISM:
        if (rv != CKR_OK || level < REPLAY || !mechanism)
            break;
        layout = layout_of_mechanism(mechanism->mechanism, mechanism->ulParameterLen,
                                     call->kinds[i] == K_SEAL_MECHANISM);
        if (!has_layout(layout, mechanism->pParameter))
            break;
        if (call->kinds[i] == K_SEAL_MECHANISM) {
            put_message(tails, layout, mechanism->pParameter);
            output = (struct output){.tag = CONTENT, .word = tails->size - before};
        } else {
            struct field iv = field_of(layout, mechanism->pParameter, false);
            output = whole(iv.bytes, iv.size, rv);
        }
        break;
    case K_LOCALLY:
        output = whole((const void *)word[0], sizeof(CK_INFO), rv);
        break;
    default:
        break;
    }
    if (output.tag == CONTENT && output.size)
        frame_put(tails, output.bytes, output.size);
    return output;
}

static bool is_output(const struct call *call, unsigned i)
{
    switch ((enum kind)call->kinds[i]) {
    case K_DATA_OUT: case K_FILL: case K_ULONG_OUT: case K_LIST_OUT: case K_FOUND_OUT:
    case K_SLOT_INFO: case K_TOKEN_INFO: case K_SESSION_INFO: case K_MECHANISM_INFO: case K_QUERY:
    case K_SEAL_PARAMETER: case K_WRAP_MECHANISM: case K_SEAL_MECHANISM:
        return true;
    default:
        return call->number == GET_INFO; /* the one local function whose answer is kept */
    }
}

/* Write the payload of the answer that the rack would have given; `request` is that of the call. */
void results_put(struct frame *frame, const struct call *call, const struct frame *request,
                 CK_RV rv, enum level level)
{
    struct frame tails = {0};

    frame_begin(&tails, call->number);
    frame_put_word(frame, rv);
    for (unsigned i = 0; call->kinds[i] != K_END; i++)
        if (is_output(call, i)) {
            struct output output = given(&tails, call, request, i, rv, level);
            frame_put_word(frame, output.tag);
            frame_put_word(frame, output.word);
        }
    if (tails.failed)
        frame->failed = true;
    else
        frame_put(frame, tails.bytes + HEADER_SIZE, tails.size - HEADER_SIZE);
    frame_release(&tails);
}
