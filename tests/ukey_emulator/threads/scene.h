/* What the scenes share: the module, threads that start together, and codes that are allowed. */
#ifndef SCENE_H
#define SCENE_H

#include <pthread.h>
#include <stdbool.h>

#include "cryptoki.h"

enum { MOST_THREADS = 256, DIGEST = 32 };

#define RW_SESSION 6UL
#define USER 1UL
#define CKR_SESSION_CLOSED 0xB0UL
#define CKR_OPERATION_ACTIVE 0x90UL
#define CKR_OPERATION_NOT_INITIALIZED 0x91UL

extern const char *module_path;
extern CK_FUNCTION_LIST *p11;

void *load(void); /* dlopen's handle; sets p11 */
void say(const char *what, CK_RV rv) __attribute__((noreturn));
void must(const char *what, CK_RV rv, CK_RV wanted);
void must_be_legal(const char *what, CK_RV rv);
CK_RV initialise(void);
CK_RV digest(CK_SESSION_HANDLE session, const void *data, CK_ULONG size, CK_BYTE out[DIGEST]);
CK_SESSION_HANDLE open_session(void);
void log_in(CK_SESSION_HANDLE session);
CK_OBJECT_HANDLE make_key(CK_SESSION_HANDLE session); /* P-256, for ECDSA */
CK_RV sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key);
unsigned open_files(void);
long resident_kilobytes(void);
double now(void);

/* Threads that begin at the same moment. */
struct crew {
    pthread_barrier_t start;
    pthread_t threads[MOST_THREADS];
    unsigned count;
};

void begin_together(struct crew *crew, unsigned count, void *(*work)(void *), void *argument);
void started(struct crew *crew); /* first thing in the thread */
void finish(struct crew *crew);

void scene_initialise(void);
void scene_finalise(void);
void scene_waiting(void);
void scene_mutexes(void);
void scene_forks(void);
void scene_processes(void);
void scene_exits(void);
void scene_children(void);
void scene_unload(void);
void scene_many(void);
void scene_descriptors(void);
void scene_starved(void);

#endif
