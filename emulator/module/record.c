/* libukeyrecord: stands before the PKCS#11 module named by UKEY_RECORD_MODULE and appends a line of
 * JSON for each call to the file named by UKEY_RECORD_FILE: which function, what it answered, how
 * many microseconds it took. No argument is looked at, so that no PIN can get there. Only functions
 * of PKCS#11 2.40, through C_GetFunctionList. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cryptoki.h"

static CK_FUNCTION_LIST *recorded;
static atomic_ulong calls;

static int64_t now(void) /* in microseconds */
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* The file is opened for each line: a program may close descriptors that it does not know. */
static void note(const char *function, CK_RV rv, int64_t took)
{
    const char *path = secure_getenv("UKEY_RECORD_FILE");
    char line[256];
    int fd, length;

    length = snprintf(line, sizeof line,
                      "{\"n\": %lu, \"function\": \"%s\", \"rv\": %lu, \"us\": %lld, \"pid\": %ld}\n",
                      atomic_fetch_add(&calls, 1) + 1, function, rv, (long long)took,
                      (long)getpid());
    if (!path || length < 0 || (size_t)length >= sizeof line)
        return;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (write(fd, line, (size_t)length) != length)
        fprintf(stderr, "libukeyrecord: %s could not be written\n", path);
    close(fd);
}

#define LOCAL FUNCTION
#define FUNCTION(number, since, name, ...) FUNCTION_##since(name, __VA_ARGS__)
#define FUNCTION_300(name, ...)
#define FUNCTION_320(name, ...)

#define FUNCTION_240(name, ...)                                           \
    static CK_RV record_##name(PARAMETERS(__VA_ARGS__))                   \
    {                                                                     \
        int64_t begun = now();                                            \
        CK_RV rv = recorded->name ? recorded->name(NAMES(__VA_ARGS__))    \
                                  : CKR_FUNCTION_NOT_SUPPORTED;           \
        note(#name, rv, now() - begun);                                   \
        return rv;                                                        \
    }
#include "functions.def"
#undef FUNCTION_240

#define FUNCTION_240(name, ...) record_##name,
static CK_FUNCTION_LIST recorder = {
    {2, 40},
#include "functions.def"
};

static void complain(const char *problem, const char *about)
{
    fprintf(stderr, "libukeyrecord: %s%s\n", problem, about ? about : "");
}

static void load(void)
{
    const char *path = secure_getenv("UKEY_RECORD_MODULE");
    CK_RV (*get_list)(CK_FUNCTION_LIST **);
    CK_FUNCTION_LIST *list = NULL;
    void *module;

    if (!path || !*path) {
        complain("UKEY_RECORD_MODULE must name the PKCS#11 module to be recorded", NULL);
        return;
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        complain("the module cannot be loaded: ", dlerror());
        return;
    }
    *(void **)&get_list = dlsym(module, "C_GetFunctionList");
    if (!get_list || get_list(&list) != CKR_OK || !list) {
        complain("this module gives no list of functions: ", path);
        return;
    }
    recorder.version = list->version;
    recorder.C_GetFunctionList = C_GetFunctionList; /* the way back to the recorder */
    recorded = list;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (!list)
        return CKR_ARGUMENTS_BAD;
    pthread_once(&once, load);
    if (!recorded)
        return CKR_GENERAL_ERROR;
    *list = &recorder;
    return CKR_OK;
}
