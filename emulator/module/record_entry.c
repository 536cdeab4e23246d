/* A call as one line of JSON: who made it, when, what it answered and how long that took, and from
 * the level `calls` on the payloads of its request and its answer (PROTOCOL.md) in hexadecimal
 * digits. What the level leaves out never gets there: a PIN is empty, data are zeros, a value of an
 * attribute and a mechanism's parameter have a length alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

enum { SHORT_VALUE = 64 }; /* bytes of a value that are told at the level `calls` */

static atomic_ulong calls, lost;

static int64_t now(clockid_t clock) /* in microseconds */
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static enum level wanted;
static char *file;

/* Read once where to write, and how much: later the program may be changing its environment. */
void entry_settings(void)
{
    static const char *const names[] = {"", "calls", "replay", "traffic"};
    const char *level = secure_getenv("UKEY_RECORD_LEVEL");
    const char *path = secure_getenv("UKEY_RECORD_FILE");

    for (enum level each = BARE; level && each <= TRAFFIC; each++)
        if (strcmp(level, names[each]) == 0)
            wanted = each;
    if (path && *path)
        file = strdup(path);
}

/* ---- what is left out ---- */

static bool is_key_value(CK_ATTRIBUTE_TYPE type)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
#define SECRET_ATTRIBUTE(type, name) type,
#include "secrets.def"
    };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i] == type)
            return true;
    return false;
}

/* Whether a template says that it is of an object whose value is no secret. */
static bool is_public(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    enum { CLASS = 0, DATA = 0, PUBLIC_KEY = 2 };
    CK_ULONG class;

    for (CK_ULONG i = 0; i < count; i++)
        if (attributes[i].type == CLASS && attributes[i].pValue &&
            attributes[i].ulValueLen == sizeof class) {
            memcpy(&class, attributes[i].pValue, sizeof class);
            return class <= PUBLIC_KEY;
        }
    return false;
}

/* Whether the value of an attribute, one of those of a template, must not be written. */
bool is_left_out(const CK_ATTRIBUTE *attribute, const CK_ATTRIBUTE *attributes, CK_ULONG count,
                 enum level level)
{
    if (level == TRAFFIC)
        return false;
    if (level == CALLS && attribute->ulValueLen > SHORT_VALUE)
        return true;
    return is_key_value(attribute->type) && !is_public(attributes, count);
}

/* What stands in for the arguments of one call. */
struct stand_ins {
    uintptr_t words[MOST_ARGUMENTS];
    void *made[MOST_ARGUMENTS];
    unsigned count;
    bool failed;
};

static void *stand_in(struct stand_ins *ins, size_t size)
{
    void *made = ins->count < MOST_ARGUMENTS ? calloc(1, size ? size : 1) : NULL;

    if (made)
        ins->made[ins->count++] = made;
    else
        ins->failed = true;
    return made;
}

static bool hides(const CK_ATTRIBUTE *attribute, const CK_ATTRIBUTE *attributes, CK_ULONG count,
                  enum level level, unsigned depth);

static bool hides_any(const CK_ATTRIBUTE *attributes, CK_ULONG count, enum level level,
                      unsigned depth)
{
    for (CK_ULONG i = 0; attributes && i < count; i++)
        if (hides(attributes + i, attributes, count, level, depth))
            return true;
    return false;
}

/* The same of a value that may be a template: it is left out whole if its inside has a secret. */
static bool hides(const CK_ATTRIBUTE *attribute, const CK_ATTRIBUTE *attributes, CK_ULONG count,
                  enum level level, unsigned depth)
{
    CK_ULONG inside = attribute->ulValueLen / sizeof *attribute;

    if (is_template_attribute(attribute->type) && inside <= MOST_ATTRIBUTES &&
        attribute->ulValueLen % sizeof *attribute == 0 && depth < DEEPEST)
        return hides_any(attribute->pValue, inside, level, depth + 1);
    return is_left_out(attribute, attributes, count, level);
}

