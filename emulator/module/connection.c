/* The module's state: whether it is initialised, and which connections to the rack there are.
 *
 * Each thread of the program has a connection of its own, so that threads do not wait for each
 * other. One more, the anchor, is opened first and carries nothing but the end: the rack ends the
 * application when the anchor closes, be it by C_Finalize or because the program died, and hangs up
 * on its threads.
 *
 * Locks: `state.lock` guards the state and every opening and closing of a socket; a connection's
 * `busy` is held by its thread during a call and taken before `state.lock`, never after it (but by
 * trylock). A connection that was opened under another anchor is stale: its thread drops it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dial.h"
#include "recall.h"

#define DYING 500 /* milliseconds that a rack may take to close its sockets, which is long */

struct connection {
    pthread_mutex_t busy;
    int fd;         /* -1: none */
    unsigned era;   /* of the anchor that it was opened under */
    bool slow[TOLD]; /* the functions whose last answer took long */
    struct frame frame;
    struct recall recall;
    struct connection *next, **place;
};

static struct {
    pthread_mutex_t lock;
    atomic_uint life;  /* odd while initialised */
    atomic_uint era;   /* changes with each anchor, coming and going */
    int anchor;        /* -1: no rack is known */
    uint8_t identity[IDENTITY_SIZE];
    struct connection *connections;
    atomic_uint threads; /* that have one */
    pthread_key_t own; /* the thread's connection */
    bool prepared;     /* the key is made and fork is watched */
    CK_C_INITIALIZE_ARGS locking; /* the program's own mutexes, where it wants those used alone */
    void *mutex;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .anchor = -1};

unsigned module_life(void)
{
    return atomic_load_explicit(&state.life, memory_order_acquire);
}

static void close_socket(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    recall_forget(&connection->recall);
}

static void drop_anchor(void)
{
    if (state.anchor >= 0)
        close(state.anchor);
    state.anchor = -1;
    atomic_fetch_add(&state.era, 1);
    epoch_drop();
}

/* Tell the rack what was answered here, as far as nobody waits on a connection. */
static void tell_all(void)
{
    for (struct connection *each = state.connections; each; each = each->next) {
        if (pthread_mutex_trylock(&each->busy) != 0)
            continue;
        if (each->fd >= 0)
            dial_tell(each->fd, &each->recall.untold);
        pthread_mutex_unlock(&each->busy);
    }
}

/* End all connections. A thread that waits on its own is woken and closes it itself. */
static void drop_all(void)
{
    drop_anchor();
    for (struct connection *each = state.connections; each; each = each->next) {
        if (each->fd >= 0)
            shutdown(each->fd, SHUT_RDWR);
        if (pthread_mutex_trylock(&each->busy) == 0) {
            close_socket(each);
            pthread_mutex_unlock(&each->busy);
        }
    }
}

/* ---- threads ---- */

static void list(struct connection *connection)
{
    connection->next = state.connections;
    connection->place = &state.connections;
    if (connection->next)
        connection->next->place = &connection->next;
    state.connections = connection;
    atomic_fetch_add(&state.threads, 1);
}

static void unlist(struct connection *connection)
{
    atomic_fetch_sub(&state.threads, 1);
    *connection->place = connection->next;
    if (connection->next)
        connection->next->place = connection->place;
}

static void free_frame(struct connection *connection)
{
    frame_forget(&connection->frame);
    free(connection->frame.bytes);
    connection->frame = (struct frame){0};
}

static void forget_connection(struct connection *connection)
{
    unlist(connection);
    close_socket(connection);
    free_frame(connection);
    free(connection);
}

/* Have the rack make the calls that a thread was promised; its `busy` is held. */
static void settle(struct connection *connection)
{
    struct frame frame = {0};
    bool slow = true;

    frame_begin(&frame, SETTLE);
    frame_end(&frame);
    if (frame.failed || dial_exchange(connection->fd, &connection->recall.untold, &frame, &slow,
                                      BRIEF) != CKR_OK)
        shutdown(connection->fd, SHUT_RDWR); /* its next call notices */
    free(frame.bytes);
    atomic_store(&connection->recall.promised, false);
}

