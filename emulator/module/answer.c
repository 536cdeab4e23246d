/* Results of a call from the wire into the program's memory. An answer is checked as a whole before
 * the first byte is written, so that a bad one leaves everything untouched. */
#include "module.h"

enum tag { NOTHING, WORD, CONTENT };
enum form { NO_VALUE, VALUE, NESTED };

/* Checks an answer, or writes it: the same walk twice. */
struct walk {
    struct reader reader;
    bool write;
};

static void set(struct walk *walk, void *to, uint64_t word)
{
    if (!to)
        walk->reader.bad = true;
    else if (walk->write)
        memcpy(to, &word, sizeof word);
}

static void copy(struct walk *walk, void *to, uint64_t size, uint64_t room)
{
    if (size > room || (size && !to)) {
        walk->reader.bad = true;
        return;
    }
    const uint8_t *bytes = reader_bytes(&walk->reader, size);
    if (bytes && walk->write && size)
        memcpy(to, bytes, size);
}

static void take_numbers(struct walk *walk, void *to, uint64_t count, uint64_t room)
{
    if (count > room || count > FRAME_LIMIT)
        walk->reader.bad = true;
    else
        copy(walk, to, count * sizeof(CK_ULONG), count * sizeof(CK_ULONG));
}

/* Attributes inside another bear their types: those that the program has there mean nothing (§5.7.5).
 * Only where the program's own type says that a buffer holds attributes, it is written as such. */
static void take_attributes(struct walk *walk, CK_ATTRIBUTE *attributes, uint64_t count,
                            unsigned depth)
{
    uint64_t size = count * (depth > 1 ? 3 : 2) * sizeof(uint64_t);
    struct walk entries = {.write = walk->write};

    if (count > MOST_ATTRIBUTES || depth > DEEPEST) {
        walk->reader.bad = true;
        return;
    }
    entries.reader.bytes = reader_bytes(&walk->reader, size);
    entries.reader.size = size;
    entries.reader.bad = walk->reader.bad;
    for (uint64_t i = 0; i < count && !walk->reader.bad; i++) {
        uint64_t type = depth > 1 ? reader_word(&entries.reader) : attributes[i].type;
        uint64_t length = reader_word(&entries.reader);
        uint64_t form = reader_word(&entries.reader);
        if (form == VALUE) {
            copy(walk, attributes[i].pValue, length, attributes[i].ulValueLen);
        } else if (form == NESTED) {
            if (!attributes[i].pValue || length > attributes[i].ulValueLen ||
                length % sizeof(CK_ATTRIBUTE) || !is_template_attribute(attributes[i].type))
                walk->reader.bad = true;
            else
                take_attributes(walk, attributes[i].pValue, length / sizeof(CK_ATTRIBUTE),
                                depth + 1);
        } else if (form != NO_VALUE) {
            walk->reader.bad = true;
        }
        if (!walk->reader.bad) {
            set(walk, &attributes[i].type, type);
            set(walk, &attributes[i].ulValueLen, length);
        }
    }
}

/* Where a parameter has the IV or the tag that the token may write. */
static struct field written_field(const struct layout *layout, const void *parameter, bool tag)
{
    for (unsigned i = 0; layout && parameter && layout->members[i] != M_END; i++) {
        enum member member = layout->members[i];
        if (tag ? member == M_TAG || member == M_TAG_BITS || member == M_TAG_16 : member == M_IV)
            return layout_field(layout, i, parameter);
    }
    return (struct field){0};
}

static void take_message(struct walk *walk, const struct layout *layout, const void *parameter)
{
    uint64_t sizes[2];

    sizes[0] = reader_word(&walk->reader);
    sizes[1] = reader_word(&walk->reader);
    for (int tag = 0; tag < 2; tag++) {
        struct field field = written_field(layout, parameter, tag);
        if (sizes[tag] != NULL_WORD)
            copy(walk, field.bytes, sizes[tag], field.size);
    }
}

