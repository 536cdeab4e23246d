/* Processes that a program begins: with the library, without it, and as another program. */
#define _GNU_SOURCE
#include "scene.h"

#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct crew crew;
static atomic_bool stop;
static atomic_ulong calls;

/* Long data, so that the module's memory grows and shrinks with each call. */
static void *digest_much(void *argument)
{
    static CK_BYTE much[2 * 1024 * 1024 + 1];
    CK_SESSION_HANDLE session = open_session();
    CK_BYTE hash[DIGEST];

    started(argument);
    for (CK_ULONG size = 1; !atomic_load(&stop); size = size > sizeof much / 3 ? 1 : 3 * size) {
        must("C_Digest in the parent", digest(session, much, size, hash), CKR_OK);
        atomic_fetch_add(&calls, 1);
    }
    return NULL;
}

static void be_the_child(bool anew)
{
    CK_BYTE hash[DIGEST];
    CK_ULONG slots;

#ifdef __SANITIZE_THREAD__
    anew = false; /* its runtime takes no memory in a child: another thread may have held that lock */
#endif
    alarm(30);
    must("C_GetSlotList in the child", p11->C_GetSlotList(1, NULL, &slots),
         CKR_CRYPTOKI_NOT_INITIALIZED);
    must("C_Finalize in the child", p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    if (anew) {
        must("C_Initialize in the child", initialise(), CKR_OK);
        CK_SESSION_HANDLE session = open_session();
        log_in(session);
        must("C_Digest in the child", digest(session, "data", 4, hash), CKR_OK);
        must("C_Finalize in the child", p11->C_Finalize(NULL), CKR_OK);
    }
    _exit(0);
}

static void wait_for(pid_t child, const char *what)
{
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        say(what, (CK_RV)status);
}

/* Forks while other threads are in calls: at any instant of theirs. */
void scene_forks(void)
{
    must("C_Initialize", initialise(), CKR_OK);
    CK_SESSION_HANDLE session = open_session();
    log_in(session);
    begin_together(&crew, 4, digest_much, &crew);
    double end = now() + 4;
    for (unsigned round = 0; round < 60 || now() < end; round++) {
        pid_t child = fork();
        if (child == 0)
            be_the_child(round % 4 == 0);
        wait_for(child, "a child");
    }
    stop = true;
    finish(&crew);
    must("C_Logout", p11->C_Logout(session), CKR_OK);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    printf("%lu calls meanwhile\n", calls);
}

static void *call_until_the_end(void *argument)
{
    CK_SESSION_HANDLE session;
    CK_BYTE hash[DIGEST];
    CK_SESSION_INFO info;

    started(argument);
    for (;;) {
        p11->C_OpenSession(0, RW_SESSION, NULL, NULL, &session);
        for (unsigned turn = 0; turn < 20; turn++) {
            p11->C_GetSessionInfo(session, &info);
            digest(session, "data", 4, hash);
        }
        p11->C_CloseSession(session);
    }
    return NULL;
}

/* ---- many programs ---- */

enum { PROGRAMS = 16, OBJECTS = 5 };

static CK_ATTRIBUTE marked[] = {
    {0x0, &(CK_ULONG){0}, sizeof(CK_ULONG)}, /* CKO_DATA */
    {0x1, "\1", 1},                          /* on the token */
    {0x10, "sixteen", 7},                    /* CKA_APPLICATION */
};

static CK_ULONG find_marked(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *found, CK_ULONG most)
{
    CK_ULONG count;

    must("C_FindObjectsInit", p11->C_FindObjectsInit(session, marked, 3), CKR_OK);
    must("C_FindObjects", p11->C_FindObjects(session, found, most, &count), CKR_OK);
    must("C_FindObjectsFinal", p11->C_FindObjectsFinal(session), CKR_OK);
    return count;
}

static void be_a_program(bool dies)
{
    CK_OBJECT_HANDLE object;

    alarm(60);
    must("C_Initialize", initialise(), CKR_OK);
    CK_SESSION_HANDLE session = open_session();
    log_in(session);
    CK_OBJECT_HANDLE key = make_key(session);
    for (unsigned turn = 0; turn < 6 * OBJECTS; turn++) {
        must("C_Sign", sign(session, key), CKR_OK);
        if (turn % 6 == 0)
            must("C_CreateObject", p11->C_CreateObject(session, marked, 3, &object), CKR_OK);
    }
    if (dies) {
        begin_together(&crew, 2, call_until_the_end, &crew);
        usleep(5000);
        kill(getpid(), SIGKILL);
    }
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
    _exit(0);
}

/* Sixteen programs at one key, half of which are killed: all that they have made is there. */
void scene_processes(void)
{
    CK_OBJECT_HANDLE found[PROGRAMS * OBJECTS + 1];
    pid_t programs[PROGRAMS];
    int status;

    for (unsigned i = 0; i < PROGRAMS; i++)
        if ((programs[i] = fork()) == 0)
            be_a_program(i % 2);
    for (unsigned i = 0; i < PROGRAMS; i++)
        if (waitpid(programs[i], &status, 0) != programs[i] || status != (i % 2 ? SIGKILL : 0))
            say("one of sixteen programs", (CK_RV)status);
    must("C_Initialize", initialise(), CKR_OK);
    CK_SESSION_HANDLE session = open_session();
    must("objects", find_marked(session, found, PROGRAMS * OBJECTS + 1), PROGRAMS * OBJECTS);
    for (unsigned i = 0; i < PROGRAMS * OBJECTS; i++)
        must("C_DestroyObject", p11->C_DestroyObject(session, found[i]), CKR_OK);
    must("objects left", find_marked(session, found, 1), 0);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}

/* A program may end while its threads are in calls, after C_Finalize or without it. */
void scene_exits(void)
{
    for (unsigned round = 0; round < 100; round++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(30);
            must("C_Initialize", initialise(), CKR_OK);
            begin_together(&crew, 4, call_until_the_end, &crew);
            usleep(5000 + 37 * round);
            if (round % 4 == 0)
                must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
            exit(0);
        }
        wait_for(child, "a program that exits");
    }
}