static void thread_ended(void *own)
{
    struct connection *connection = own;

    pthread_mutex_lock(&state.lock);
    if (atomic_load(&connection->recall.promised))
        settle(connection);
    else if (connection->fd >= 0)
        dial_tell(connection->fd, &connection->recall.untold);
    forget_connection(connection);
    pthread_mutex_unlock(&state.lock);
}

/* A thread that begins must find everything done that the others were told is done; from now on they
 * are promised nothing. Who is in a call takes the promised ones along, and is waited for. */
static void settle_others(const struct connection *own)
{
    const struct timespec moment = {.tv_nsec = 20 * 1000};
    struct connection *each = state.connections;

    while (each) {
        if (each == own || !atomic_load(&each->recall.promised)) {
            each = each->next;
        } else if (pthread_mutex_trylock(&each->busy) == 0) {
            if (atomic_load(&each->recall.promised))
                settle(each);
            pthread_mutex_unlock(&each->busy);
        } else {
            pthread_mutex_unlock(&state.lock);
            nanosleep(&moment, NULL);
            pthread_mutex_lock(&state.lock);
            each = state.connections; /* there may be others now */
        }
    }
}

static struct connection *own_connection(void)
{
    struct connection *connection = pthread_getspecific(state.own);

    if (connection)
        return connection;
    connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->fd = -1;
    pthread_mutex_init(&connection->busy, NULL);
    if (pthread_setspecific(state.own, connection) != 0) {
        free(connection);
        return NULL;
    }
    pthread_mutex_lock(&state.lock);
    list(connection);
    settle_others(connection);
    pthread_mutex_unlock(&state.lock);
    return connection;
}

/* ---- fork: the child begins uninitialised; what it inherited is closed without a word ---- */

static void before_fork(void)
{
    pthread_mutex_lock(&state.lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&state.lock);
}

/* A thread that is not here any more may have been in the middle of a call: what it was just writing,
 * or giving back, is left as it was. */
static void forget_inherited(struct connection *connection)
{
    if (pthread_mutex_trylock(&connection->busy) == 0) {
        forget_connection(connection);
        return;
    }
    unlist(connection);
    if (connection->fd >= 0)
        close(connection->fd);
}

static void after_fork_in_child(void)
{
    pthread_mutex_init(&state.lock, NULL);
    while (state.connections)
        forget_inherited(state.connections);
    pthread_setspecific(state.own, NULL);
    drop_anchor();
    if (module_life() % 2)
        atomic_fetch_add(&state.life, 1);
    state.mutex = NULL;
    memset(&state.locking, 0, sizeof state.locking);
}

static bool prepare(void)
{
    if (!state.prepared && pthread_key_create(&state.own, thread_ended) == 0) {
        if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0)
            state.prepared = true;
        else
            pthread_key_delete(state.own);
    }
    return state.prepared;
}

/* Give back what calls have needed, and the connection of the thread that unloads. Other threads may
 * still call if the program ends: their connections stay. False if one of them is in a call. */
static bool free_all(const struct connection *own)
{
    bool idle = true;

    for (struct connection *each = state.connections, *next; each; each = next) {
        next = each->next;
        if (pthread_mutex_trylock(&each->busy) != 0) {
            idle = false;
            continue;
        }
        free_frame(each);
        pthread_mutex_unlock(&each->busy);
        if (each == own)
            forget_connection(each);
    }
    return idle;
}

/* Unloaded, or the program ends: no thread that ends later may call into this code. A program may
 * end inside a signal handler, so this must not wait for the lock. */
__attribute__((destructor)) static void unload(void)
{
    struct connection *own;

    if (pthread_mutex_trylock(&state.lock) != 0)
        return;
    own = state.prepared ? pthread_getspecific(state.own) : NULL;
    if (state.prepared)
        pthread_key_delete(state.own);
    state.prepared = false;
    tell_all();
    drop_all();
    if (free_all(own))
        epoch_end();
    if (module_life() % 2)
        atomic_fetch_add(&state.life, 1);
    pthread_mutex_unlock(&state.lock);
}

