/* A program with many threads: scene MODULE NAME plays one scene and ends with 0 if all was legal. */
#define _GNU_SOURCE
#include "scene.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *module_path;
CK_FUNCTION_LIST *p11;

void say(const char *what, CK_RV rv)
{
    fprintf(stderr, "%s: 0x%lx\n", what, rv);
    _exit(1);
}

void must(const char *what, CK_RV rv, CK_RV wanted)
{
    if (rv != wanted)
        say(what, rv);
}

/* What a call may answer that C_Finalize, C_CloseSession or another thread's use overtakes. */
void must_be_legal(const char *what, CK_RV rv)
{
    static const CK_RV legal[] = {
        CKR_OK, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_CRYPTOKI_ALREADY_INITIALIZED,
        CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_OPERATION_ACTIVE,
        CKR_OPERATION_NOT_INITIALIZED, CKR_SLOT_ID_INVALID,
    };

    for (unsigned i = 0; i < sizeof legal / sizeof *legal; i++)
        if (rv == legal[i])
            return;
    say(what, rv);
}

void *load(void)
{
    CK_RV (*get)(CK_FUNCTION_LIST **);
    void *library = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&get = dlsym(library, "C_GetFunctionList");
    must("C_GetFunctionList", get(&p11), CKR_OK);
    return library;
}

CK_RV initialise(void)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};

    return p11->C_Initialize(&args);
}

CK_RV digest(CK_SESSION_HANDLE session, const void *data, CK_ULONG size, CK_BYTE out[DIGEST])
{
    CK_MECHANISM sha256 = {0x250, NULL, 0};
    CK_ULONG length = DIGEST;
    CK_RV rv = p11->C_DigestInit(session, &sha256);

    return rv == CKR_OK ? p11->C_Digest(session, (CK_BYTE *)data, size, out, &length) : rv;
}

CK_SESSION_HANDLE open_session(void)
{
    CK_SESSION_HANDLE session;

    must("C_OpenSession", p11->C_OpenSession(0, RW_SESSION, NULL, NULL, &session), CKR_OK);
    return session;
}

void log_in(CK_SESSION_HANDLE session)
{
    must("C_Login", p11->C_Login(session, USER, (CK_BYTE *)"123456", 6), CKR_OK);
}

CK_OBJECT_HANDLE make_key(CK_SESSION_HANDLE session)
{
    static CK_BYTE curve[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, yes = 1;
    CK_ATTRIBUTE public = {0x180, curve, sizeof curve}, private = {0x108, &yes, 1};
    CK_MECHANISM pair = {0x1040, NULL, 0};
    CK_OBJECT_HANDLE verifies, signs;

    must("C_GenerateKeyPair",
         p11->C_GenerateKeyPair(session, &pair, &public, 1, &private, 1, &verifies, &signs), CKR_OK);
    return signs;
}

CK_RV sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM ecdsa = {0x1041, NULL, 0};
    CK_BYTE signature[64], hash[32] = {1};
    CK_ULONG length = sizeof signature;
    CK_RV rv = p11->C_SignInit(session, &ecdsa, key);

    return rv == CKR_OK ? p11->C_Sign(session, hash, sizeof hash, signature, &length) : rv;
}

unsigned open_files(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");

    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

long resident_kilobytes(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");

    if (!statm || fscanf(statm, "%*d %ld", &pages) != 1)
        say("/proc/self/statm", 0);
    fclose(statm);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void begin_together(struct crew *crew, unsigned count, void *(*work)(void *), void *argument)
{
    crew->count = count;
    pthread_barrier_init(&crew->start, NULL, count + 1);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&crew->threads[i], NULL, work, argument) != 0)
            say("pthread_create", i);
    pthread_barrier_wait(&crew->start);
}

void started(struct crew *crew)
{
    pthread_barrier_wait(&crew->start);
}

void finish(struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++)
        pthread_join(crew->threads[i], NULL);
    pthread_barrier_destroy(&crew->start);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*play)(void);
    } scenes[] = {
        {"initialise", scene_initialise}, {"finalise", scene_finalise},
        {"waiting", scene_waiting},       {"mutexes", scene_mutexes},
        {"forks", scene_forks},           {"children", scene_children},
        {"exits", scene_exits},           {"unload", scene_unload},
        {"many", scene_many},             {"descriptors", scene_descriptors},
        {"starved", scene_starved},       {"processes", scene_processes},
    };

    if (argc < 3)
        return 2;
    module_path = argv[1];
    for (unsigned i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        if (strcmp(argv[2], scenes[i].name) != 0)
            continue;
        if (strcmp(argv[2], "unload") != 0)
            load();
        scenes[i].play();
        printf("played\n");
        return 0;
    }
    return 2;
}
