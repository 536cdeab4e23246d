/* The rack, in the place of the module's socket: the linker puts these functions before those of
 * libc (--wrap). It greets as a rack does, and gives the fuzzer's answer to the function that is
 * called, in pieces, between signals, or cut off. */
#define _GNU_SOURCE
#include "socket.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OURS = 900, SOCKETS = 8 }; /* descriptors that no file has */

struct rack rack;

static struct {
    struct frame in;       /* what came of the frame that is being sent */
    struct frame out;      /* what goes back */
    struct source answer;
    unsigned number;       /* of the function that is called */
    bool framed, broken, paused;
    uint32_t roll;         /* 0: everything comes at once */
} side;

#define WRAP(type, name, ...)         \
    type __real_##name(__VA_ARGS__);  \
    type __wrap_##name(__VA_ARGS__);  \
    type __wrap_##name(__VA_ARGS__)

static bool is_ours(int socket)
{
    return socket >= OURS && socket < OURS + SOCKETS;
}

static unsigned roll(void)
{
    if (!side.roll)
        return 15;
    side.roll = side.roll * 1103515245 + 12345;
    return side.roll >> 16 & 15;
}

static ssize_t fails(int reason)
{
    errno = reason;
    return -1;
}

/* ---- the rack ---- */

static void reply(unsigned number, const void *payload, size_t size)
{
    uint8_t header[HEADER_SIZE] = {PROTOCOL_VERSION, (uint8_t)number};
    uint32_t length = (uint32_t)size;

    memcpy(header + 2, &length, sizeof length);
    frame_put(&side.out, header, sizeof header);
    frame_put(&side.out, payload, size);
}

/* Take bytes of frames; each that is whole is answered, but for what the module only tells. */
static void take(const uint8_t *bytes, size_t size)
{
    static const CK_RV ok = CKR_OK;
    uint32_t length;

    frame_put(&side.in, bytes, size);
    while (side.in.size >= HEADER_SIZE) {
        unsigned number = side.in.bytes[1];
        memcpy(&length, side.in.bytes + 2, sizeof length);
        size_t whole = HEADER_SIZE + (size_t)length;
        if (side.in.size < whole)
            return;
        if (number == HELLO || number == FINALIZE) {
            reply(number, &ok, sizeof ok);
        } else if (number == side.number) {
            rack.request.size = 0;
            frame_put(&rack.request, side.in.bytes, whole);
            if (side.framed)
                reply(number, side.answer.bytes, side.answer.size);
            else
                frame_put(&side.out, side.answer.bytes, side.answer.size);
        }
        memmove(side.in.bytes, side.in.bytes + whole, side.in.size - whole);
        side.in.size -= whole;
    }
}

/* Give bytes of the answer; 0 at its end. */
static ssize_t give(void *room, size_t size, int flags)
{
    unsigned manner = roll();

    if (manner == 0)
        return fails(EINTR);
    if (manner == 1 && flags & MSG_DONTWAIT && !side.paused) {
        side.paused = true;
        return fails(EAGAIN);
    }
    if (!side.out.size)
        return side.broken ? fails(manner % 2 ? ECONNRESET : EAGAIN) : 0;
    if (manner < 12 && size > manner && !(flags & MSG_WAITALL))
        size = manner ? manner : 1;
    if (size > side.out.size)
        size = side.out.size;
    memcpy(room, side.out.bytes, size);
    memmove(side.out.bytes, side.out.bytes + size, side.out.size - size);
    side.out.size -= size;
    return (ssize_t)size;
}

/* How many of so many bytes are taken at once; -1 where none are. */
static ssize_t taken(size_t size)
{
    unsigned manner = roll();

    if (manner == 0)
        return fails(EINTR);
    if (manner == 1 && side.broken)
        return fails(EPIPE);
    return manner < 8 && size > manner ? (ssize_t)(size - manner) : (ssize_t)size;
}

/* What comes next is the answer to the function of that number, in that manner. */
void socket_answer(unsigned number, struct source answer, bool framed, bool broken, unsigned manner)
{
    side.number = number;
    side.answer = answer;
    side.framed = framed;
    side.broken = broken;
    side.roll = manner;
    side.paused = false;
}

/* From now on whatever is sent is answered as it should be. */
void socket_be_good(void)
{
    socket_answer(HELLO, (struct source){0}, true, false, 0);
    side.out.size = 0;
}

static void empty(struct frame *frame)
{
    free(frame->bytes);
    *frame = (struct frame){0};
}

void socket_forget(void)
{
    empty(&side.in);
    empty(&side.out);
    empty(&rack.request);
}

/* ---- in the place of libc's ---- */

WRAP(int, socket, int domain, int type, int protocol)
{
    static int next;

    (void)domain, (void)type, (void)protocol;
    next = (next + 1) % SOCKETS;
    side.in.size = side.out.size = 0; /* one that was left has nothing more to say */
    return OURS + next;
}

WRAP(int, connect, int socket, const struct sockaddr *address, socklen_t size)
{
    return is_ours(socket) ? 0 : __real_connect(socket, address, size);
}

WRAP(int, setsockopt, int socket, int level, int name, const void *value, socklen_t size)
{
    return is_ours(socket) ? 0 : __real_setsockopt(socket, level, name, value, size);
}

WRAP(int, getsockopt, int socket, int level, int name, void *value, socklen_t *size)
{
    const struct ucred peer = {.uid = geteuid()};

    if (!is_ours(socket))
        return __real_getsockopt(socket, level, name, value, size);
    if (level == SOL_SOCKET && name == SO_PEERCRED && *size >= sizeof peer)
        memcpy(value, &peer, sizeof peer);
    return 0;
}

WRAP(int, poll, struct pollfd *waited, nfds_t count, int timeout)
{
    return count && is_ours(waited->fd) ? 0 : __real_poll(waited, count, timeout);
}

WRAP(int, shutdown, int socket, int how)
{
    return is_ours(socket) ? 0 : __real_shutdown(socket, how);
}

WRAP(int, close, int file)
{
    return is_ours(file) ? 0 : __real_close(file);
}

WRAP(ssize_t, send, int socket, const void *bytes, size_t size, int flags)
{
    ssize_t sent;

    if (!is_ours(socket))
        return __real_send(socket, bytes, size, flags);
    sent = taken(size);
    if (sent > 0)
        take(bytes, (size_t)sent);
    return sent;
}

WRAP(ssize_t, sendmsg, int socket, const struct msghdr *message, int flags)
{
    size_t size = 0;
    ssize_t sent;

    if (!is_ours(socket))
        return __real_sendmsg(socket, message, flags);
    for (size_t i = 0; i < message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    sent = taken(size);
    size = sent > 0 ? (size_t)sent : 0;
    for (size_t i = 0; i < message->msg_iovlen && size; i++) {
        size_t part = message->msg_iov[i].iov_len < size ? message->msg_iov[i].iov_len : size;
        take(message->msg_iov[i].iov_base, part);
        size -= part;
    }
    return sent;
}

WRAP(ssize_t, recv, int socket, void *room, size_t size, int flags)
{
    return is_ours(socket) ? give(room, size, flags) : __real_recv(socket, room, size, flags);
}

WRAP(ssize_t, recvmsg, int socket, struct msghdr *message, int flags)
{
    if (!is_ours(socket))
        return __real_recvmsg(socket, message, flags);
    message->msg_controllen = 0;
    return give(message->msg_iov->iov_base, message->msg_iov->iov_len, flags);
}
