/* Arguments made from a fuzzer's bytes: lengths that cannot be true, NULL with a length, templates in
 * templates, structs of another mechanism; but whatever length the module may follow is there. What
 * a function takes stands in functions.def and parameters.def alone. */
#include <stdlib.h>

#include "wild.h"

static const uint8_t kinds[][MOST_ARGUMENTS] = {
#define AS_KIND(kind, type, name) K_##kind
#define FUNCTION(number, since, name, ...) [number] = {EACH(AS_KIND, __VA_ARGS__), K_END},
#define LOCAL(number, since, name, ...)
#include "functions.def"
#undef FUNCTION
#undef LOCAL
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define TEMPLATE_ATTRIBUTE(type, name)
#define PARAMETER(mechanism, name, layout)
#define SEALED(mechanism, name, layout)
#define LAYOUT(name, size, ...) SIZE_##name = size,
#define MESSAGE(name, size, ...) SIZE_##name = size,
enum {
#include "parameters.def"
};
#undef LAYOUT
#undef MESSAGE
#undef PARAMETER
#undef SEALED

#define LAYOUT(name, size, ...)
#define MESSAGE(name, size, ...)
#define PARAMETER(mechanism, name, layout) {mechanism, SIZE_##layout},
#define SEALED(mechanism, name, layout) {mechanism, SIZE_##layout},
static const struct {
    CK_MECHANISM_TYPE mechanism;
    CK_ULONG size;
} structured[] = {
#include "parameters.def"
};
#undef MESSAGE
#undef PARAMETER
#undef SEALED
#undef TEMPLATE_ATTRIBUTE

#define MESSAGE(name, size, ...)
#define PARAMETER(mechanism, name, layout)
#define SEALED(mechanism, name, layout)
#define TEMPLATE_ATTRIBUTE(type, name) type,
static const CK_ATTRIBUTE_TYPE templates[] = {
#include "parameters.def"
};
#undef MESSAGE

#define MESSAGE(name, size, ...) size,
#undef TEMPLATE_ATTRIBUTE
#define TEMPLATE_ATTRIBUTE(type, name)
static const CK_ULONG messages[] = {
#include "parameters.def"
};

static uint8_t byte(struct source *source)
{
    if (!source->size)
        return 0;
    source->size--;
    return *source->bytes++;
}

static uint64_t number(struct source *source)
{
    uint64_t word = byte(source);

    if (word < 0xE0)
        return word;
    if (word < 0xF0)
        return UINT64_MAX - (word & 15);
    for (int i = 0; i < 8; i++)
        word = word << 8 | byte(source);
    return word;
}

/* Memory of the program; NULL, and `full` set, where there has been enough of it. */
static void *piece(struct wild *wild, size_t size, bool writable)
{
    struct piece made = {.size = size, .writable = writable};

    if (wild->count == MOST_PIECES) {
        wild->full = true;
        return NULL;
    }
    made.bytes = malloc(size ? size : 1);
    if (!made.bytes)
        abort();
    for (size_t i = 0; i < size; i++)
        made.bytes[i] = i < 16 && !writable ? byte(&wild->source) : 0xEE;
    wild->pieces[wild->count++] = made;
    return made.bytes;
}

/* A pointer and the length beside it. At most `most` can be true of what is read; of what is written
 * any room can, where the answer is too short to fill it. */
struct stretch {
    void *at;
    CK_ULONG length;
};

static struct stretch stretch(struct wild *wild, uint64_t most, bool writable)
{
    static const uint64_t absurd[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2 + 1, UINT64_MAX / 8 + 1};
    struct stretch made = {0};
    unsigned choice = byte(&wild->source), size = choice & 31;

    if (choice < 0x08) {
        made.length = choice < 4 ? 0 : number(&wild->source); /* NULL with whatever length */
        return made;
    }
    if (choice >= 0xF8) {
        made.length = choice == 0xF8 ? most + (most != UINT64_MAX) : absurd[choice % COUNT(absurd)];
        made.at = piece(wild, writable ? wild->most_written : 16, writable);
        return made;
    }
    if (choice >= 0xE0)
        size *= 256;
    made.length = size;
    made.at = piece(wild, size, writable);
    return made;
}

/* ---- structs ---- */

enum { SURPLUS = 5 };

static CK_ATTRIBUTE *attributes(struct wild *wild, CK_ULONG *count, bool query, unsigned depth)
{
    unsigned choice = byte(&wild->source);
    CK_ATTRIBUTE *made;

    if (choice < 4) {
        *count = choice < 2 ? 0 : number(&wild->source);
        return NULL;
    }
    if (choice >= 0xF8) { /* what is beyond the limit is not followed */
        *count = choice == 0xF8 ? MOST_ATTRIBUTES + 1 : UINT64_MAX / (choice - 0xF7);
        return piece(wild, query ? wild->most_written : sizeof *made, query);
    }
    *count = choice % 6;
    made = piece(wild, *count * sizeof *made + (query ? SURPLUS : 0), query);
    for (CK_ULONG i = 0; made && i < *count; i++) {
        unsigned kind = byte(&wild->source);
        CK_ATTRIBUTE attribute = {.type = kind < 0x80 ? number(&wild->source)
                                                      : templates[kind % COUNT(templates)]};
        if (is_template_attribute(attribute.type) && depth < DEEPEST + 2 && kind % 8) {
            CK_ULONG inner;
            attribute.pValue = attributes(wild, &inner, query, depth + 1);
            attribute.ulValueLen = inner * sizeof *made;
            if (inner > MOST_ATTRIBUTES)
                attribute.ulValueLen = UINT64_MAX - inner % 64;
            else if (query && kind % 8 == 7)
                attribute.ulValueLen += SURPLUS; /* room for no further one */
        } else {
            struct stretch value = stretch(wild, FRAME_LIMIT, query);
            attribute.pValue = value.at;
            attribute.ulValueLen = value.length;
            if (query && is_template_attribute(attribute.type))
                attribute.type = 0; /* these bytes are no templates */
            else if (value.at && value.length % sizeof *made == 0 && value.length)
                attribute.ulValueLen--;
        }
        memcpy(made + i, &attribute, sizeof attribute);
    }
    return made;
}

static void store(uint8_t *structure, size_t *offset, const void *pointer_or_number, size_t size)
{
    if (structure)
        memcpy(structure + *offset, pointer_or_number, size);
    *offset += size;
}

/* A struct of parameters.def, put together on its own: not by layout.c, which is under test. */
static void *structure(struct wild *wild, const struct layout *layout, bool iv_written,
                       bool tag_written)
{
    uint8_t *made = piece(wild, layout->size, false);
    size_t offset = 0;

    for (unsigned i = 0; layout->members[i] != M_END; i++) {
        enum member member = layout->members[i];
        struct stretch pair = {0};
        uint64_t word;
        bool written = member == M_IV ? iv_written : tag_written;

        if (member != M_BYTE && member != M_BYTES_8 && member != M_BYTES_16)
            offset = (offset + 7) / 8 * 8;
        switch (member) {
        case M_NUMBER:
            word = number(&wild->source);
            store(made, &offset, &word, sizeof word);
            break;
        case M_BYTE: case M_BYTES_8: case M_BYTES_16: /* as the piece was filled */
            offset += member == M_BYTE ? 1 : member == M_BYTES_8 ? 8 : 16;
            break;
        case M_LENGTH_BYTES:
            pair = stretch(wild, MOST_PARAMETER, false);
            store(made, &offset, &pair.length, sizeof pair.length);
            store(made, &offset, &pair.at, sizeof pair.at);
            break;
        case M_ITEMS:
            pair.at = attributes(wild, &pair.length, false, 1);
            store(made, &offset, &pair.length, sizeof pair.length);
            store(made, &offset, &pair.at, sizeof pair.at);
            break;
        case M_BYTES: case M_IV: case M_TAG:
            pair = stretch(wild, MOST_PARAMETER, member != M_BYTES && written);
            store(made, &offset, &pair.at, sizeof pair.at);
            store(made, &offset, &pair.length, sizeof pair.length);
            break;
        case M_BITS: case M_TAG_BITS:
            word = number(&wild->source);
            word = word > MOST_PARAMETER && word / 8 <= MOST_PARAMETER ? word % 4096 : word;
            pair.length = word;
            pair.at = piece(wild, word / 8 > MOST_PARAMETER ? 16 : word / 8 + (word % 8 != 0),
                            member == M_TAG_BITS && written);
            if (word % 16 == 15 && word != UINT64_MAX)
                pair.at = NULL;
            store(made, &offset, &pair.at, sizeof pair.at);
            store(made, &offset, &pair.length, sizeof pair.length);
            break;
        case M_PASSWORD: /* the length itself, or a pointer to it */
            pair = stretch(wild, MOST_PARAMETER, false);
            word = pair.length;
            if (byte(&wild->source) % 2) {
                uint8_t *apart = piece(wild, sizeof word, false);
                if (apart)
                    memcpy(apart, &word, sizeof word);
                word = (uintptr_t)apart;
            }
            store(made, &offset, &pair.at, sizeof pair.at);
            store(made, &offset, &word, sizeof word);
            break;
        case M_POINTER_8: case M_TAG_16:
            if (byte(&wild->source) < 0xF0)
                pair.at = piece(wild, member == M_TAG_16 ? 16 : 8, member == M_TAG_16 && written);
            store(made, &offset, &pair.at, sizeof pair.at);
            break;
        case M_OAEP_POINTER:
            if (byte(&wild->source) < 0xF0)
                pair.at = structure(wild, layout_oaep(), false, false);
            store(made, &offset, &pair.at, sizeof pair.at);
            break;
        case M_SKIPPED: /* is not followed, wherever it points */
            word = number(&wild->source);
            store(made, &offset, &word, sizeof word);
            break;
        case M_END:
            break;
        }
    }
    if (made && offset > layout->size)
        abort();
    return made;
}

static CK_MECHANISM *mechanism(struct wild *wild, uint8_t kind)
{
    bool authenticated = kind == K_SEAL_MECHANISM || kind == K_OPEN_MECHANISM;
    unsigned choice = byte(&wild->source);
    CK_MECHANISM *made, content = {0};
    const struct layout *layout = NULL;

    if (choice == 0)
        return NULL;
    made = piece(wild, sizeof *made, false);
    if (choice < 0xC0) {
        unsigned entry = choice % COUNT(structured);
        content.mechanism = structured[entry].mechanism;
        content.ulParameterLen = structured[entry].size;
        layout = layout_of_mechanism(content.mechanism, content.ulParameterLen, authenticated);
    } else {
        content.mechanism = choice & 1 ? structured[choice % COUNT(structured)].mechanism
                                       : number(&wild->source);
    }
    if (layout) {
        content.pParameter = structure(wild, layout, kind == K_WRAP_MECHANISM || kind == K_SEAL_MECHANISM,
                                       kind == K_SEAL_MECHANISM);
    } else {
        struct stretch parameter = stretch(wild, MOST_PARAMETER, false);
        content.pParameter = parameter.at;
        content.ulParameterLen = parameter.length;
        if (parameter.at && layout_of_mechanism(content.mechanism, parameter.length, authenticated))
            content.ulParameterLen++; /* its bytes are no pointers */
        if (content.ulParameterLen != parameter.length && !mechanism_has_layout(content.mechanism))
            content.ulParameterLen = parameter.length;
    }
    if (made)
        memcpy(made, &content, sizeof content);
    return made;
}

/* ---- arguments ---- */

static void output(struct wild *wild, unsigned i, bool found)
{
    uintptr_t *word = wild->words + i;
    struct stretch buffer = stretch(wild, UINT64_MAX, true);
    CK_ULONG *count = NULL;
    bool numbers = wild->call.kinds[i] != K_DATA_OUT;

    if (numbers && buffer.at && buffer.length <= 31 * 256)
        buffer.length /= sizeof(CK_ULONG);
    if (byte(&wild->source) < 0xF0) {
        count = piece(wild, sizeof *count, true);
        if (count)
            memcpy(count, &buffer.length, sizeof *count);
    }
    word[0] = (uintptr_t)buffer.at;
    word[1] = found ? buffer.length : (uintptr_t)count;
    if (found)
        word[2] = (uintptr_t)count;
}

static void message(struct wild *wild, uintptr_t *word, bool sealing)
{
    unsigned choice = byte(&wild->source);
    struct stretch parameter;

    if (choice < 0xE0) {
        word[1] = messages[choice % COUNT(messages)];
        word[0] = (uintptr_t)structure(wild, layout_of_message(word[1]), sealing, sealing);
        return;
    }
    parameter = stretch(wild, MOST_PARAMETER, false);
    word[0] = (uintptr_t)parameter.at;
    word[1] = parameter.length;
    if (parameter.at && layout_of_message(word[1]))
        word[1]++;
}

static void *given(struct wild *wild, size_t size, bool writable)
{
    return byte(&wild->source) < 0xF0 ? piece(wild, size, writable) : NULL;
}

static void argument(struct wild *wild, unsigned i)
{
    uintptr_t *word = wild->words + i;
    struct stretch made;
    char *name;

    switch ((enum kind)wild->call.kinds[i]) {
    case K_END: case K_MORE: case K_LOCALLY:
        break;
    case K_SLOT: case K_SESSION: case K_ULONG: case K_UNSENT: case K_RESERVED:
        word[0] = number(&wild->source);
        break;
    case K_BOOL:
        word[0] = byte(&wild->source);
        break;
    case K_DATA: case K_OPTIONAL_DATA: case K_PIN:
        made = stretch(wild, FRAME_LIMIT, false);
        word[0] = (uintptr_t)made.at;
        word[1] = made.length;
        break;
    case K_LABEL:
        word[0] = (uintptr_t)given(wild, 32, false);
        break;
    case K_NAME:
        name = given(wild, byte(&wild->source) + 64U, false);
        if (name)
            name[wild->pieces[wild->count - 1].size - 1] = 0;
        word[0] = (uintptr_t)name;
        break;
    case K_TEMPLATE: case K_QUERY:
        word[0] = (uintptr_t)attributes(wild, word + 1, wild->call.kinds[i] == K_QUERY, 1);
        break;
    case K_MECHANISM: case K_WRAP_MECHANISM: case K_SEAL_MECHANISM: case K_OPEN_MECHANISM:
        word[0] = (uintptr_t)mechanism(wild, wild->call.kinds[i]);
        break;
    case K_DATA_OUT: case K_LIST_OUT:
        output(wild, i, false);
        break;
    case K_FOUND_OUT:
        output(wild, i, true);
        break;
    case K_FILL:
        made = stretch(wild, UINT64_MAX, true);
        word[0] = (uintptr_t)made.at;
        word[1] = made.length;
        break;
    case K_ULONG_OUT:
        word[0] = (uintptr_t)given(wild, sizeof(CK_ULONG), true);
        break;
    case K_SLOT_INFO:
        word[0] = (uintptr_t)given(wild, sizeof(CK_SLOT_INFO), true);
        break;
    case K_TOKEN_INFO:
        word[0] = (uintptr_t)given(wild, sizeof(CK_TOKEN_INFO), true);
        break;
    case K_SESSION_INFO:
        word[0] = (uintptr_t)given(wild, sizeof(CK_SESSION_INFO), true);
        break;
    case K_MECHANISM_INFO:
        word[0] = (uintptr_t)given(wild, sizeof(CK_MECHANISM_INFO), true);
        break;
    case K_SEAL_PARAMETER: case K_OPEN_PARAMETER:
        message(wild, word, wild->call.kinds[i] == K_SEAL_PARAMETER);
        break;
    }
}

/* Make a call of the function that `choice` picks. False where it has too many pieces. */
bool wild_make(struct wild *wild, unsigned choice, struct source source, size_t most_written)
{
    unsigned number = choice % COUNT(kinds);

    while (kinds[number][0] == K_END) /* none, or one that is answered inside the module */
        number = (number + 1) % COUNT(kinds);
    *wild = (struct wild){.source = source, .most_written = most_written};
    wild->call.number = number;
    wild->call.kinds = kinds[number];
    wild->call.words = wild->words;
    for (unsigned i = 0; kinds[number][i] != K_END; i++)
        argument(wild, i);
    for (unsigned i = 0; i < wild->count; i++) {
        struct piece *each = &wild->pieces[i];
        each->before = malloc(each->size + 1);
        if (!each->before)
            abort();
        memcpy(each->before, each->bytes, each->size);
    }
    return !wild->full;
}

/* Whether the program's memory is as it was: all of it, or what no answer may write. */
bool wild_is_untouched(const struct wild *wild, bool inputs_alone)
{
    for (unsigned i = 0; i < wild->count; i++) {
        const struct piece *each = &wild->pieces[i];
        if (!(inputs_alone && each->writable) && memcmp(each->bytes, each->before, each->size) != 0)
            return false;
    }
    return true;
}

void wild_free(struct wild *wild)
{
    for (unsigned i = 0; i < wild->count; i++) {
        free(wild->pieces[i].bytes);
        free(wild->pieces[i].before);
    }
}