static void screen_template(struct stand_ins *ins, unsigned i, enum level level)
{
    const CK_ATTRIBUTE *attributes = (const CK_ATTRIBUTE *)ins->words[i];
    CK_ULONG count = ins->words[i + 1];
    CK_ATTRIBUTE *shown;

    if (!attributes || count > MOST_ATTRIBUTES || !hides_any(attributes, count, level, 1))
        return;
    shown = stand_in(ins, count * sizeof *shown);
    if (!shown)
        return;
    memcpy(shown, attributes, count * sizeof *shown);
    for (CK_ULONG at = 0; at < count; at++)
        if (hides(attributes + at, attributes, count, level, 1))
            shown[at].pValue = NULL;
    ins->words[i] = (uintptr_t)shown;
}

static bool has_password(const CK_MECHANISM *mechanism)
{
    const struct layout *layout =
        layout_of_mechanism(mechanism->mechanism, mechanism->ulParameterLen, false);

    for (unsigned i = 0; layout && layout->members[i] != M_END; i++)
        if (layout->members[i] == M_PASSWORD)
            return true;
    return false;
}

static void screen_mechanism(struct stand_ins *ins, unsigned i, enum level level)
{
    const CK_MECHANISM *mechanism = (const CK_MECHANISM *)ins->words[i];
    CK_MECHANISM *shown;

    if (!mechanism || !mechanism->pParameter || (level == REPLAY && !has_password(mechanism)))
        return;
    shown = stand_in(ins, sizeof *shown);
    if (!shown)
        return;
    *shown = *mechanism;
    shown->pParameter = NULL;
    ins->words[i] = (uintptr_t)shown;
}

/* Put something else in the place of what the level leaves out. */
static void screen(struct stand_ins *ins, const struct call *call, enum level level)
{
    static CK_BYTE nothing[1];

    memcpy(ins->words, call->words, sizeof ins->words);
    for (unsigned i = 0; level != TRAFFIC && call->kinds[i] != K_END; i++) {
        uintptr_t *word = ins->words + i;
        if (!*word)
            continue;
        switch ((enum kind)call->kinds[i]) {
        case K_PIN:
            word[0] = (uintptr_t)nothing;
            word[1] = 0;
            break;
        case K_TEMPLATE:
            screen_template(ins, i, level);
            break;
        case K_MECHANISM: case K_WRAP_MECHANISM: case K_SEAL_MECHANISM: case K_OPEN_MECHANISM:
            screen_mechanism(ins, i, level);
            break;
        case K_DATA: case K_OPTIONAL_DATA:
            if (level == CALLS && word[1] <= FRAME_LIMIT)
                word[0] = (uintptr_t)stand_in(ins, word[1]);
            break;
        case K_SEAL_PARAMETER: case K_OPEN_PARAMETER:
            if (level == CALLS)
                word[0] = 0;
            break;
        default:
            break;
        }
    }
}

/* The request's frame, made from what the level lets through; false where it cannot be made. */
static bool put_request(struct entry *entry)
{
    struct stand_ins ins = {.count = 0};
    struct call shown = entry->call;
    bool put;

    screen(&ins, &entry->call, entry->level);
    shown.words = ins.words;
    put = !ins.failed && request_put(&entry->request, &shown) == CKR_OK;
    memcpy(entry->call.capacity, shown.capacity, sizeof shown.capacity);
    while (ins.count)
        free(ins.made[--ins.count]);
    return put;
}

/* ---- the line ---- */

static void print(struct frame *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct frame *line, const char *format, ...)
{
    char text[256];
    va_list values;
    int length;

    va_start(values, format);
    length = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (length < 0 || (size_t)length >= sizeof text)
        line->failed = true;
    else
        frame_put(line, text, (size_t)length);
}

/* A text that may be anything, in quotation marks. */
static void print_text(struct frame *line, const char *text)
{
    print(line, "\"");
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < ' ' || byte == '"' || byte == '\\')
            print(line, "\\u%04x", byte);
        else
            frame_put(line, text, 1);
    }
    print(line, "\"");
}

/* The zeros at the end are left out: they stand for data that are not told. */
static void print_payload(struct frame *line, const char *name, const struct frame *payload)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = payload->size - HEADER_SIZE, told = size;
    const uint8_t *bytes = payload->bytes + HEADER_SIZE;
    size_t at;

    while (told && !bytes[told - 1])
        told--;
    print(line, ", \"%s\": {\"size\": %zu, \"hex\": \"", name, size);
    at = line->size;
    if (line->failed || told > FRAME_LIMIT / 4 || !frame_reserve(line, at + 2 * told)) {
        line->failed = true;
        return;
    }
    for (size_t i = 0; i < told; i++) {
        line->bytes[at++] = (uint8_t)digits[bytes[i] >> 4];
        line->bytes[at++] = (uint8_t)digits[bytes[i] & 15];
    }
    line->size = at;
    print(line, "\"}");
}