static void take_result(struct walk *walk, const struct call *call, unsigned i, uint64_t tag,
                        uint64_t word)
{
    const uintptr_t *words = call->words + i;
    void *pointer = (void *)words[0];
    CK_ULONG room = call->capacity[i];
    const CK_MECHANISM *mechanism = pointer;
    static const size_t info_size[] = {
        [K_SLOT_INFO] = sizeof(CK_SLOT_INFO),
        [K_TOKEN_INFO] = sizeof(CK_TOKEN_INFO),
        [K_SESSION_INFO] = sizeof(CK_SESSION_INFO),
        [K_MECHANISM_INFO] = sizeof(CK_MECHANISM_INFO),
    };

    if (tag == NOTHING)
        return;
    switch ((enum kind)call->kinds[i]) {
    case K_ULONG_OUT:
        walk->reader.bad |= tag != WORD;
        set(walk, pointer, word);
        break;
    case K_DATA_OUT:
        if (tag == CONTENT)
            copy(walk, pointer, word, room);
        set(walk, (void *)words[1], word);
        break;
    case K_LIST_OUT:
        if (tag == CONTENT)
            take_numbers(walk, pointer, word, room);
        set(walk, (void *)words[1], word);
        break;
    case K_FOUND_OUT:
        walk->reader.bad |= tag != CONTENT;
        take_numbers(walk, pointer, word, room);
        set(walk, (void *)words[2], word);
        break;
    case K_FILL:
        walk->reader.bad |= tag != CONTENT;
        copy(walk, pointer, word, room);
        break;
    case K_SLOT_INFO: case K_TOKEN_INFO: case K_SESSION_INFO: case K_MECHANISM_INFO:
        walk->reader.bad |= tag != CONTENT || word != info_size[call->kinds[i]];
        copy(walk, pointer, word, word);
        break;
    case K_QUERY:
        walk->reader.bad |= tag != CONTENT || word != words[1] || (word && !pointer);
        if (!walk->reader.bad)
            take_attributes(walk, pointer, word, 1);
        break;
    case K_SEAL_PARAMETER:
        walk->reader.bad |= tag != CONTENT;
        take_message(walk, layout_of_message(words[1]), pointer);
        break;
    case K_SEAL_MECHANISM:
        walk->reader.bad |= tag != CONTENT || !mechanism;
        if (!walk->reader.bad)
            take_message(walk,
                         layout_of_mechanism(mechanism->mechanism, mechanism->ulParameterLen, true),
                         mechanism->pParameter);
        break;
    case K_WRAP_MECHANISM:
        walk->reader.bad |= tag != CONTENT || !mechanism;
        if (!walk->reader.bad) {
            struct field iv = written_field(
                layout_of_mechanism(mechanism->mechanism, mechanism->ulParameterLen, false),
                mechanism->pParameter, false);
            copy(walk, iv.bytes, word, iv.size);
        }
        break;
    default:
        walk->reader.bad = true;
    }
}

static bool is_output(uint8_t kind)
{
    switch ((enum kind)kind) {
    case K_DATA_OUT: case K_FILL: case K_ULONG_OUT: case K_LIST_OUT: case K_FOUND_OUT:
    case K_SLOT_INFO: case K_TOKEN_INFO: case K_SESSION_INFO: case K_MECHANISM_INFO: case K_QUERY:
    case K_SEAL_PARAMETER: case K_WRAP_MECHANISM: case K_SEAL_MECHANISM:
        return true;
    default:
        return false;
    }
}

static bool take_results(struct reader reader, const struct call *call, bool write)
{
    struct walk walk = {reader, write};
    uint64_t heads[MOST_ARGUMENTS][2] = {{0}};

    for (unsigned i = 0; call->kinds[i] != K_END; i++)
        if (is_output(call->kinds[i])) {
            heads[i][0] = reader_word(&walk.reader);
            heads[i][1] = reader_word(&walk.reader);
            walk.reader.bad |= heads[i][0] > CONTENT;
        }
    for (unsigned i = 0; call->kinds[i] != K_END && !walk.reader.bad; i++)
        if (is_output(call->kinds[i]))
            take_result(&walk, call, i, heads[i][0], heads[i][1]);
    return !walk.reader.bad && walk.reader.size == 0;
}

/* Read the answer to a call, from behind its header. One that does not follow the protocol is
 * CKR_DEVICE_ERROR, with `reader->bad` set. */
CK_RV answer_take(struct reader *reader, const struct call *call)
{
    CK_RV rv = reader_word(reader);

    if (!reader->bad && reader->size == 0)
        return rv; /* no results at all */
    if (reader->bad || !take_results(*reader, call, false)) {
        reader->bad = true;
        return CKR_DEVICE_ERROR;
    }
    take_results(*reader, call, true);
    return rv;
}
