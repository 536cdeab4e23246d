/* One connection to the rack: where its socket is, who listens there, the hello, one exchange. */
#define _GNU_SOURCE
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define WATCHED (50 * SECOND / 1000000)
#define TOO_LONG (3 * WATCHED) /* also for an answer that was slept through, and so came later */

static const char socket_name[] = "rack.sock";
static const struct frame nothing;

/* The rack's folder: $UKEY_HOME, or ukeylab in the XDG state folder. A set-uid program looks at
 * neither. */
static bool find_home(char *home, size_t size)
{
    const char *chosen = secure_getenv("UKEY_HOME");
    const char *state = secure_getenv("XDG_STATE_HOME");
    const char *user = secure_getenv("HOME");
    int length = -1;

    if (chosen && *chosen)
        length = snprintf(home, size, "%s", chosen);
    else if (state && *state == '/') /* the XDG specification wants it absolute */
        length = snprintf(home, size, "%s/ukeylab", state);
    else if (user && *user)
        length = snprintf(home, size, "%s/.local/state/ukeylab", user);
    return length > 0 && (size_t)length < size;
}

/* Close a socket that was of no use, and keep errno. */
static int give_up(int fd)
{
    int reason = errno;

    if (fd >= 0)
        close(fd);
    errno = reason;
    return -1;
}

static bool connect_in(int fd, const char *home)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int folder = -1;
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", home, socket_name);

    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
        /* too long a path for a socket: through the folder's descriptor it has a short name */
        folder = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
            return false;
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder,
                 socket_name);
    }
    int result;
    do
        result = connect(fd, (const struct sockaddr *)&address, sizeof address);
    while (result < 0 && errno == EINTR);
    give_up(folder);
    return result == 0;
}

static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

static void be_patient(int fd, enum patience patience)
{
    struct timeval limit = {.tv_sec = patience};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/* Send two frames, the first of which may be empty. */
static bool send_both(int fd, const struct frame *first, const struct frame *second, int flags)
{
    struct iovec parts[] = {{first->bytes, first->size}, {second->bytes, second->size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    while (parts[0].iov_len + parts[1].iov_len) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | flags);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        for (unsigned i = 0; i < 2; i++) {
            size_t gone = (size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
            if (gone) /* an empty frame has no address to count from */
                parts[i].iov_base = (uint8_t *)parts[i].iov_base + gone;
            parts[i].iov_len -= gone;
            sent -= (ssize_t)gone;
        }
    }
    return true;
}

/* Receive the answer to a hello: CKR_OK, and with an anchor's the epoch's descriptor. */
static bool is_welcome(int fd, int *epoch)
{
    struct { uint8_t header[HEADER_SIZE]; uint64_t rv; } __attribute__((packed)) answer;
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr aligned; } beside;
    struct iovec room = {&answer, sizeof answer};
    struct msghdr message = {.msg_iov = &room, .msg_iovlen = 1, .msg_control = &beside,
                             .msg_controllen = sizeof beside};
    ssize_t got;

    do /* so short an answer comes whole */
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); got > 0 && each;
         each = CMSG_NXTHDR(&message, each)) {
        int brought;
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(&brought, CMSG_DATA(each), sizeof brought);
        if (epoch && *epoch < 0)
            *epoch = brought;
        else
            close(brought);
    }
    return got == sizeof answer && answer.header[0] == PROTOCOL_VERSION &&
           answer.header[1] == HELLO && answer.rv == CKR_OK;
}

static bool greet(int fd, const uint8_t identity[IDENTITY_SIZE], enum role role, int *epoch)
{
    const char *name = program_invocation_short_name;
    struct frame frame = {0};
    bool welcome;

    frame_begin(&frame, HELLO);
    frame_put(&frame, identity, IDENTITY_SIZE);
    frame_put_word(&frame, (uint64_t)getpid());
    frame_put_word(&frame, role);
    frame_put(&frame, name, strnlen(name, 255));
    frame_end(&frame);
    welcome = !frame.failed && send_both(fd, &nothing, &frame, 0) && is_welcome(fd, epoch);
    free(frame.bytes);
    return welcome;
}

/* Connect to the rack as the application of that identity. Gives the socket, or -1 where no rack of
 * this user answers, with errno. With an anchor the rack also gives a descriptor of its epoch, which
 * is put into `epoch` (-1 before); a thread hands NULL. */