/* The file is opened for each line: a program may close descriptors that it does not know. One
 * write appends a whole line, whoever else writes (write(2), O_APPEND). */
static bool append(const struct frame *line)
{
    ssize_t written;
    int fd;

    if (!file)
        return true;
    if (line->failed)
        return false;
    fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    do
        written = write(fd, line->bytes, line->size);
    while (written < 0 && errno == EINTR);
    if (written > 0 && (size_t)written < line->size && write(fd, "\n", 1) != 1)
        written = -1; /* half a line, that the next one stands behind */
    close(fd);
    return written >= 0 && (size_t)written == line->size;
}

/* A line that cannot be written is counted, and the next one tells of it. */
static void write_line(struct frame *line, unsigned long missing)
{
    if (append(line))
        return;
    if (atomic_fetch_add(&lost, missing + 1) == 0)
        fprintf(stderr, "libukeyrecord: a line could not be written to %s\n", file);
}

/* Begin a call: what it asks is written down before it can change it. */
void entry_begin(struct entry *entry, unsigned number, const uint8_t *kinds,
                 const uintptr_t *words)
{
    int error = errno;

    *entry = (struct entry){.call = {.number = number, .kinds = kinds, .words = words}};
    entry->level = file ? wanted : BARE;
    entry->n = atomic_fetch_add(&calls, 1) + 1;
    entry->readable = entry->level != BARE && put_request(entry);
    entry->time = now(CLOCK_REALTIME);
    entry->begun = now(CLOCK_MONOTONIC);
    errno = error;
}

static unsigned long begin_line(struct frame *line, int64_t time)
{
    unsigned long missing = atomic_exchange(&lost, 0);

    print(line, "{\"time\": %lld.%06d, \"pid\": %ld, \"tid\": %ld, \"program\": ",
          (long long)(time / 1000000), (int)(time % 1000000), (long)getpid(),
          (long)syscall(SYS_gettid));
    print_text(line, program_invocation_short_name);
    if (missing)
        print(line, ", \"lost\": %lu", missing);
    return missing;
}

/* End a call with its return value, and write its line. */
void entry_end(struct entry *entry, const char *function, CK_RV rv)
{
    int64_t took = now(CLOCK_MONOTONIC) - entry->begun;
    int error = errno;
    struct frame line = {0}, answer = {0};
    unsigned long missing = begin_line(&line, entry->time);

    print(&line, ", \"n\": %lu, \"function\": \"%s\", \"rv\": %lu, \"us\": %lld", entry->n,
          function, rv, (long long)took);
    if (entry->readable) {
        frame_begin(&answer, entry->call.number);
        results_put(&answer, &entry->call, &entry->request, rv, entry->level);
        if (!answer.failed) {
            print_payload(&line, "request", &entry->request);
            print_payload(&line, "answer", &answer);
        }
    }
    print(&line, "}\n");
    write_line(&line, missing);
    frame_release(&line);
    frame_release(&answer);
    frame_release(&entry->request);
    errno = error;
}

/* Write which module is recorded and what it offers, as [major, minor, flags]. */
void entry_module(const char *path, const CK_INTERFACE *interfaces, CK_ULONG count)
{
    struct frame line = {0};
    unsigned long missing;

    if (wanted == BARE)
        return;
    missing = begin_line(&line, now(CLOCK_REALTIME));
    print(&line, ", \"module\": ");
    print_text(&line, path);
    print(&line, ", \"interfaces\": [");
    for (CK_ULONG i = 0; i < count; i++) {
        const CK_VERSION *version = interfaces[i].pFunctionList;
        print(&line, "%s[%d, %d, %lu]", i ? ", " : "", version->major, version->minor,
              interfaces[i].flags);
    }
    print(&line, "]}\n");
    write_line(&line, missing);
    frame_release(&line);
}