/* ---- the anchor ---- */

/* Whether nothing comes unasked for so many milliseconds, which could only be the rack's end. */
static bool is_quiet(int fd, int patience)
{
    struct pollfd socket = {.fd = fd, .events = POLLIN};

    return poll(&socket, 1, patience) == 0;
}

static bool anchor_holds(void)
{
    return state.anchor >= 0 && is_quiet(state.anchor, 0);
}

/* Find a rack, if none is known or the known one is gone. */
static void seek_rack(void)
{
    if (anchor_holds())
        return;
    drop_anchor();
    if (getrandom(state.identity, sizeof state.identity, 0) == sizeof state.identity) {
        int epoch = -1;
        state.anchor = dial_rack(state.identity, ANCHOR, &epoch);
        epoch_take(epoch);
    }
}

/* Whether the rack is gone, after a connection to it failed with errno. One that dies closes one
 * socket after the other: the anchor may be about to end when it hangs up on who greets it. */
static bool is_gone(void)
{
    const bool hung_up = errno == EPROTO || errno == ECONNRESET || errno == EPIPE;

    return errno == ECONNREFUSED || errno == ENOENT ||
           !is_quiet(state.anchor, hung_up ? DYING : 0);
}

/* Open this thread's connection. */
static CK_RV open_connection(struct connection *connection, unsigned life, bool look_anew)
{
    CK_RV rv = CKR_NO_RACK;

    pthread_mutex_lock(&state.lock);
    if (state.locking.LockMutex)
        state.locking.LockMutex(state.mutex);
    close_socket(connection);
    if (module_life() != life) {
        rv = CKR_CRYPTOKI_NOT_INITIALIZED;
    } else {
        if (look_anew)
            seek_rack();
        else if (state.anchor >= 0 && !anchor_holds())
            drop_anchor();
        if (state.anchor >= 0) {
            connection->fd = dial_rack(state.identity, THREAD, NULL);
            connection->era = atomic_load(&state.era);
            if (connection->fd >= 0)
                rv = CKR_OK;
            else if (is_gone())
                drop_anchor();
            else
                rv = CKR_DEVICE_ERROR; /* no descriptor left, say: no reason to end the others */
        }
    }
    if (state.locking.UnlockMutex)
        state.locking.UnlockMutex(state.mutex);
    pthread_mutex_unlock(&state.lock);
    return rv;
}

/* ---- calls ---- */

/* One call over this thread's connection, if its answer is not known: the answer's return value, or
 * what went wrong. */
static CK_RV exchange(struct connection *connection, struct call *call, unsigned life,
                      enum patience patience)
{
    struct recall *recall = &connection->recall;
    struct frame *frame = &connection->frame;
    struct reader reader;
    CK_RV rv = request_put(frame, call);

    if (rv != CKR_OK)
        return rv;
    recall->may_promise = atomic_load(&state.threads) == 1;
    if (recall_find(recall, call, frame, epoch_now(), &reader)) {
        if (recall->goes_on || is_quiet(connection->fd, 0)) {
            if (atomic_load(&recall->promised) && atomic_load(&state.threads) != 1)
                settle(connection); /* a thread has begun meanwhile */
            return answer_take(&reader, call);
        }
        recall_take_back(recall, frame);
    }
    if (patience == ENDLESS && atomic_load(&recall->promised))
        settle(connection); /* nobody shall wait that long for it */
    rv = dial_exchange(connection->fd, &recall->untold, frame, &connection->slow[call->number],
                       patience);
    atomic_store(&recall->promised, false);
    if (rv == CKR_OK) {
        reader = (struct reader){frame->bytes + HEADER_SIZE, frame->size - HEADER_SIZE, false};
        rv = answer_take(&reader, call);
        if (!reader.bad) {
            recall_learn(recall, call, frame);
            return rv;
        }
    }
    pthread_mutex_lock(&state.lock);
    close_socket(connection);
    pthread_mutex_unlock(&state.lock);
    return module_life() == life ? rv : CKR_CRYPTOKI_NOT_INITIALIZED;
}

