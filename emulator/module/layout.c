/* The structs with pointers that mechanisms have as parameter: parameters.def, walked. */
#define _GNU_SOURCE
#include "module.h"

#include <sys/uio.h>
#include <unistd.h>

#define NUMBER(x) M_NUMBER
#define BYTE(x) M_BYTE
#define BYTES(x) M_BYTES
#define LENGTH_BYTES(x) M_LENGTH_BYTES
#define BITS(x) M_BITS
#define BYTES_8(x) M_BYTES_8
#define BYTES_16(x) M_BYTES_16
#define POINTER_8(x) M_POINTER_8
#define ITEMS(x) M_ITEMS
#define OAEP_POINTER(x) M_OAEP_POINTER
#define SKIPPED(x) M_SKIPPED
#define IV(x) M_IV
#define TAG(x) M_TAG
#define TAG_BITS(x) M_TAG_BITS
#define TAG_16(x) M_TAG_16
#define PASSWORD(x) M_PASSWORD

#define LAYOUT(name, size, ...) static const struct layout layout_##name = {size, {__VA_ARGS__}};
#define MESSAGE(name, size, ...) LAYOUT(name, size, __VA_ARGS__)
#define PARAMETER(mechanism, name, layout)
#define SEALED(mechanism, name, layout)
#define TEMPLATE_ATTRIBUTE(type, name)
#include "parameters.def"
#undef LAYOUT
#undef MESSAGE
#undef PARAMETER
#undef TEMPLATE_ATTRIBUTE

#define LAYOUT(name, size, ...)
#define MESSAGE(name, size, ...)
#define PARAMETER(mechanism, name, layout) {mechanism, &layout_##layout},
#define TEMPLATE_ATTRIBUTE(type, name)
struct mechanism_layout {
    CK_MECHANISM_TYPE mechanism;
    const struct layout *layout;
};
static const struct mechanism_layout parameters[] = {
#include "parameters.def"
};
#undef PARAMETER
#undef SEALED

#define PARAMETER(mechanism, name, layout)
#define SEALED(mechanism, name, layout) {mechanism, &layout_##layout},
static const struct mechanism_layout sealed[] = {
#include "parameters.def"
};
#undef MESSAGE
#undef PARAMETER
#undef SEALED

#define MESSAGE(name, size, ...) &layout_##name,
#define PARAMETER(mechanism, name, layout)
#define SEALED(mechanism, name, layout)
static const struct layout *const messages[] = {
#include "parameters.def"
};
#undef MESSAGE
#undef TEMPLATE_ATTRIBUTE

#define MESSAGE(name, size, ...)
#define TEMPLATE_ATTRIBUTE(type, name) type,
static const CK_ATTRIBUTE_TYPE template_attributes[] = {
#include "parameters.def"
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The layout of a mechanism's parameter; NULL where it is flat, or where no layout is that long.
 * In authenticated wrapping some mechanisms have the parameter of a message. */
const struct layout *layout_of_mechanism(CK_MECHANISM_TYPE mechanism, CK_ULONG size,
                                         bool authenticated)
{
    for (size_t i = 0; authenticated && i < COUNT(sealed); i++)
        if (sealed[i].mechanism == mechanism && sealed[i].layout->size == size)
            return sealed[i].layout;
    for (size_t i = 0; i < COUNT(parameters); i++)
        if (parameters[i].mechanism == mechanism && parameters[i].layout->size == size)
            return parameters[i].layout;
    return NULL;
}

bool mechanism_has_layout(CK_MECHANISM_TYPE mechanism)
{
    for (size_t i = 0; i < COUNT(parameters); i++)
        if (parameters[i].mechanism == mechanism)
            return true;
    return false;
}

const struct layout *layout_of_message(CK_ULONG size)
{
    for (size_t i = 0; i < COUNT(messages); i++)
        if (messages[i]->size == size)
            return messages[i];
    return NULL;
}

const struct layout *layout_oaep(void)
{
    return &layout_OAEP;
}

bool is_template_attribute(CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < COUNT(template_attributes); i++)
        if (template_attributes[i] == type)
            return true;
    return false;
}