int dial_rack(const uint8_t identity[IDENTITY_SIZE], enum role role, int *epoch)
{
    char home[4096];
    struct timeval limit = {.tv_sec = BRIEF};
    int fd;

    if (!find_home(home, sizeof home)) {
        errno = ENOENT;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && fd <= STDERR_FILENO) {
        /* the program has closed its standard files: its output must not reach the rack */
        int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(fd);
        fd = higher;
    }
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* connect heeds it as well */
    be_patient(fd, BRIEF);
    if (!connect_in(fd, home))
        return give_up(fd);
    errno = EPROTO;
    if (!is_ours(fd) || !greet(fd, identity, role, epoch))
        return give_up(fd);
    limit.tv_sec = LONG;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    be_patient(fd, LONG);
    return fd;
}

static int64_t now(void) /* in nanoseconds */
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* Look for the answer for a short while before going to sleep: on an idle processor, to be woken
 * takes longer than most calls. Whoever else wants the processor gets it meanwhile. */
static void watch(int fd, struct frame *frame, int64_t end)
{
    do {
        ssize_t got = recv(fd, frame->bytes, frame->capacity, MSG_DONTWAIT);
        if (got > 0)
            frame->size = (size_t)got;
        if (got >= 0 || errno != EAGAIN)
            return; /* an end or a fault shows itself again in receive */
        sched_yield();
    } while (now() < end);
}

/* Receive until `size` bytes of the answer are there. False with errno, which is 0 for a connection
 * that was ended. */
static bool receive(int fd, struct frame *frame, size_t size, enum patience patience)
{
    int64_t begun = 0;

    while (frame->size < size) {
        ssize_t got = recv(fd, frame->bytes + frame->size, frame->capacity - frame->size, 0);
        if (got < 0 && errno == EINTR) {
            /* a signal restarts the wait: count its length here */
            begun = begun ? begun : now();
            if (patience != ENDLESS && now() - begun > patience * SECOND) {
                errno = EAGAIN;
                return false;
            }
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            return false;
        }
        frame->size += (size_t)got;
    }
    return true;
}

/* Tell the rack what needs no answer, if it takes it at once. */
void dial_tell(int fd, struct frame *told)
{
    if (told->size)
        send_both(fd, told, &nothing, MSG_DONTWAIT);
    frame_forget(told);
}

/* Send a frame and receive the answer in its place; before it goes what the rack is told, if
 * `told` is not NULL. `slow` says whether such a call took too long the last time to be watched for,
 * which would only take the processor from whoever works, and then how it was this time.
 * CKR_DEVICE_REMOVED where the rack is gone, CKR_DEVICE_ERROR for an answer that is none or does not
 * come in time; the connection is of no more use then. */
CK_RV dial_exchange(int fd, struct frame *told, struct frame *frame, bool *slow,
                    enum patience patience)
{
    const uint8_t version = PROTOCOL_VERSION, number = frame->bytes[1];
    uint32_t length;
    int64_t begun;

    if (!send_both(fd, told ? told : &nothing, frame, 0))
        return errno == EAGAIN ? CKR_DEVICE_ERROR : CKR_DEVICE_REMOVED;
    if (told)
        frame_forget(told);
    explicit_bzero(frame->bytes, frame->size);
    frame->size = 0;
    begun = now();
    if (!*slow)
        watch(fd, frame, begun + WATCHED);
    if (patience == ENDLESS)
        be_patient(fd, ENDLESS);
    if (!receive(fd, frame, HEADER_SIZE, patience))
        return errno == EAGAIN ? CKR_DEVICE_ERROR : CKR_DEVICE_REMOVED;
    if (patience == ENDLESS)
        be_patient(fd, LONG);
    *slow = now() - begun > TOO_LONG;
    memcpy(&length, frame->bytes + 2, sizeof length);
    if (frame->bytes[0] != version || frame->bytes[1] != number || length > FRAME_LIMIT ||
        frame->size > HEADER_SIZE + (size_t)length)
        return CKR_DEVICE_ERROR;
    if (!frame_reserve(frame, HEADER_SIZE + (size_t)length))
        return CKR_HOST_MEMORY;
    if (!receive(fd, frame, HEADER_SIZE + (size_t)length, LONG))
        return errno == EAGAIN ? CKR_DEVICE_ERROR : CKR_DEVICE_REMOVED;
    return frame->size == HEADER_SIZE + (size_t)length ? CKR_OK : CKR_DEVICE_ERROR;
}
