/* Frames: bytes that grow as they are written, and bytes that are read with care. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "module.h"

enum { FIRST_ROOM = 4096, KEPT_ROOM = 1024 * 1024 };

bool frame_reserve(struct frame *frame, size_t capacity)
{
    if (frame->failed || capacity > HEADER_SIZE + (size_t)FRAME_LIMIT) {
        frame->failed = true;
        return false;
    }
    if (capacity <= frame->capacity)
        return true;
    size_t grown = frame->capacity ? frame->capacity : FIRST_ROOM;
    while (grown < capacity)
        grown *= 2;
    /* no realloc: what it leaves behind could be a PIN */
    uint8_t *bytes = malloc(grown);
    if (!bytes) {
        frame->failed = true;
        return false;
    }
    if (frame->bytes) {
        memcpy(bytes, frame->bytes, frame->size);
        explicit_bzero(frame->bytes, frame->size);
        free(frame->bytes);
    }
    frame->bytes = bytes;
    frame->capacity = grown;
    return true;
}

void frame_put(struct frame *frame, const void *bytes, size_t size)
{
    if (size && size <= FRAME_LIMIT && frame_reserve(frame, frame->size + size)) {
        memcpy(frame->bytes + frame->size, bytes, size);
        frame->size += size;
    } else if (size) {
        frame->failed = true;
    }
}

void frame_put_word(struct frame *frame, uint64_t word)
{
    frame_put(frame, &word, sizeof word);
}

void frame_begin(struct frame *frame, unsigned number)
{
    const uint8_t header[HEADER_SIZE] = {PROTOCOL_VERSION, (uint8_t)number};

    frame->size = 0;
    frame->failed = false;
    frame_put(frame, header, sizeof header);
}

void frame_end(struct frame *frame)
{
    if (!frame->failed) {
        uint32_t length = (uint32_t)(frame->size - HEADER_SIZE);
        memcpy(frame->bytes + 2, &length, sizeof length);
    }
}

/* Wipe what was sent or received, and give back what only one long call needed. */
void frame_forget(struct frame *frame)
{
    if (frame->bytes)
        explicit_bzero(frame->bytes, frame->size);
    frame->size = 0;
    if (frame->capacity > KEPT_ROOM) {
        free(frame->bytes);
        frame->bytes = NULL;
        frame->capacity = 0;
    }
}

uint64_t reader_word(struct reader *reader)
{
    uint64_t word = 0;
    const uint8_t *bytes = reader_bytes(reader, sizeof word);

    if (bytes)
        memcpy(&word, bytes, sizeof word);
    return word;
}

const uint8_t *reader_bytes(struct reader *reader, uint64_t size)
{
    const uint8_t *bytes = reader->bytes;

    if (reader->bad || size > reader->size) {
        reader->bad = true;
        return NULL;
    }
    reader->bytes += size;
    reader->size -= size;
    return bytes;
}