static size_t member_size(enum member member)
{
    switch (member) {
    case M_END: return 0;
    case M_BYTE: return 1;
    case M_NUMBER: case M_BYTES_8: case M_POINTER_8: case M_OAEP_POINTER: case M_SKIPPED:
    case M_TAG_16: return 8;
    case M_BYTES: case M_LENGTH_BYTES: case M_BITS: case M_BYTES_16: case M_ITEMS: case M_IV:
    case M_TAG: case M_TAG_BITS: case M_PASSWORD: return 16;
    }
    return 0;
}

static bool is_aligned(enum member member)
{
    return member != M_BYTE && member != M_BYTES_8 && member != M_BYTES_16;
}

/* PKCS#11 2.40 had the length of a password behind a pointer (CK_PKCS5_PBKD2_PARAMS), later versions
 * have it in place (..._PARAMS2), and the structs are of one size: NSS still calls with the first.
 * No address is as low as a password is long (/proc/sys/vm/mmap_min_addr). Through the kernel a
 * length that is neither does no harm. */
static uint64_t password_length(uint64_t word)
{
    enum { LOWEST_ADDRESS = 0x10000 };
    CK_ULONG length;
    struct iovec here = {&length, sizeof(length)};
    struct iovec there = {(void *)(uintptr_t)word, sizeof(length)};

    if (word < LOWEST_ADDRESS ||
        process_vm_readv(getpid(), &here, 1, &there, 1, 0) != (ssize_t)sizeof(length))
        return word;
    return length;
}

/* The member at an index of a struct in the program's memory. */
struct field layout_field(const struct layout *layout, unsigned index, const void *base)
{
    const uint8_t *at = base;
    size_t offset = 0;

    for (unsigned i = 0;; i++) {
        if (is_aligned(layout->members[i]))
            offset = (offset + 7) & ~(size_t)7;
        if (i == index)
            break;
        offset += member_size(layout->members[i]);
    }
    struct field field = {.member = layout->members[index]};
    uint64_t first = 0, second = 0;
    at += offset;
    if (member_size(field.member) >= 8)
        memcpy(&first, at, 8);
    if (member_size(field.member) >= 16)
        memcpy(&second, at + 8, 8);
    switch (field.member) {
    case M_NUMBER:
        field.number = first;
        break;
    case M_BYTE:
        field.number = *at;
        break;
    case M_LENGTH_BYTES: case M_ITEMS: /* the length comes first */
        field.bytes = (uint8_t *)(uintptr_t)second;
        field.size = field.number = first;
        break;
    case M_BITS: case M_TAG_BITS:
        field.bytes = (uint8_t *)(uintptr_t)first;
        field.number = second;
        field.size = second / 8 + (second % 8 != 0);
        break;
    case M_BYTES_8: case M_BYTES_16:
        field.bytes = (uint8_t *)(uintptr_t)at;
        field.size = field.member == M_BYTES_8 ? 8 : 16;
        break;
    case M_POINTER_8: case M_TAG_16: case M_OAEP_POINTER: case M_SKIPPED:
        field.bytes = (uint8_t *)(uintptr_t)first;
        field.size = field.member == M_POINTER_8 ? 8 : field.member == M_TAG_16 ? 16 : 0;
        break;
    case M_BYTES: case M_IV: case M_TAG:
        field.bytes = (uint8_t *)(uintptr_t)first;
        field.size = field.number = second;
        break;
    case M_PASSWORD:
        field.bytes = (uint8_t *)(uintptr_t)first;
        field.size = field.number = password_length(second);
        break;
    case M_END:
        break;
    }
    return field;
}

/* Where NULL asks for the length, or for nothing, whatever length stands beside it. */
static bool may_be_null(enum member member)
{
    return member == M_IV || member == M_TAG || member == M_TAG_BITS || member == M_TAG_16 ||
           member == M_POINTER_8;
}

/* Whether the lengths inside a struct can be true. */
bool layout_fits(const struct layout *layout, const void *base)
{
    for (unsigned i = 0; layout->members[i] != M_END; i++) {
        struct field field = layout_field(layout, i, base);
        uint64_t most = field.member == M_ITEMS ? MOST_ATTRIBUTES : MOST_PARAMETER;
        if (field.bytes ? field.size > most : field.size && !may_be_null(field.member))
            return false;
        if (field.member == M_OAEP_POINTER && field.bytes &&
            !layout_fits(&layout_OAEP, field.bytes))
            return false;
    }
    return true;
}
