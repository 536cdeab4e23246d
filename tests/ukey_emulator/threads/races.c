/* C_Initialize and C_Finalize against each other, and against everything else. */
#define _GNU_SOURCE
#include "scene.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static struct crew crew;
static atomic_uint oks, alreadies, nots;
static atomic_bool stop;

static void count(CK_RV rv)
{
    if (rv == CKR_OK)
        atomic_fetch_add(&oks, 1);
    else if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
        atomic_fetch_add(&alreadies, 1);
    else if (rv == CKR_CRYPTOKI_NOT_INITIALIZED)
        atomic_fetch_add(&nots, 1);
    else
        say("a race", rv);
}

static void *initialise_once(void *argument)
{
    started(argument);
    count(initialise());
    return NULL;
}

static void *finalise_once(void *argument)
{
    started(argument);
    count(p11->C_Finalize(NULL));
    return NULL;
}

static void *any_of_them(void *argument)
{
    unsigned turn = (unsigned)(uintptr_t)pthread_self() >> 8;

    started(argument);
    while (!atomic_load(&stop)) {
        CK_SESSION_HANDLE session = 1;
        CK_BYTE hash[DIGEST];
        CK_ULONG slots;
        turn = turn * 1103515245 + 12345;
        switch (turn >> 16 & 7) {
        case 0: case 1:
            must_be_legal("C_Initialize", initialise());
            break;
        case 2:
            must_be_legal("C_Finalize", p11->C_Finalize(NULL));
            break;
        case 3:
            must_be_legal("C_GetSlotList", p11->C_GetSlotList(1, NULL, &slots));
            break;
        default:
            must_be_legal("C_OpenSession", p11->C_OpenSession(0, RW_SESSION, NULL, NULL, &session));
            must_be_legal("C_Digest", digest(session, "data", 4, hash));
        }
    }
    return NULL;
}

/* Of threads that initialise, or finalise, at the same time exactly one does it. */
void scene_initialise(void)
{
    enum { THREADS = 32, ROUNDS = 40 };
    unsigned before = open_files();

    for (unsigned round = 1; round <= ROUNDS; round++) {
        begin_together(&crew, THREADS, initialise_once, &crew);
        finish(&crew);
        if (oks != 2 * round - 1 || alreadies != round * (THREADS - 1))
            say("winners of C_Initialize", oks);
        begin_together(&crew, THREADS, finalise_once, &crew);
        finish(&crew);
        if (oks != 2 * round || nots != round * (THREADS - 1))
            say("winners of C_Finalize", oks);
    }
    begin_together(&crew, 8, any_of_them, &crew);
    usleep(1500 * 1000);
    stop = true;
    finish(&crew);
    p11->C_Finalize(NULL);
    must("C_Initialize", initialise(), CKR_OK);
    log_in(open_session());
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    if (open_files() != before)
        say("files left open", open_files() - before);
}

/* ---- C_Finalize while others call ---- */

static CK_SESSION_HANDLE shared;
static CK_OBJECT_HANDLE key;

static void *sign_until_the_end(void *argument)
{
    CK_RV rv;

    started(argument);
    do
        must_be_legal("C_Sign", rv = sign(shared, key));
    while (rv != CKR_CRYPTOKI_NOT_INITIALIZED);
    return NULL;
}

static void *digest_until_the_end(void *argument)
{
    CK_SESSION_HANDLE own = open_session();
    CK_BYTE hash[DIGEST];
    CK_RV rv;

    started(argument);
    do
        must_be_legal("C_Digest", rv = digest(own, "data", 4, hash));
    while (rv != CKR_CRYPTOKI_NOT_INITIALIZED);
    return NULL;
}

static void *wait_until_the_end(void *argument)
{
    CK_ULONG slot;

    started(argument);
    must("C_WaitForSlotEvent", p11->C_WaitForSlotEvent(0, &slot, NULL),
         CKR_CRYPTOKI_NOT_INITIALIZED);
    return NULL;
}

/* Every call ends, with a legal code, when C_Finalize comes; in shared sessions and in own ones. */
void scene_finalise(void)
{
    static struct crew waiters, owners;
    double longest = 0;

    for (unsigned round = 0; round < 20; round++) {
        must("C_Initialize", initialise(), CKR_OK);
        shared = open_session();
        log_in(shared);
        key = make_key(shared);
        begin_together(&crew, 4, sign_until_the_end, &crew);
        begin_together(&owners, 4, digest_until_the_end, &owners);
        begin_together(&waiters, 2, wait_until_the_end, &waiters);
        usleep(1000 * round);
        double begun = now();
        must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
        finish(&crew);
        finish(&owners);
        finish(&waiters);
        longest = now() - begun > longest ? now() - begun : longest;
    }
    printf("the longest end took %.3f s\n", longest);
}

void scene_waiting(void)
{
    unsigned before = open_files();

    for (unsigned round = 0; round < 50; round++) {
        must("C_Initialize", initialise(), CKR_OK);
        begin_together(&crew, 8, wait_until_the_end, &crew);
        usleep(100 * round);
        must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
        finish(&crew);
    }
    if (open_files() != before)
        say("files left open", open_files() - before);
}

/* ---- the program's own mutexes ---- */

static atomic_int made, destroyed, locked, unlocked, wrong;
static atomic_bool held, alive;
static char the_mutex;

static CK_RV create(void **mutex)
{
    *mutex = &the_mutex;
    wrong += atomic_exchange(&alive, true);
    made++;
    return CKR_OK;
}

static CK_RV destroy(void *mutex)
{
    wrong += mutex != &the_mutex || atomic_load(&held) || !atomic_exchange(&alive, false);
    destroyed++;
    return CKR_OK;
}

static CK_RV lock(void *mutex)
{
    wrong += mutex != &the_mutex || !atomic_load(&alive) || atomic_exchange(&held, true);
    locked++;
    return CKR_OK;
}

static CK_RV unlock(void *mutex)
{
    wrong += mutex != &the_mutex || !atomic_load(&alive) || !atomic_exchange(&held, false);
    unlocked++;
    return CKR_OK;
}

static void *come_and_go(void *argument)
{
    (void)argument;
    CK_SESSION_HANDLE session;
    must_be_legal("C_OpenSession", p11->C_OpenSession(0, RW_SESSION, NULL, NULL, &session));
    return NULL;
}

static void *send_threads(void *argument)
{
    pthread_t thread;

    started(argument);
    while (!atomic_load(&stop) && pthread_create(&thread, NULL, come_and_go, NULL) == 0)
        pthread_join(thread, NULL);
    return NULL;
}

/* They are made, locked, unlocked and destroyed in that order, each as often, by one at a time. */
void scene_mutexes(void)
{
    CK_C_INITIALIZE_ARGS args = {create, destroy, lock, unlock, 0, NULL};

    must("C_Initialize", p11->C_Initialize(&args), CKR_OK);
    begin_together(&crew, 6, send_threads, &crew);
    for (double end = now() + 2; now() < end;) {
        usleep(300);
        must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
        must("C_Initialize", p11->C_Initialize(&args), CKR_OK);
    }
    stop = true;
    finish(&crew);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    if (wrong || locked != unlocked || made != destroyed || !locked)
        say("mutexes", (CK_RV)wrong);
}