/* Send a call to the rack and take its answer. CKR_NO_RACK where none is there; with `look_anew`
 * one that has come, or come back, is found. An `endless` call waits for its answer as long as it
 * takes, or until C_Finalize. */
CK_RV module_exchange(struct call *call, bool look_anew, bool endless)
{
    unsigned life = module_life();
    struct connection *connection;
    CK_RV rv = CKR_OK;

    if (life % 2 == 0)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    connection = own_connection();
    if (!connection)
        return CKR_HOST_MEMORY;
    pthread_mutex_lock(&connection->busy);
    for (int attempt = 0; attempt < (look_anew ? 2 : 1); attempt++) {
        if (connection->fd < 0 || connection->era != atomic_load(&state.era))
            rv = open_connection(connection, life, look_anew);
        if (rv == CKR_OK)
            rv = exchange(connection, call, life, endless ? ENDLESS : LONG);
        if (rv != CKR_DEVICE_REMOVED || !look_anew)
            break;
        rv = CKR_OK; /* the rack has gone: look for its successor */
    }
    frame_forget(&connection->frame);
    if (module_life() != life) {
        pthread_mutex_lock(&state.lock);
        close_socket(connection);
        pthread_mutex_unlock(&state.lock);
        if (endless)
            rv = CKR_CRYPTOKI_NOT_INITIALIZED; /* whatever the rack said when it was woken */
    }
    pthread_mutex_unlock(&connection->busy);
    return rv;
}

/* ---- C_Initialize and C_Finalize ---- */

static CK_RV check_locking(const CK_C_INITIALIZE_ARGS *args)
{
    int given;

    if (!args)
        return CKR_OK;
    given = !!args->CreateMutex + !!args->DestroyMutex + !!args->LockMutex + !!args->UnlockMutex;
    return args->pReserved || (given != 0 && given != 4) ? CKR_ARGUMENTS_BAD : CKR_OK;
}

/* Take the program's own mutexes where it allows no others (PKCS#11 3.2 §5.4.1, case 3). */
static CK_RV take_locking(const CK_C_INITIALIZE_ARGS *args)
{
    CK_RV rv;

    if (!args || !args->CreateMutex || args->flags & CKF_OS_LOCKING_OK)
        return CKR_OK;
    rv = args->CreateMutex(&state.mutex);
    if (rv == CKR_OK)
        state.locking = *args;
    return rv;
}

CK_RV module_initialise(const CK_C_INITIALIZE_ARGS *args)
{
    CK_RV rv;

    pthread_mutex_lock(&state.lock);
    if (module_life() % 2)
        rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
    else if ((rv = check_locking(args)) == CKR_OK)
        rv = prepare() ? take_locking(args) : CKR_HOST_MEMORY;
    if (rv == CKR_OK) {
        seek_rack();
        atomic_fetch_add(&state.life, 1);
    }
    pthread_mutex_unlock(&state.lock);
    return rv;
}

static void tell_rack(void)
{
    struct frame frame = {0};
    bool slow = true;

    frame_begin(&frame, FINALIZE);
    frame_end(&frame);
    if (!frame.failed)
        dial_exchange(state.anchor, NULL, &frame, &slow, BRIEF);
    free(frame.bytes);
}

CK_RV module_finalise(void)
{
    CK_MUTEXCALL destroy;

    pthread_mutex_lock(&state.lock);
    if (module_life() % 2 == 0) {
        pthread_mutex_unlock(&state.lock);
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    }
    atomic_fetch_add(&state.life, 1);
    tell_all();
    if (state.anchor >= 0)
        tell_rack();
    drop_all();
    destroy = state.locking.DestroyMutex;
    memset(&state.locking, 0, sizeof state.locking);
    if (destroy)
        destroy(state.mutex);
    state.mutex = NULL;
    pthread_mutex_unlock(&state.lock);
    return CKR_OK;
}
