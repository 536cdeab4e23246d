/* Loading and unloading, very many threads, and no descriptor left. */
#define _GNU_SOURCE
#include "scene.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct crew crew;

static void load_and_use(bool finalise)
{
    CK_BYTE hash[DIGEST];
    CK_SESSION_INFO info;
    void *library = load();
    must("C_Initialize", initialise(), CKR_OK);
    CK_SESSION_HANDLE session = open_session();
    must("C_Digest", digest(session, "data", 4, hash), CKR_OK);
    for (unsigned turn = 0; turn < 3; turn++)
        must("C_GetSessionInfo", p11->C_GetSessionInfo(session, &info), CKR_OK);
    if (finalise)
        must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    dlclose(library);
}

static void *load_and_unload(void *argument)
{
    started(argument);
    for (unsigned round = 0; round < 200; round++) {
        void *library = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
        CK_RV (*initialise_it)(void *), (*slot_list)(CK_BBOOL, CK_ULONG *, CK_ULONG *);
        CK_ULONG slots;
        if (!library)
            say("dlopen", 0);
        *(void **)&initialise_it = dlsym(library, "C_Initialize");
        *(void **)&slot_list = dlsym(library, "C_GetSlotList");
        must_be_legal("C_Initialize", initialise_it(NULL));
        must("C_GetSlotList", slot_list(1, NULL, &slots), CKR_OK);
        dlclose(library);
    }
    return NULL;
}

/* Nothing is left by a module that was unloaded, whether C_Finalize was called or not. */
void scene_unload(void)
{
    enum { ROUNDS = 400 };

    load_and_use(true);
    unsigned files = open_files();
    for (unsigned round = 0; round < ROUNDS / 4; round++)
        load_and_use(round % 2);
    long before = resident_kilobytes();
    for (unsigned round = 0; round < ROUNDS; round++)
        load_and_use(round % 2);
    long grown = resident_kilobytes() - before;
    printf("%ld KB more after %d times\n", grown, ROUNDS);
    if (grown > ROUNDS)
        say("memory is left behind", (CK_RV)grown);
    begin_together(&crew, 4, load_and_unload, &crew);
    finish(&crew);
    if (open_files() != files)
        say("files left open", open_files() - files);
}

/* ---- many threads ---- */

static struct crew met;

static void *call_once(void *argument)
{
    CK_BYTE hash[DIGEST];

    started(argument);
    CK_SESSION_HANDLE session = open_session();
    must("C_Digest", digest(session, "data", 4, hash), CKR_OK);
    pthread_barrier_wait(&met.start); /* all of them have a connection now */
    pthread_barrier_wait(&met.start);
    must("C_CloseSession", p11->C_CloseSession(session), CKR_OK);
    return NULL;
}

/* Each thread has a connection, and none is left when the threads have ended. */
void scene_many(void)
{
    enum { THREADS = 200 };
    CK_ULONG slots;
    CK_TOKEN_INFO info;

    must("C_Initialize", initialise(), CKR_OK);
    must("C_GetSlotList", p11->C_GetSlotList(1, NULL, &slots), CKR_OK);
    unsigned before = open_files();
    for (unsigned round = 0; round < 2; round++) {
        pthread_barrier_init(&met.start, NULL, THREADS + 1);
        begin_together(&crew, THREADS, call_once, &crew);
        pthread_barrier_wait(&met.start);
        if (open_files() < before + THREADS)
            say("connections", open_files());
        pthread_barrier_wait(&met.start);
        finish(&crew);
        pthread_barrier_destroy(&met.start);
        if (open_files() != before)
            say("files left open", open_files() - before);
    }
    must("C_GetTokenInfo", p11->C_GetTokenInfo(0, &info), CKR_OK);
    must("sessions left", info.ulSessionCount, 0);
    printf("waiting\n");
    fflush(stdout);
    getchar(); /* the test looks at the rack meanwhile */
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}

/* ---- no descriptor left ---- */

static void *call_without_descriptors(void *argument)
{
    CK_SESSION_HANDLE session;
    CK_RV rv;

    started(argument);
    rv = p11->C_OpenSession(0, RW_SESSION, NULL, NULL, &session);
    if (rv != CKR_DEVICE_ERROR && rv != CKR_HOST_MEMORY)
        say("C_OpenSession without descriptors", rv);
    return NULL;
}

static void take_all(int *taken, unsigned *count)
{
    int fd;

    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        taken[(*count)++] = fd;
}

static void give_all(const int *taken, unsigned *count)
{
    while (*count)
        close(taken[--*count]);
}

/* The calls that need one fail cleanly, those that have theirs go on, and all do afterwards. */
void scene_descriptors(void)
{
    static int taken[256];
    unsigned count = 0;
    struct rlimit few = {64, 64};
    CK_BYTE hash[DIGEST];
    CK_ULONG slots = 0;

    setrlimit(RLIMIT_NOFILE, &few);
    must("C_Initialize", initialise(), CKR_OK);
    CK_SESSION_HANDLE session = open_session();
    log_in(session);
    take_all(taken, &count);
    begin_together(&crew, 4, call_without_descriptors, &crew);
    finish(&crew);
    must("C_Digest", digest(session, "data", 4, hash), CKR_OK);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    take_all(taken, &count);
    must("C_Initialize without descriptors", initialise(), CKR_OK);
    p11->C_GetSlotList(1, NULL, &slots);
    give_all(taken, &count);
    must("C_GetSlotList", p11->C_GetSlotList(1, NULL, &slots), CKR_OK);
    must("slots", slots, 1);
    log_in(open_session());
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}

static void *take_the_last(void *argument)
{
    CK_SESSION_HANDLE session;

    started(argument);
    p11->C_OpenSession(0, RW_SESSION, NULL, NULL, &session); /* accept(2) may have one in hand */
    pthread_barrier_wait(&met.start);
    pthread_barrier_wait(&met.start);
    return NULL;
}

/* The rack has no descriptor left: a thread that has its connection goes on, a new one is told. */
void scene_starved(void)
{
    CK_BYTE hash[DIGEST];

    must("C_Initialize", initialise(), CKR_OK);
    CK_SESSION_HANDLE session = open_session();
    log_in(session);
    printf("at work\n");
    fflush(stdout);
    getchar(); /* the test takes the descriptors */
    pthread_barrier_init(&met.start, NULL, 2);
    begin_together(&crew, 1, take_the_last, &crew);
    pthread_barrier_wait(&met.start);
    static struct crew refused;
    begin_together(&refused, 1, call_without_descriptors, &refused);
    must("C_Digest", digest(session, "data", 4, hash), CKR_OK);
    finish(&refused);
    must("C_Digest", digest(session, "data", 4, hash), CKR_OK);
    printf("refused\n");
    fflush(stdout);
    getchar(); /* and gives them back */
    pthread_barrier_wait(&met.start);
    finish(&crew);
    begin_together(&crew, 1, call_once, &crew);
    pthread_barrier_wait(&met.start);
    pthread_barrier_wait(&met.start);
    finish(&crew);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}