/* ---- other programs ---- */

static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;

static void *sign_meanwhile(void *argument)
{
    CK_SESSION_HANDLE own = open_session();

    started(argument);
    while (!atomic_load(&stop))
        must("C_Sign", sign(own, key), CKR_OK);
    return NULL;
}

static void run_true(pid_t child)
{
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    wait_for(child, "a program");
}

/* Descriptors of the module stay in this program: the listing of another one has no socket. */
static void popen_sees_no_socket(void)
{
    char line[256];
    FILE *listing = popen("ls -l /proc/self/fd", "r");

    while (listing && fgets(line, sizeof line, listing))
        if (strstr(line, "socket:") || strstr(line, "memfd:"))
            say(line, 0);
    if (!listing || pclose(listing) != 0)
        say("popen", 0);
}

/* A daemon is a child of a child, which goes on when both others have ended. */
static void begin_a_daemon(void)
{
    int told[2];
    char answer = 0;

    if (pipe(told) != 0)
        say("pipe", 0);
    pid_t child = fork();
    if (child == 0) {
        if (fork() != 0)
            _exit(0);
        setsid();
        alarm(30);
        must("C_Initialize in a daemon", initialise(), CKR_OK);
        log_in(open_session());
        if (write(told[1], "d", 1) != 1)
            _exit(1);
        _exit(0); /* without C_Finalize */
    }
    close(told[1]);
    wait_for(child, "the daemon's parent");
    if (read(told[0], &answer, 1) != 1)
        say("the daemon", 0);
    close(told[0]);
}

/* Whatever a program begins, its own sessions and login stay, and its threads go on. */
void scene_children(void)
{
    static char *const nothing[] = {"true", NULL};
    pid_t child;

    must("C_Initialize", initialise(), CKR_OK);
    session = open_session();
    log_in(session);
    key = make_key(session);
    begin_together(&crew, 3, sign_meanwhile, &crew);
    for (unsigned round = 0; round < 10; round++) {
        run_true(fork());
        run_true(vfork());
        if (posix_spawn(&child, "/bin/true", NULL, NULL, nothing, environ) != 0)
            say("posix_spawn", 0);
        wait_for(child, "a spawned program");
        if (system("true") != 0)
            say("system", 0);
        popen_sees_no_socket();
        begin_a_daemon();
        child = fork();
        if (child == 0)
            exit(0); /* with the destructors of what is loaded */
        wait_for(child, "a child that exits");
        child = fork();
        if (child == 0)
            kill(getpid(), SIGKILL);
        if (waitpid(child, NULL, 0) != child)
            say("a child that is killed", 0);
        must("C_Sign", sign(session, key), CKR_OK);
    }
    stop = true;
    finish(&crew);
    must("C_Logout", p11->C_Logout(session), CKR_OK);
    must("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
}
