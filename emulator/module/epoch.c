/* The epoch: a number that the rack shares with its programs, in a page that they can only read.
 *
 * The page lies at one place as long as the module is loaded, so that a thread can read it without a
 * lock while another one takes or drops a rack's: without a rack it holds 0. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dial.h"

static _Atomic(const _Atomic(uint64_t) *) page;

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Only a page that cannot be cut off under our feet. */
static bool is_whole(int fd)
{
    struct stat told;
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && seals & F_SEAL_SHRINK && fstat(fd, &told) == 0 &&
           told.st_size >= (off_t)page_size();
}

/* Take a rack's page from its descriptor, which is closed; -1 for a rack that has none. */
void epoch_take(int fd)
{
    void *place = (void *)page;

    if (fd < 0)
        return;
    if (is_whole(fd)) {
        place = mmap(place, page_size(), PROT_READ, MAP_SHARED | (place ? MAP_FIXED : 0), fd, 0);
        if (place != MAP_FAILED)
            page = place;
    }
    close(fd);
}

/* Drop the rack's page. */
void epoch_drop(void)
{
    void *place = (void *)page;

    if (place && mmap(place, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                      0) == MAP_FAILED)
        page = NULL; /* it stays mapped: another thread may be about to read it */
}

/* Give the page back: the module is being unloaded. */
void epoch_end(void)
{
    if (page)
        munmap((void *)page, page_size());
    page = NULL;
}

/* The epoch, 0 where none is known. */
uint64_t epoch_now(void)
{
    const _Atomic(uint64_t) *number = page;

    return number ? atomic_load_explicit(number, memory_order_acquire) : 0;
}
