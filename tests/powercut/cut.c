/* Cuts the power of a process: counts what it does to the files of one folder, and ends it there.
 *
 * Preloaded into the process that holds keys. After cut_watch every call that changes a file below
 * the folder is one step. It is written into the journal after it is done, with its bytes, so that
 * a disk can be played back from it. So is a call that waits for the disk, which does not wait: the
 * journal tells what the disk would have then, and the test is quick.
 *
 * cut_at(n, torn): the process is killed before step n, or after half of the bytes of write n.
 * cut_at_send(n): the process is killed before it sends its n-th message to anybody.
 *
 * A call that changes files and is not here would make the journal differ from the folder, which
 * the test sees.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { MAKE = 1, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, MARK };

struct record {
    uint32_t kind, path;            /* length of the path that follows */
    uint64_t offset, length;        /* length of the data that follows the path */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int journal = -1;
static long steps, writes, stop_at;
static int stop_torn;
static long sends, stop_at_send;

#define REAL(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        abort();
    return found;
}

static void put(const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        long done = syscall(SYS_write, journal, at, length);
        if (done <= 0)
            abort();
        at += done;
        length -= (size_t)done;
    }
}

static void note(enum kind kind, const char *path, off_t offset, const void *data, size_t length)
{
    size_t size = strlen(path);
    struct record record = {kind, (uint32_t)size, (uint64_t)offset, length};
    if (journal < 0)
        return;
    put(&record, sizeof record);
    put(path, size);
    if (data != NULL)
        put(data, length);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Whether a path is the folder or below it; gives what follows the folder's own path. */
static const char *below(const char *path)
{
    if (folder_length == 0 || strncmp(path, folder, folder_length) != 0)
        return NULL;
    if (path[folder_length] != '/' && path[folder_length] != '\0')
        return NULL;
    return path + folder_length;
}

static const char *path_of(int file, char *room)
{
    char link[64];
    ssize_t length;
    if (folder_length == 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, room, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    room[length] = '\0';
    return below(room);
}

/* Begins a step: everybody else waits until it is done. */
static void begin(void)
{
    pthread_mutex_lock(&lock);
    if (++steps == stop_at && !stop_torn)
        die();
}

static void end(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- what the test calls ---- */

void cut_watch(const char *path, int file)
{
    pthread_mutex_lock(&lock);
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
    journal = file;
    steps = writes = stop_at = 0;
    pthread_mutex_unlock(&lock);
}

void cut_at(long step, int torn)
{
    pthread_mutex_lock(&lock);
    steps = writes = 0;
    stop_at = step;
    stop_torn = torn;
    pthread_mutex_unlock(&lock);
}

void cut_at_send(long message)
{
    pthread_mutex_lock(&lock);
    sends = 0;
    stop_at_send = message;
    pthread_mutex_unlock(&lock);
}

long cut_sends(void)
{
    return sends;
}

void cut_mark(const char *text)
{
    pthread_mutex_lock(&lock);
    note(MARK, text, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
}

/* ---- what the process calls ---- */

static ssize_t written(int file, const void *data, size_t length, off_t offset, int at_offset)
{
    char room[PATH_MAX];
    const char *path = path_of(file, room);
    ssize_t done;
    if (path == NULL)
        return at_offset ? syscall(SYS_pwrite64, file, data, length, offset)
                         : syscall(SYS_write, file, data, length);
    begin();
    if (!at_offset)
        offset = lseek(file, 0, SEEK_CUR);
    if (stop_torn && ++writes == stop_at) {
        syscall(SYS_pwrite64, file, data, length / 2, offset);
        die();
    }
    done = at_offset ? syscall(SYS_pwrite64, file, data, length, offset)
                     : syscall(SYS_write, file, data, length);
    if (done > 0)
        note(WRITE, path, offset, data, (size_t)done);
    end();
    return done;
}

ssize_t write(int file, const void *data, size_t length)
{
    return written(file, data, length, 0, 0);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset)
{
    return written(file, data, length, offset, 1);
}

ssize_t pwrite64(int file, const void *data, size_t length, off_t offset)
{
    return written(file, data, length, offset, 1);
}

int ftruncate64(int file, off_t length)
{
    char room[PATH_MAX];
    const char *path = path_of(file, room);
    long done;
    if (path == NULL)
        return (int)syscall(SYS_ftruncate, file, length);
    begin();
    done = syscall(SYS_ftruncate, file, length);
    if (done == 0)
        note(TRUNCATE, path, length, NULL, 0);
    end();
    return (int)done;
}

int ftruncate(int file, off_t length)
{
    return ftruncate64(file, length);
}

static int synced(int file, int data_only)
{
    char room[PATH_MAX];
    const char *path = path_of(file, room);
    if (path == NULL)
        return (int)syscall(data_only ? SYS_fdatasync : SYS_fsync, file);
    pthread_mutex_lock(&lock);
    note(SYNC, path, 0, NULL, 0);
    end();
    return 0;
}

int fsync(int file)
{
    return synced(file, 0);
}

int fdatasync(int file)
{
    return synced(file, 1);
}

static int opened(int folder_file, const char *name, int flags, mode_t mode)
{
    const char *path = name[0] == '/' ? below(name) : NULL;
    int file;
    if (path == NULL || (access(name, F_OK) == 0 ? !(flags & O_TRUNC) : !(flags & O_CREAT)))
        return (int)syscall(SYS_openat, folder_file, name, flags, mode);
    begin();
    file = (int)syscall(SYS_openat, folder_file, name, flags, mode);
    if (file >= 0)
        note(MAKE, path, 0, NULL, 0);
    end();
    return file;
}

#define OPENED(folder_file)                                          \
    mode_t mode = 0;                                                 \
    if (flags & (O_CREAT | __O_TMPFILE)) {                           \
        va_list more;                                                \
        va_start(more, flags);                                       \
        mode = va_arg(more, mode_t);                                 \
        va_end(more);                                                \
    }                                                                \
    return opened(folder_file, name, flags, mode)

int open(const char *name, int flags, ...) { OPENED(AT_FDCWD); }
int open64(const char *name, int flags, ...) { OPENED(AT_FDCWD); }
int openat(int at, const char *name, int flags, ...) { OPENED(at); }
int openat64(int at, const char *name, int flags, ...) { OPENED(at); }

int unlink(const char *name)
{
    const char *path = below(name);
    int done;
    if (path == NULL || access(name, F_OK) != 0)
        return REAL(unlink)(name);
    begin();
    done = REAL(unlink)(name);
    if (done == 0)
        note(UNLINK, path, 0, NULL, 0);
    end();
    return done;
}

int rename(const char *from, const char *to)
{
    const char *path = below(from), *target = below(to);
    int done;
    if (path == NULL || target == NULL)
        return REAL(rename)(from, to);
    begin();
    done = REAL(rename)(from, to);
    if (done == 0)
        note(RENAME, path, 0, target, strlen(target));
    end();
    return done;
}

static void sending(void)
{
    pthread_mutex_lock(&lock);
    if (++sends == stop_at_send)
        die();
    pthread_mutex_unlock(&lock);
}

ssize_t send(int socket, const void *data, size_t length, int flags)
{
    sending();
    return REAL(send)(socket, data, length, flags);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags)
{
    sending();
    return REAL(sendmsg)(socket, message, flags);
}
